//! One file a subcommand: raw arguments, checked, become one call into the rooms below.

/// Speed of this machine.
pub mod bench;
mod command_line;
/// Scripts by which shells complete commands and options.
pub mod completions;
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
mod logging;
/// Manual pages.
pub mod man;
mod node_gpus;
mod placement;
/// Predict with a saved model.
pub mod predict;
/// Encoders of samples.
pub mod pretrain;
mod ranges;
/// Tables and page of finished runs.
pub mod report;
mod run_args;
mod say;
mod seats;
/// Made-up corpora.
pub mod synth;
/// One task of a study.
pub mod train;
/// The transfer study.
pub mod transfer;

pub use command_line::command_line;
pub use launch::{is_extra_process, start_ranks};
pub use logging::{open_log_file, start_log};

use crate::Result;
use crate::comm::Communicator;
use clap::{Parser, Subcommand};
use std::path::Path;

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
    Pretrain(pretrain::Args),
    Predict(predict::Args),
    Report(report::Args),
    Jobscript(jobscript::Args),
    Bench(bench::Args),
    Devices(devices::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Threads asked for by a command that runs on many ranks; `None` for one
    /// that runs as one process.
    pub fn threads_wished(&self) -> Option<Option<usize>> {
        match self {
            Command::Train(args) => Some(args.run.threads.map(usize::from)),
            Command::Transfer(args) => Some(args.run.threads.map(usize::from)),
            Command::Pretrain(args) => Some(args.run.threads.map(usize::from)),
            Command::Bench(args) => Some(args.threads()),
            _ => None,
        }
    }

    /// The file that a command on many ranks is to write its log to.
    pub fn log_file(&self) -> Option<&Path> {
        match self {
            Command::Train(args) => args.run.log.log_file.as_deref(),
            Command::Transfer(args) => args.run.log.log_file.as_deref(),
            Command::Pretrain(args) => args.run.log.log_file.as_deref(),
            Command::Bench(args) => args.log.log_file.as_deref(),
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
            Command::Pretrain(args) => pretrain::run(args, world),
            Command::Predict(args) => predict::run(args),
            Command::Report(args) => report::run(args),
            Command::Jobscript(args) => jobscript::run(args),
            Command::Bench(args) => bench::run(args, world),
            Command::Devices(args) => devices::run(args),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args),
        }
    }
}
