use super::json;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `truth.json`: the best R2 that any predictor can reach, known for made-up
/// corpora.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Datasets, the order of rows (sources) and columns (targets).
    pub order: Vec<String>,
    /// Source by target.
    pub best_r2: Vec<Vec<Option<f64>>>,
}

impl Truth {
    /// The best R2 of a source and target.
    pub fn best(&self, source: &str, target: &str) -> Option<f64> {
        let at = |name: &str| self.order.iter().position(|n| n == name);
        *self.best_r2.get(at(source)?)?.get(at(target)?)?
    }
}

/// Reads a `truth.json`.
pub fn read(path: &Path) -> Result<Truth> {
    json::read(path)
}

/// Writes a `truth.json`.
pub fn write(path: &Path, truth: &Truth) -> Result<()> {
    json::write(path, truth)
}
