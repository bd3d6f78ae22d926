use crate::batch::{Lanes, Shuffle, part};
use crate::feature::StudyTables;
use std::collections::HashSet;

/// Numbers of shuffles that no lane has.
const HELD_OUT: u32 = u32::MAX;
const DEALT: u32 = u32::MAX - 1;

/// Which rows train, and which are held out to choose the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// A mark a row.
    pub is_training: Vec<bool>,
    /// Training rows, ascending.
    pub train: Vec<u32>,
    /// Rows held out, ascending.
    pub val: Vec<u32>,
}

impl Parts {
    /// Holds out so large a part of the samples of each study, drawn by `seed`; one at least, and all but one at
    /// most. A sample of several studies is drawn in the first of them, and is held out in all.
    pub fn of(tables: &StudyTables<'_>, validation: f64, seed: u64) -> Self {
        let (mut met, mut held_out) = (HashSet::new(), HashSet::new());
        let mut is_training = Vec::with_capacity(tables.rows());
        for number in 0..tables.names().count() {
            let samples = tables.samples_of(number);
            let new: Vec<u32> = samples.iter().copied().filter(|&sample| met.insert(sample)).collect();
            let wanted = (new.len() as f64 * validation).round() as usize;
            let wanted = wanted.clamp(1, new.len().saturating_sub(1).max(1)).min(new.len());
            let order = Shuffle::new(seed, HELD_OUT, number as u32, new.len());
            held_out.extend((0..wanted as u32).map(|position| new[order.row(position) as usize]));
            is_training.extend(samples.iter().map(|sample| !held_out.contains(sample)));
        }
        let of = |wanted: bool| {
            (0u32..).zip(&is_training).filter(|(_, is)| **is == wanted).map(|(row, _)| row).collect()
        };
        Self { train: of(true), val: of(false), is_training }
    }

    /// The training rows of every lane, each ascending: rows are dealt at random, so that a lane, and with it every
    /// step's share of it, has something of every study.
    pub fn deal(&self, lanes: Lanes, seed: u64) -> Vec<Vec<u32>> {
        let order = Shuffle::new(seed, DEALT, 0, self.train.len());
        let of_lane = |lane| {
            let positions = part(self.train.len(), lanes.count(), lane);
            let mut rows: Vec<u32> =
                positions.map(|position| self.train[order.row(position as u32) as usize]).collect();
            rows.sort_unstable();
            rows
        };
        (0..lanes.count()).map(of_lane).collect()
    }
}
