use crate::checksum::checksum_of_file;
use crate::comm::{Communicator, same_file};
use crate::device::threads;
use crate::{Error, Result};
use std::path::Path;

/// Sizes the thread pool of every rank so that no processor is used twice.
/// Refuses ranks that are no ranks of one program.
pub fn start_ranks(world: &dyn Communicator, wish: Option<usize>) -> Result<()> {
    refuse_strangers(world)?;
    same_program(world)?;
    let (node, own) = (world.node(), threads::affinity());
    let bound = node.all_gather(bytemuck::cast_slice(&own));
    let numbers = |bytes: &Vec<u8>| bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
    let bound: Vec<Vec<u32>> = bound.iter().map(numbers).collect();
    let available = threads::available();
    let threads = threads::share(wish, available, &own, &bound);
    threads::start(threads)
}

/// Refuses ranks that run other programs: another version, or another build of it.
fn same_program(world: &dyn Communicator) -> Result<()> {
    if world.size() == 1 {
        return Ok(());
    }
    // The name may by now be that of another build; the link is to the one that runs.
    let path = Path::new("/proc/self/exe");
    let path = if path.exists() { path.into() } else { std::env::current_exe().unwrap_or_default() };
    let file =
        std::fs::metadata(&path).map_err(|e| Error::io(&path, "cannot look at this program's own file", e));
    // Read in pieces: mapped, it would count as memory of the run.
    same_file(world, "the program", file, |_| {
        let (length, sum) = checksum_of_file(&path)?;
        Ok(format!("{}, an executable of {length} bytes, XXH3 {sum}", env!("CARGO_PKG_VERSION")))
    })?;
    Ok(())
}

/// Refuses a job whose processes do not know of one another, because they were
/// built without MPI or started by the launcher of another MPI library: each
/// would do all of the work, into the same folder.
fn refuse_strangers(world: &dyn Communicator) -> Result<()> {
    const SIZE: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    let started = SIZE.iter().find_map(|name| number(name)).unwrap_or(1);
    match started {
        n if n <= 1 || world.size() > 1 => Ok(()),
        // Open MPI, alone in its world, sets variables of its own to zero.
        _ if RANK.iter().any(|name| number(name).is_some_and(|rank| rank > 0)) => Err(Error::Told),
        n => Err(Error::Ranks(format!(
            "the launcher started {n} processes that do not see each other: {}",
            advice()
        ))),
    }
}

#[cfg(feature = "mpi")]
fn advice() -> String {
    let library = crate::comm::MpiWorld::library();
    format!("this crossrx runs on {library}, so use the mpirun or srun that belongs to that")
}

#[cfg(not(feature = "mpi"))]
fn advice() -> String {
    "this crossrx was built without MPI, so start it as one process".into()
}

/// Where launchers say which process of its job this is.
const RANK: [&str; 5] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID", "SLURM_PROCID"];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Whether a launcher started this process as another than the first of its
/// job. Commands that run as one process then leave the work to the first.
pub fn is_extra_process() -> bool {
    RANK.iter().find_map(|name| number(name)).is_some_and(|rank| rank > 0)
}
