use super::logging::FILE_ONLY;
use super::ranges;
use super::seats::{self, Seat};
use crate::comm::Communicator;
use crate::device::threads;
use crate::{Error, Result, status};

/// The GPU that a rank computes on.
#[derive(Debug, Clone)]
pub struct OwnGpu {
    /// Its number among those that this rank sees.
    pub index: usize,
    /// How many it sees.
    pub seen: usize,
    /// Its name.
    pub name: String,
    /// What tells it from all others.
    pub identity: String,
}

/// Says, on rank 0, where every rank sits: host, cores, threads and GPU, hosts of one layout in one line; and
/// warns of cores that are used twice or by nobody, and of GPUs that nobody uses. Every rank of `world` calls
/// this, once threads and device are there.
pub fn tell(world: &dyn Communicator, gpu: Option<OwnGpu>) -> Result<()> {
    let own = serde_json::json!(own_seat(world, gpu)).to_string();
    let all = world.all_gather(own.as_bytes());
    if world.rank() > 0 {
        return Ok(());
    }
    let seats = all.iter().map(|bytes| serde_json::from_slice::<Seat>(bytes));
    let seats = seats.collect::<serde_json::Result<Vec<_>>>();
    let seats = seats.map_err(|e| Error::Ranks(format!("where ranks sit does not come through: {e}")))?;
    seats::lines(&seats).iter().for_each(|line| log::info!("{line}"));
    seats::warnings(&seats, launcher()).iter().for_each(|line| log::warn!("{line}"));
    seats::table(&seats).iter().for_each(|line| log::info!(target: FILE_ONLY, "{line}"));
    Ok(())
}

fn own_seat(world: &dyn Communicator, gpu: Option<OwnGpu>) -> Seat {
    let (node, own) = (world.node(), threads::affinity());
    let bound = node.all_gather(bytemuck::cast_slice(&own));
    let first = node.all_gather(&(world.rank() as u64).to_ne_bytes());
    let first = first.first().map_or(0, |bytes| bytemuck::pod_read_unaligned::<u64>(bytes) as usize);
    let mut used: Vec<u32> =
        bound.iter().flat_map(|bytes| bytes.chunks_exact(4)).map(bytemuck::pod_read_unaligned).collect();
    used.sort_unstable();
    used.dedup();
    let available = threads::available();
    // Fewer than it is bound to are a quota of all ranks.
    let quota = available < own.len();
    let mut idle = 0;
    if node.rank() == 0 && !quota {
        // Where Slurm does not confine a job to its share of a host, the rest is not the job's.
        let slurm = std::env::var("SLURM_JOB_CPUS_PER_NODE").ok().and_then(|list| most_in(&list));
        // It counts processors, two of a core with hyperthreads.
        let of_core = used.len() / threads::cores(&used).max(1);
        let share = slurm.map_or(usize::MAX, |share| share.saturating_sub(used.len()) / of_core.max(1));
        idle = threads::idle_cores(&used).len().min(share);
    }
    Seat {
        host: status::own_host(),
        node: first,
        cores: ranges::numbers(own.iter().map(|&core| core as usize)),
        bound: own.len(),
        bound_cores: threads::cores(&own),
        threads: rayon::current_num_threads(),
        processors: if quota { available } else { used.len().max(available) },
        idle,
        gpu: gpu.as_ref().map(|gpu| (gpu.index, gpu.name.clone(), gpu.identity.clone())),
        gpus_seen: gpu.map_or(0, |gpu| gpu.seen),
    }
}

/// The most processors of a node in Slurm's list of them, such as "72(x2),36".
fn most_in(list: &str) -> Option<usize> {
    let processors = |part: &str| part.split('(').next()?.trim().parse::<usize>().ok();
    list.split(',').filter_map(processors).max()
}

/// Who started the ranks, as far as the environment tells.
fn launcher() -> seats::Launcher {
    let set = |name: &str| std::env::var_os(name).is_some();
    match () {
        () if set("OMPI_COMM_WORLD_SIZE") => seats::Launcher::OpenMpi,
        () if set("PALS_RANKID") => seats::Launcher::Pals,
        // Where Hydra starts its helpers by srun, the ranks inherit the variables of that.
        () if set("PMI_RANK") && set("MPI_LOCALRANKID") => seats::Launcher::Hydra,
        () if set("SLURM_PROCID") && set("SLURM_STEP_ID") => seats::Launcher::Slurm,
        () if set("PMI_RANK") => seats::Launcher::Hydra,
        () => seats::Launcher::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_job_is_read_from_slurms_list() {
        assert_eq!(most_in("72(x2),36"), Some(72));
        assert_eq!(most_in("8"), Some(8));
        assert_eq!(most_in("all"), None);
    }

    /// Every rank tells of itself, and one makes lines of it.
    #[test]
    fn ranks_tell_where_they_sit() {
        let seats = crate::comm::threads::on_ranks(3, |world| {
            let gpu = (world.rank() == 2).then(|| OwnGpu {
                index: 1,
                seen: 2,
                name: "GPU".into(),
                identity: "abc".into(),
            });
            tell(world, gpu.clone()).unwrap();
            own_seat(world, gpu)
        });
        assert!(seats.iter().all(|seat| seat.node == 0 && !seat.host.is_empty() && seat.threads > 0));
        assert_eq!((seats[2].gpus_seen, seats[1].idle), (2, 0));
        assert_eq!(seats[2].gpu, Some((1, "GPU".into(), "abc".into())));
    }
}
