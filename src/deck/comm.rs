use serde::{Deserialize, Serialize};

/// The `[comm]` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommSpec {
    /// After how long without progress a rank that others wait for is named and
    /// the job ended; zero for never.
    pub timeout_seconds: f64,
}

impl Default for CommSpec {
    fn default() -> Self {
        Self { timeout_seconds: 300.0 }
    }
}

impl CommSpec {
    /// The first key whose value cannot be used, with what is wrong.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let time = self.timeout_seconds;
        let usable = time == 0.0 || (1.0..=1e6).contains(&time);
        (!usable).then(|| ("timeout_seconds", "must be 0, for never, or from 1 to 1000000".into()))
    }
}
