use crate::device::philox::{Stream, key, philox4x32_10};
use std::ops::Range;

/// Half-rounds of the network; the first number from which orders of few rows and neighbours in
/// orders of many cannot be told from random ones, and two more.
const ROUNDS: usize = 10;
/// The network permutes no fewer than 2^6 numbers: its halves would be too small to mix.
const LEAST_BITS: u32 = 6;
/// Those of Philox.
const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];

/// The order of a lane's rows in an epoch: a keyed permutation of `0..rows` that is computed a
/// position at a time and needs no list (Mitchell, Stokes, Frank and Holmes, "Bandwidth-optimal
/// random shuffling for GPUs", 2021). A Feistel network permutes the numbers of as many bits as rows
/// need, and is applied again where it leads beyond them. It depends on seed, epoch, lane and
/// number of rows alone; `kernels/assemble.cu` computes the same on a device.
#[derive(Debug, Clone, Copy)]
pub struct Shuffle {
    rows: u32,
    /// Of the halves.
    bits: [u32; 2],
    keys: [u32; ROUNDS],
    /// Whether the numbers 0 and 1 change places: the network alone makes even permutations only.
    swap: u32,
}

impl Shuffle {
    /// The order of `rows` rows of lane `lane`. Panics if they pass 2^32 - 1.
    pub fn new(seed: u64, epoch: u32, lane: u32, rows: usize) -> Self {
        assert!(u32::try_from(rows).is_ok(), "{rows} rows of a lane");
        let rows = rows as u32;
        let bits = (u32::BITS - rows.saturating_sub(1).leading_zeros()).max(LEAST_BITS);
        let mut words = [0; 12];
        for (words, draw) in words.chunks_exact_mut(4).zip(0..) {
            words.copy_from_slice(&philox4x32_10(Stream::Shuffle.counter(draw, epoch, lane, 0), key(seed)));
        }
        let keys = std::array::from_fn(|round| words[round]);
        Self { rows, bits: [bits / 2, bits - bits / 2], keys, swap: words[ROUNDS] & 1 }
    }

    /// The row at `position`. Panics if there is none.
    #[inline]
    pub fn row(&self, position: u32) -> u32 {
        assert!(position < self.rows, "position {position} of {}", self.rows);
        let mut row = position;
        loop {
            row = self.permute(row);
            if row < self.rows {
                return row;
            }
        }
    }

    /// Lists the rows at `positions`; `into` is overwritten.
    pub fn list(&self, positions: Range<usize>, into: &mut Vec<u32>) {
        into.clear();
        into.extend(positions.map(|position| self.row(position as u32)));
    }

    /// Permutes the numbers below two to the power of the bits.
    #[inline]
    fn permute(&self, number: u32) -> u32 {
        let [left_bits, right_bits] = self.bits;
        let (mut left, mut right) = (number >> right_bits, number & ((1 << right_bits) - 1));
        for keys in self.keys.chunks_exact(2) {
            left ^= mix(right ^ keys[0]) & ((1 << left_bits) - 1);
            right ^= mix(left ^ keys[1]) & ((1 << right_bits) - 1);
        }
        let number = left << right_bits | right;
        if number < 2 { number ^ self.swap } else { number }
    }
}

/// Sixteen bits that each depend on all of `word`.
#[inline]
fn mix(word: u32) -> u32 {
    let product = word.wrapping_mul(MULTIPLIER[0]);
    (product ^ (product >> 15)).wrapping_mul(MULTIPLIER[1]) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn order(seed: u64, epoch: u32, lane: u32, rows: usize) -> Vec<u32> {
        let mut order = Vec::new();
        Shuffle::new(seed, epoch, lane, rows).list(0..rows, &mut order);
        order
    }

    #[test]
    fn each_epoch_and_lane_has_a_permutation_of_its_own() {
        for rows in [0, 1, 2, 63, 64, 65, 1000, 1024, 40_000] {
            let mut sorted = order(1, 0, 0, rows);
            sorted.sort_unstable();
            assert!(sorted.len() == rows && sorted.iter().zip(0..).all(|(&a, b)| a == b), "{rows}");
        }
        assert_eq!(order(1, 0, 0, 1000), order(1, 0, 0, 1000));
        assert_ne!(order(1, 0, 0, 1000), order(2, 0, 0, 1000));
        assert_ne!(order(1, 0, 0, 1000), order(1, 1, 0, 1000));
        assert_ne!(order(1, 0, 0, 1000), order(1, 0, 1, 1000));
    }

    #[test]
    fn a_part_of_an_order_is_computed_alone() {
        let whole = order(5, 2, 3, 12_345);
        let mut part = vec![7];
        Shuffle::new(5, 2, 3, 12_345).list(700..900, &mut part);
        assert_eq!(part, whole[700..900]);
        let most = u32::MAX;
        let large = Shuffle::new(5, 2, 3, most as usize);
        let mut ends: Vec<u32> = [0, 1, most / 2, most - 2, most - 1].map(|p| large.row(p)).into();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), 5);
    }

    /// Whether counts of what is equally likely are within five standard errors of a chi-squared sum.
    fn even(counts: impl ExactSizeIterator<Item = u64>, of: usize) -> bool {
        let counts: Vec<u64> = counts.collect();
        let mean = counts.iter().sum::<u64>() as f64 / of as f64;
        let absent = (of - counts.len()) as f64 * mean;
        let sum = counts.iter().map(|&n| (n as f64 - mean).powi(2) / mean).sum::<f64>() + absent;
        let free = of as f64 - 1.0;
        (sum - free).abs() < 5.0 * (2.0 * free).sqrt()
    }

    #[test]
    fn every_order_of_a_few_rows_is_as_likely() {
        for (rows, orders) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
            let mut counts: HashMap<Vec<u32>, u64> = HashMap::new();
            (0..30_000).for_each(|seed| *counts.entry(order(seed, 0, 0, rows)).or_default() += 1);
            assert!(even(counts.values().copied(), orders), "{rows}: {counts:?}");
        }
    }

    #[test]
    fn every_pair_of_neighbours_is_as_likely() {
        for rows in [16usize, 33, 64, 100] {
            let mut counts = vec![0u64; rows * rows];
            for seed in 0..4000 {
                let order = order(9, seed, 0, rows);
                order.windows(2).for_each(|two| counts[two[0] as usize * rows + two[1] as usize] += 1);
            }
            let pairs = counts.iter().enumerate().filter(|(i, _)| i / rows != i % rows).map(|(_, &n)| n);
            let pairs: Vec<u64> = pairs.collect();
            assert!(even(pairs.into_iter(), rows * (rows - 1)), "{rows}");
        }
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0u32; 5]; 5];
        for seed in 0..20_000 {
            let order = order(seed, 0, 0, 5);
            order.iter().enumerate().for_each(|(place, &row)| counts[place][row as usize] += 1);
        }
        // Five standard errors of a binomial count of mean 4000.
        assert!(counts.iter().flatten().all(|&n| (f64::from(n) - 4000.0).abs() < 5.0 * 57.0), "{counts:?}");
    }
}
