use super::launcher::Launcher;
use crate::bench::scaling::Mode;
use std::path::PathBuf;

/// Who runs the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheduler {
    /// Slurm, by sbatch
    Slurm,
    /// PBS Professional or OpenPBS, by qsub
    Pbs,
    /// This machine, without a scheduler
    Local,
}

impl Scheduler {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::Slurm => "slurm",
            Scheduler::Pbs => "pbs",
            Scheduler::Local => "local",
        }
    }
}

/// What was asked for, as it was typed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the help of crossrx jobscript says what each is")]
pub struct Wish {
    pub scheduler: Scheduler,
    pub decks: Vec<PathBuf>,
    pub nodes: usize,
    pub ranks_per_node: usize,
    pub gpus_per_node: usize,
    pub cores_per_node: Option<usize>,
    pub hours: Option<f64>,
    pub account: Option<String>,
    pub queue: Option<String>,
    pub modules: Vec<String>,
    pub requeue: bool,
    pub machine: Option<String>,
    pub launcher: Option<Launcher>,
    pub sets: Vec<String>,
    pub out: Option<PathBuf>,
    pub name: Option<String>,
    pub directives: Vec<String>,
    pub scaling: Option<Mode>,
    pub program: String,
    /// The command line, for the head of the script.
    pub command: String,
}
