use crate::comm::Communicator;
use crate::device::threads;
use crate::report::phrase::count;
use crate::{Error, Result};
use std::io::Write;
use std::time::Instant;

/// Starts the log on standard error: seconds since the start, and the level
/// where it is not plain information. `RUST_LOG` chooses otherwise.
pub fn start_log() {
    let started = Instant::now();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(move |out, record| {
            let seconds = started.elapsed().as_secs_f64();
            match record.level() {
                log::Level::Info => writeln!(out, "[{seconds:8.2}] {}", record.args()),
                level => {
                    writeln!(out, "[{seconds:8.2}] {}: {}", level.as_str().to_lowercase(), record.args())
                }
            }
        })
        .init();
}

/// Sizes the thread pool of every rank so that no processor is used twice, and
/// says on rank 0 where the ranks sit.
pub fn start_ranks(world: &dyn Communicator, wish: Option<usize>) -> Result<()> {
    refuse_strangers(world)?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
    let place = format!("{host} {}", threads::affinity());
    let places = world.all_gather(place.as_bytes());
    let sharing = places.iter().filter(|p| **p == place.as_bytes()).count();
    let processors = threads::available();
    let threads = threads::share(wish, processors, sharing);
    threads::start(threads)?;
    let mut hosts: Vec<&str> =
        places.iter().filter_map(|p| std::str::from_utf8(p).ok()?.split(' ').next()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if world.rank() == 0 {
        log::info!(
            "{} on {}, {} each",
            count(world.size(), "rank"),
            count(hosts.len(), "host"),
            count(threads, "thread")
        );
        if threads * sharing > processors {
            log::warn!(
                "{sharing} ranks of {threads} threads share {processors} processors: the machine is oversubscribed"
            );
        }
    }
    Ok(())
}

/// Refuses a job whose processes do not know of one another, because they were
/// built without MPI or started by the launcher of another MPI library: each
/// would do all of the work, into the same folder.
fn refuse_strangers(world: &dyn Communicator) -> Result<()> {
    const SIZE: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    let started = SIZE.iter().find_map(|name| std::env::var(name).ok()?.parse::<u64>().ok()).unwrap_or(1);
    match started {
        n if n <= 1 || world.size() > 1 => Ok(()),
        _ if is_extra_process() => Err(Error::Told),
        n => Err(Error::Ranks(format!(
            "the launcher started {n} processes that do not see each other: use the mpirun or srun of the MPI library that crossrx was built with, or one process if it was built without"
        ))),
    }
}

/// Whether a launcher started this process as another than the first of its
/// job. Commands that run as one process then leave the work to the first.
pub fn is_extra_process() -> bool {
    const RANK: [&str; 5] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID", "SLURM_PROCID"];
    let rank = RANK.iter().find_map(|name| std::env::var(name).ok()?.parse::<u64>().ok());
    rank.is_some_and(|rank| rank > 0)
}
