use crate::{Error, Result};
use std::ops::Range;

/// The cut of a training set into lanes, and of each epoch into steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    rows: usize,
    lanes: usize,
    steps: usize,
}

impl Lanes {
    /// Cuts `rows` training pairs into `lanes` lanes whose lengths differ by at
    /// most one, and epochs into the fewest steps that take at most
    /// `batch / lanes` pairs of each lane.
    /// Refuses more lanes than pairs, and a batch smaller than the lanes.
    pub fn new(rows: usize, lanes: usize, batch: usize) -> Result<Self> {
        if lanes == 0 || rows < lanes {
            return Err(Error::Ranks(format!(
                "{rows} training pairs cannot fill {lanes} lanes; use fewer ranks"
            )));
        }
        if batch < lanes {
            return Err(Error::Ranks(format!(
                "steps of {batch} pairs leave some of {lanes} lanes empty; use at most {batch} lanes or ranks, a larger train.batch or fewer train.min_steps"
            )));
        }
        Ok(Self { rows, lanes, steps: rows.div_ceil(lanes).div_ceil(batch / lanes) })
    }

    /// Training pairs in all.
    pub fn total(&self) -> usize {
        self.rows
    }

    /// Number of lanes.
    pub fn count(&self) -> usize {
        self.lanes
    }

    /// Steps an epoch.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Training pairs of a lane; [`super::deal`] says which.
    pub fn rows(&self, lane: usize) -> usize {
        part(self.rows, self.lanes, lane).len()
    }

    /// The part of a shuffled lane that a step takes, as positions in the lane.
    pub fn step(&self, lane: usize, step: usize) -> Range<usize> {
        part(self.rows(lane), self.steps, step)
    }

    /// Pairs in a step, over all lanes.
    pub fn rows_in_step(&self, step: usize) -> usize {
        (0..self.lanes).map(|lane| self.step(lane, step).len()).sum()
    }

    /// Most pairs that one lane gives to a step.
    pub fn most_in_step(&self) -> usize {
        self.rows.div_ceil(self.lanes).div_ceil(self.steps)
    }

    /// The lanes of rank `rank` of `ranks`: one each, or an equal share of a
    /// power of two among a power of two, so that sums over lanes do not depend
    /// on how they are dealt. Refuses anything else.
    pub fn of_rank(&self, rank: usize, ranks: usize) -> Result<Range<usize>> {
        let powers = self.lanes.is_power_of_two() && ranks.is_power_of_two() && ranks <= self.lanes;
        if self.lanes != ranks && !powers {
            return Err(Error::Ranks(format!(
                "{} lanes cannot be dealt to {ranks} ranks; use a power of two of ranks, at most train.lanes, itself a power of two",
                self.lanes
            )));
        }
        Ok(part(self.lanes, ranks, rank))
    }
}

/// Part `index` of `count` of `0..total`, as even as can be.
pub fn part(total: usize, count: usize, index: usize) -> Range<usize> {
    let at = |i: usize| (total as u128 * i as u128 / count as u128) as usize;
    at(index)..at(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_epoch_takes_every_row_once(rows in 1usize..5000, lanes in 1usize..9, batch in 1usize..700) {
            prop_assume!(rows >= lanes && batch >= lanes);
            let cut = Lanes::new(rows, lanes, batch).unwrap();
            let mut seen = vec![0; rows];
            let mut first = 0;
            for lane in 0..lanes {
                for step in 0..cut.steps() {
                    let taken = cut.step(lane, step);
                    prop_assert!(taken.len() <= cut.most_in_step());
                    taken.for_each(|p| seen[first + p] += 1);
                }
                first += cut.rows(lane);
            }
            prop_assert!(seen.iter().all(|&n| n == 1));
            prop_assert!((0..cut.steps()).all(|s| cut.rows_in_step(s) <= batch.max(lanes)));
        }
    }

    #[test]
    fn too_many_ranks_are_refused() {
        let lanes = Lanes::new(100, 4, 16).unwrap();
        assert_eq!(lanes.of_rank(1, 2).unwrap(), 2..4);
        assert!(lanes.of_rank(0, 8).unwrap_err().to_string().contains("4 lanes"));
        assert!(lanes.of_rank(0, 3).is_err());
        assert!(Lanes::new(3, 4, 16).is_err());
        assert!(Lanes::new(100, 4, 3).is_err());
    }
}
