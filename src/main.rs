//! crossrx: arguments, then ranks, then one command, then an exit code.

use clap::Parser;
use crossrx::cli::{Cli, is_extra_process, start_log, start_ranks};
use crossrx::comm::{Communicator, Serial};
use crossrx::{Error, Result, stop};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    share_stores();
    match cli.command.threads_wished() {
        Some(threads) => on_ranks(cli, threads),
        None if is_extra_process() => ExitCode::SUCCESS,
        None => finish(cli.command.run(&Serial)),
    }
}

/// HDF5 locks the files it opens, which fails on file systems without locks.
/// A finished store never changes and is replaced by renaming, so it needs none.
fn share_stores() {
    const LOCKING: &str = "HDF5_USE_FILE_LOCKING";
    if std::env::var_os(LOCKING).is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var(LOCKING, "FALSE") };
    }
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // All ranks come to this together, and it has been told.
        Err(Error::Stopped) => ExitCode::from(stop::EXIT_CODE),
        Err(error) => {
            if !matches!(error, Error::Told) {
                log::error!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn with_threads(cli: Cli, world: &dyn Communicator, threads: Option<usize>) -> Result<()> {
    start_ranks(world, threads)?;
    cli.command.run(world)
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(cli: Cli, threads: Option<usize>) -> ExitCode {
    finish(with_threads(cli, &Serial, threads))
}

/// Nothing unwinds through MPI: a panic or an error on one rank is told and
/// then ends the whole job.
#[cfg(feature = "mpi")]
fn on_ranks(cli: Cli, threads: Option<usize>) -> ExitCode {
    let world = match crossrx::comm::start() {
        Ok(world) => world,
        Err(error) => return finish(Err(error)),
    };
    let ranks = world.communicator();
    let rank = ranks.rank();
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log::error!("rank {rank} panicked; this is a fault of crossrx, please report it");
        told(panic);
        crossrx::comm::abort_job(1);
    }));
    match with_threads(cli, ranks.as_ref(), threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Stopped) => ExitCode::from(stop::EXIT_CODE),
        Err(error) => {
            if !matches!(error, Error::Told) {
                log::error!("rank {rank}: {error}");
            }
            if ranks.size() == 1 {
                return ExitCode::FAILURE;
            }
            ranks.abort(1)
        }
    }
}
