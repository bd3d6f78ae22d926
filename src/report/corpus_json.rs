use super::json;
use crate::Result;
use crate::store::StoreSummary;
use std::path::Path;

/// Reads a `corpus.json`.
pub fn read(path: &Path) -> Result<StoreSummary> {
    json::read(path)
}

/// Writes a `corpus.json`.
pub fn write(path: &Path, summary: &StoreSummary) -> Result<()> {
    json::write(path, summary)
}
