use super::json;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `runtime.json`: wall time in the three fields of `improvelib`'s timer
/// (`hours`, `minutes`, `seconds`, which add up), and the seconds of each part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Whole hours.
    pub hours: u64,
    /// Whole minutes beyond the hours.
    pub minutes: u64,
    /// Seconds beyond the minutes.
    pub seconds: f64,
    /// Seconds by part, such as `training` and `scoring`.
    pub parts: BTreeMap<String, f64>,
}

impl Runtime {
    /// The wall time `total`, in seconds, with its parts.
    pub fn new(total: f64, parts: BTreeMap<String, f64>) -> Self {
        let whole = total.max(0.0);
        let (hours, minutes) = ((whole / 3600.0) as u64, (whole % 3600.0 / 60.0) as u64);
        Self { hours, minutes, seconds: whole % 60.0, parts }
    }

    /// The wall time in seconds.
    pub fn total(&self) -> f64 {
        self.hours as f64 * 3600.0 + self.minutes as f64 * 60.0 + self.seconds
    }
}

/// Writes a `runtime.json`.
pub fn write(path: &Path, runtime: &Runtime) -> Result<()> {
    json::write(path, runtime)
}

/// Reads a `runtime.json`.
pub fn read(path: &Path) -> Result<Runtime> {
    json::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_splits_as_the_timer_of_improvelib_does() {
        let runtime = Runtime::new(3725.5, BTreeMap::new());
        assert_eq!((runtime.hours, runtime.minutes, runtime.seconds), (1, 2, 5.5));
        assert_eq!(runtime.total(), 3725.5);
    }
}
