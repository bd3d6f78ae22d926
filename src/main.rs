//! crossrx: arguments, then ranks, then one command, then an exit code.

use clap::Parser;
use crossrx::cli::{Cli, is_extra_process, open_log_file, start_log, start_ranks};
#[cfg(feature = "mpi")]
use crossrx::comm::{self, Watch};
use crossrx::comm::{Communicator, Serial, agree};
use crossrx::train::Drill;
use crossrx::{Error, Result, status, stop};
use std::process::ExitCode;
#[cfg(feature = "mpi")]
use std::time::Duration;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    end_on_panic();
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
                let cause = error.to_string();
                match status::has_task() {
                    true => log::error!(target: status::PLACED, "{}", status::placed(&cause)),
                    false => log::error!("{cause}"),
                }
            }
            ExitCode::FAILURE
        }
    }
}

/// A panic on any thread is told in one line, and ends the process or the job:
/// ranks would wait for ever for one that has lost a thread.
fn end_on_panic() {
    let long = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no word");
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wish| wish != "0") {
            long(panic);
        }
        let text = text.replace('\n', " ");
        fail(&format!("panic{place}: {text}; this is a fault of crossrx, please report it"));
        std::process::exit(101);
    }));
}

fn run(
    cli: Cli,
    world: &dyn Communicator,
    threads: Option<usize>,
    watch: impl FnOnce() -> Result<()>,
) -> Result<()> {
    start_ranks(world, threads)?;
    agree(world, Drill::prepare())?;
    watch()?;
    // Not before: a rank whose file system hangs is to be named, and one that is refused leaves no file.
    if let Some(file) = cli.command.log_file() {
        open_log_file(file, world)?;
    }
    cli.command.run(world)
}

#[cfg(not(feature = "mpi"))]
fn fail(cause: &str) {
    log::error!(target: status::PLACED, "{}", status::placed(cause));
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(cli: Cli, threads: Option<usize>) -> ExitCode {
    status::set_rank(0);
    finish(run(cli, &Serial, threads, || Ok(())))
}

/// Tells, with rank, host, task and step, why the job ends, unless it has been
/// told, and ends it on all ranks.
#[cfg(feature = "mpi")]
fn fail(cause: &str) {
    if comm::claim_word() {
        log::error!(target: status::PLACED, "{}", status::placed(cause));
    } else {
        // Whoever has the word may not have told yet, and ends the job too.
        std::thread::sleep(Duration::from_secs(1));
    }
    comm::abort_job(1);
}

/// Nothing unwinds through MPI: a panic or an error on one rank is told and
/// then ends the whole job.
#[cfg(feature = "mpi")]
fn on_ranks(cli: Cli, threads: Option<usize>) -> ExitCode {
    let world = match comm::start() {
        Ok(world) => world,
        Err(error) => return finish(Err(error)),
    };
    let ranks = world.communicator();
    status::set_rank(ranks.rank());
    let mut watch = None;
    let result = run(cli, ranks.as_ref(), threads, || {
        watch = Watch::start(&world)?;
        Ok(())
    });
    match result {
        Ok(()) | Err(Error::Stopped) => {}
        result if ranks.size() == 1 => return finish(result),
        Err(Error::Told) => {
            comm::claim_word();
            ranks.abort(1)
        }
        Err(error) => {
            fail(&error.to_string());
            ranks.abort(1)
        }
    }
    if let Some(watch) = watch {
        watch.stop(ranks.as_ref());
    }
    finish(result)
}
