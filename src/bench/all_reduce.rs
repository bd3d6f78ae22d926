use crate::comm::{Communicator, TreeSum};
use crate::report::phrase::count;
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::time::Instant;

/// How fast gradients are summed over ranks here.
#[derive(Debug, Clone, Serialize)]
pub struct AllReduceReport {
    /// Size of what each rank adds, in binary megabytes.
    pub mebibytes: usize,
    /// Ranks.
    pub ranks: usize,
    /// Sums of each kind.
    pub rounds: usize,
    /// Milliseconds of the median tree sum, by the rank that took longest.
    pub tree_sum_ms: f64,
    /// The same of the library's own sum.
    pub library_ms: f64,
    /// The first as a part of the second.
    pub ratio: f64,
}

/// Rounds before the clock runs.
const WARM: usize = 2;

/// Sums `mebibytes` over all ranks of `comm` for about `seconds`, by [`TreeSum`] and by the library
/// in turn. Fails on one rank, and where the two sums differ by more than their rounding.
pub fn measure_all_reduce(
    mebibytes: usize,
    seconds: f64,
    comm: &dyn Communicator,
) -> Result<AllReduceReport> {
    if comm.size() == 1 {
        return Err(Error::Request("bench all-reduce sums over ranks: start two or more".into()));
    }
    let length = (mebibytes << 20) / size_of::<f32>();
    let own: Vec<f32> = (0..length).map(|i| ((i + 31 * comm.rank()) % 977) as f32 * 1e-3 - 0.5).collect();
    let (mut values, mut sum) = (own.clone(), vec![0.0; length]);
    let mut tree = TreeSum::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    let (mut round, mut more) = (0, true);
    while more {
        values.copy_from_slice(&own);
        let tree_ms = slowest_ms(comm, || tree.all_reduce(comm, &mut values));
        let library_ms = slowest_ms(comm, || comm.library_sum(&own, &mut sum));
        if round >= WARM {
            ours.push(tree_ms);
            theirs.push(library_ms);
        }
        round += 1;
        // All ranks take as many rounds as the first.
        let mut go = vec![u8::from(begun.elapsed().as_secs_f64() < seconds || round <= WARM)];
        comm.broadcast(0, &mut go);
        more = go == [1];
    }
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6 * comm.size() as f32;
    if let Some(at) = values.iter().zip(&sum).position(far) {
        return Err(Error::Ranks(format!(
            "value {at} is {} by the tree sum, {} by the library's",
            values[at], sum[at]
        )));
    }
    let (tree_sum_ms, library_ms) = (median(&mut ours), median(&mut theirs));
    Ok(AllReduceReport {
        mebibytes,
        ranks: comm.size(),
        rounds: ours.len(),
        tree_sum_ms,
        library_ms,
        ratio: tree_sum_ms / library_ms,
    })
}

/// Milliseconds that `work` takes on the slowest rank, when all begin at once.
fn slowest_ms(comm: &dyn Communicator, work: impl FnOnce()) -> f64 {
    comm.barrier();
    let started = Instant::now();
    work();
    let own = started.elapsed().as_secs_f64() * 1e3;
    let all = comm.all_gather(&own.to_ne_bytes());
    all.iter().map(|bytes| bytemuck::pod_read_unaligned::<f64>(bytes)).fold(0.0, f64::max)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

impl fmt::Display for AllReduceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} MiB over {}, median of {} rounds: tree sum {:.2} ms, the library's {:.2} ms, ratio {:.3}",
            self.mebibytes,
            count(self.ranks, "rank"),
            self.rounds,
            self.tree_sum_ms,
            self.library_ms,
            self.ratio
        )
    }
}
