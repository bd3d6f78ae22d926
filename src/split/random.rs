use crate::device::philox::{Stream, key, philox4x32_10};

/// The fold of a pair: a hash of its (drug, sample) combination, so that all doses and replicates of a
/// combination share one. Folds are equal up to binomial spread.
pub(super) fn fold(drug: u32, sample: u32, folds: u32, seed: u64) -> u32 {
    let [word, ..] = philox4x32_10(Stream::Fold.counter(drug, sample, 0, 0), key(seed));
    ((u64::from(word) * u64::from(folds)) >> 32) as u32
}
