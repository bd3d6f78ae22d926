use super::{json, phrase};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `run.json`: what was run, with what, and for how long. Every field has a
/// default, so a tree that another program wrote may leave any of them out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// The model's kind, such as `two-tower`.
    pub model: String,
    /// The endpoint predicted, such as `auc`.
    pub endpoint: String,
    /// Version of this program; empty for another one.
    pub crossrx: String,
    /// Versions of libraries by name.
    pub versions: BTreeMap<String, String>,
    /// The command line.
    pub command: String,
    /// MPI processes.
    pub ranks: usize,
    /// Threads a process.
    pub threads: usize,
    /// Groups of processes that trained at the same time.
    pub groups: usize,
    /// Start, UTC, ISO 8601.
    pub started: String,
    /// Wall time in seconds, of all jobs that it took; 0 where not known.
    pub wall_s: f64,
    /// Jobs that it took, of which ranks, threads and memory are the last one's; 0 where not known.
    pub jobs: usize,
    /// Most memory that a rank held, in MiB; 0 where not known.
    pub peak_memory_mib: f64,
    /// The same as worked out before the run.
    pub estimated_memory_mib: f64,
    /// Most memory that the ranks of a node held, in MiB, what they share counted once; 0 where not known.
    pub peak_node_memory_mib: f64,
    /// The same as worked out before the run.
    pub estimated_node_memory_mib: f64,
    /// Datasets trained on, in the order of the tables.
    pub sources: Vec<String>,
    /// Datasets scored, in the order of the tables.
    pub targets: Vec<String>,
    /// Splits, in the order of the tables.
    pub splits: Vec<u32>,
}

impl RunInfo {
    /// The wall time in words, and in how many jobs; `None` where not known.
    pub fn wall_time(&self) -> Option<String> {
        let time = (self.wall_s > 0.0).then(|| phrase::duration(self.wall_s))?;
        Some(if self.jobs > 1 { format!("{time} in {} jobs", self.jobs) } else { time })
    }
}

/// Reads a `run.json`.
pub fn read(path: &Path) -> Result<RunInfo> {
    json::read(path)
}

/// Writes a `run.json`.
pub fn write(path: &Path, info: &RunInfo) -> Result<()> {
    json::write(path, info)
}
