use crate::{Error, Result, atomic};
use std::path::PathBuf;

/// Writes figures as JSON where a file is given.
pub fn write_json(path: Option<PathBuf>, figures: &impl serde::Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)
        .map_err(|e| Error::Request(format!("figures that JSON cannot hold: {e}")))?;
    atomic::write_file(&path, |w| w.write_all(text.as_bytes()))
}
