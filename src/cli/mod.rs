//! One file a subcommand: raw arguments, checked, become one call into the rooms below.

/// Speed of this machine.
pub mod bench;
mod command_line;
mod device;
/// GPUs of this machine.
pub mod devices;
/// Import public formats into a store.
pub mod import;
/// Print what a store holds.
pub mod inspect;
/// Scripts for batch systems.
pub mod jobscript;
mod json;
mod launch;
/// Predict with a saved model.
pub mod predict;
/// Tables and page of finished runs.
pub mod report;
mod run_args;
mod say;
/// Made-up corpora.
pub mod synth;
/// One task of a study.
pub mod train;
/// The transfer study.
pub mod transfer;

pub use command_line::command_line;
pub use launch::{is_extra_process, start_log, start_ranks};

use crate::Result;
use crate::comm::Communicator;
use clap::{Parser, Subcommand};

/// Train drug-response networks on one screen and score them on every other,
/// on one core or many MPI ranks.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "help shows what each command's arguments say of it")]
pub enum Command {
    Import(import::Args),
    Inspect(inspect::Args),
    Synth(synth::Args),
    Train(train::Args),
    Transfer(transfer::Args),
    Predict(predict::Args),
    Report(report::Args),
    Jobscript(jobscript::Args),
    Bench(bench::Args),
    Devices(devices::Args),
}

impl Command {
    /// Threads asked for by a command that runs on many ranks; `None` for one
    /// that runs as one process.
    pub fn threads_wished(&self) -> Option<Option<usize>> {
        match self {
            Command::Train(args) => Some(args.run.threads.map(usize::from)),
            Command::Transfer(args) => Some(args.run.threads.map(usize::from)),
            Command::Bench(args) => Some(args.threads()),
            _ => None,
        }
    }

    /// Runs the command. Those that run on many ranks are called on all of
    /// them with their `world`; the others on one.
    pub fn run(self, world: &dyn Communicator) -> Result<()> {
        match self {
            Command::Import(args) => import::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Synth(args) => synth::run(args),
            Command::Train(args) => train::run(args, world),
            Command::Transfer(args) => transfer::run(args, world),
            Command::Predict(args) => predict::run(args),
            Command::Report(args) => report::run(args),
            Command::Jobscript(args) => jobscript::run(args),
            Command::Bench(args) => bench::run(args, world),
            Command::Devices(args) => devices::run(args),
        }
    }
}
