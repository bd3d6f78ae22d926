use super::sums::time_sums;
use super::timing::Quartiles;
use crate::comm::Communicator;
use crate::report::phrase::count;
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;

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

/// Sums `mebibytes` over all ranks of `comm` for about `seconds`, by [`crate::comm::TreeSum`] and by the library
/// in turn. Fails on one rank, and where the two sums differ by more than their rounding.
pub fn measure_all_reduce(
    mebibytes: usize,
    seconds: f64,
    comm: &dyn Communicator,
) -> Result<AllReduceReport> {
    if comm.size() == 1 {
        return Err(Error::Request("bench all-reduce sums over ranks: start two or more".into()));
    }
    let times = time_sums(comm, comm, (mebibytes << 20) / size_of::<f32>(), seconds)?;
    let ms = |seconds: &[f64]| Quartiles::of(seconds).median * 1e3;
    let (tree_sum_ms, library_ms) = (ms(&times.tree), ms(&times.library));
    Ok(AllReduceReport {
        mebibytes,
        ranks: comm.size(),
        rounds: times.tree.len(),
        tree_sum_ms,
        library_ms,
        ratio: tree_sum_ms / library_ms,
    })
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
