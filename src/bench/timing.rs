use crate::comm::{Communicator, Tag};
use crate::{Result, status};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Seconds that something took, over its repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quartiles {
    /// A quarter of them took less.
    pub low: f64,
    /// Half of them took less.
    pub median: f64,
    /// Three quarters of them took less.
    pub high: f64,
}

impl Quartiles {
    /// Of these seconds; zeros where there are none.
    pub fn of(seconds: &[f64]) -> Self {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: usize| sorted.get(sorted.len() * part / 4).copied().unwrap_or_default();
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

/// Seconds that `work` takes on the slowest rank, when all begin at once; the same on every rank.
pub(super) fn slowest(comm: &dyn Communicator, work: impl FnOnce()) -> f64 {
    comm.barrier();
    let started = Instant::now();
    work();
    let own = started.elapsed().as_secs_f64();
    all_seconds(comm, own).into_iter().fold(0.0, f64::max)
}

/// The seconds of every rank, by rank.
pub(super) fn all_seconds(comm: &dyn Communicator, own: f64) -> Vec<f64> {
    let all = comm.all_gather(&own.to_ne_bytes());
    all.iter().map(|bytes| bytemuck::pod_read_unaligned(bytes)).collect()
}

/// Whether rank 0 wants another round, the same on every rank.
pub(super) fn another(comm: &dyn Communicator, wanted: bool) -> bool {
    let mut go = vec![u8::from(wanted)];
    comm.broadcast(0, &mut go);
    go == [1]
}

/// Between two looks of a rank that waits for its turn.
const NAP: Duration = Duration::from_millis(5);

/// Runs `work` on those ranks of `world` that `takes_part` names, in a group of their own, and
/// returns what it gave there. The others sleep until it is done: a library's own waiting would hold
/// the processors that are measured. All ranks call this. A failure is returned at once, on the rank that
/// met it, and has to end the job: the rest of its group may be waiting for it in a call of `work`.
pub(super) fn among<R>(
    world: &dyn Communicator,
    takes_part: impl Fn(usize) -> bool,
    work: impl FnOnce(&dyn Communicator) -> Result<R>,
) -> Result<Option<R>> {
    let inside = takes_part(world.rank());
    let group = world.split(usize::from(!inside));
    if inside {
        let result = work(group.as_ref())?;
        group.barrier();
        if group.rank() == 0 {
            let others = (0..world.size()).filter(|&rank| !takes_part(rank));
            others.for_each(|rank| world.send(rank, Tag::Grant, &[]));
        }
        return Ok(Some(result));
    }
    let _others_may_measure_for_long = status::patience();
    while world.try_receive(Tag::Grant).is_none() {
        std::thread::sleep(NAP);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    #[test]
    fn quartiles_are_in_order_and_nothing_gives_zeros() {
        let seconds: Vec<f64> = (0..101).rev().map(f64::from).collect();
        assert_eq!(Quartiles::of(&seconds), Quartiles { low: 25.0, median: 50.0, high: 75.0 });
        assert_eq!(Quartiles::of(&[]).median, 0.0);
        assert_eq!(Quartiles::of(&[3.0]), Quartiles { low: 3.0, median: 3.0, high: 3.0 });
    }

    #[test]
    fn every_rank_knows_the_time_of_the_slowest() {
        let times = on_ranks(3, |comm| {
            slowest(comm, || std::thread::sleep(Duration::from_millis(20 * comm.rank() as u64)))
        });
        assert!(times.iter().all(|&t| t == times[0] && t >= 0.04), "{times:?}");
    }
}
