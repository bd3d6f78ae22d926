use super::timing::{another, slowest};
use crate::comm::{Communicator, TreeSum};
use crate::{Error, Result};
use std::time::Instant;

/// Seconds of sums over ranks, one entry a round, each by the slowest rank.
#[derive(Debug, Default)]
pub(super) struct SumTimes {
    /// [`TreeSum`].
    pub tree: Vec<f64>,
    /// The library's own.
    pub library: Vec<f64>,
}

/// Rounds before the clock runs, the first of which sums numbers that are checked.
const WARM: usize = 2;
/// Rounds, at least, and at most.
const ROUNDS: [usize; 2] = [3, 1000];
/// Seconds of a round: short sums are taken several times, so that ranks which begin a little apart do not matter.
const ROUND: f64 = 5e-4;
/// Most sums a round.
const MOST: f64 = 64.0;

/// Sums `length` numbers a rank over the ranks of `comm` for about `seconds`: by [`TreeSum`] with the
/// messages of `by`, the same ranks, and by the library in turn. All ranks call this. Fails where
/// the two sums differ by more than their rounding.
pub(super) fn time_sums(
    comm: &dyn Communicator,
    by: &dyn Communicator,
    length: usize,
    seconds: f64,
) -> Result<SumTimes> {
    let mut values: Vec<f32> =
        (0..length).map(|i| ((i + 31 * comm.rank()) % 977) as f32 * 1e-3 - 0.5).collect();
    let mut sum = vec![0.0; length];
    let mut tree = TreeSum::default();
    let (mut times, mut repeat) = (SumTimes::default(), [1usize; 2]);
    let begun = Instant::now();
    let mut round = 0;
    loop {
        // The library first: the tree sum replaces what it sums.
        let theirs = slowest(comm, || (0..repeat[1]).for_each(|_| comm.library_sum(&values, &mut sum)));
        let ours = slowest(comm, || (0..repeat[0]).for_each(|_| tree.all_reduce(by, &mut values)));
        if round == 0 {
            check(&values, &sum, comm.size())?;
            // Zeros stay what they are, however often they are summed.
            values.fill(0.0);
        }
        if round >= WARM {
            times.tree.push(ours / repeat[0] as f64);
            times.library.push(theirs / repeat[1] as f64);
        } else if round + 1 == WARM {
            repeat = [ours, theirs].map(|once| (ROUND / once.max(1e-9)).clamp(1.0, MOST) as usize);
        }
        round += 1;
        let rounds = round.saturating_sub(WARM);
        let wanted = rounds < ROUNDS[0] || (rounds < ROUNDS[1] && begun.elapsed().as_secs_f64() < seconds);
        if !another(comm, wanted) {
            return Ok(times);
        }
    }
}

fn check(ours: &[f32], theirs: &[f32], ranks: usize) -> Result<()> {
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6 * ranks as f32;
    match ours.iter().zip(theirs).position(far) {
        None => Ok(()),
        Some(at) => Err(Error::Ranks(format!(
            "value {at} is {} by the tree sum, {} by the library's",
            ours[at], theirs[at]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    #[test]
    fn both_sums_are_timed_in_as_many_rounds_on_every_rank() {
        let all = on_ranks(3, |comm| time_sums(comm, comm, 100, 0.01).unwrap());
        assert!(all.iter().all(|times| times.tree.len() >= 3 && times.tree == all[0].tree));
        assert!(all.iter().all(|times| times.library.iter().all(|&s| s > 0.0)));
        assert!(check(&[1.0], &[1.1], 2).unwrap_err().to_string().contains("value 0"));
    }
}
