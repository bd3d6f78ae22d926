use crate::device::philox::{Stream, key, philox4x32_10};

/// The fold of each entity, by its index, given the distinct ones that have pairs. They are put in the
/// order of their hashes and cut into equal runs, so that even two dozen of them fill ten folds evenly.
pub(super) fn fold_of(mut distinct: Vec<u32>, folds: u32, seed: u64) -> Vec<u32> {
    distinct.sort_unstable_by_key(|&e| {
        let [high, low, ..] = philox4x32_10(Stream::Fold.counter(e, 0, 0, 0), key(seed));
        (high, low, e)
    });
    let n = distinct.len() as u64;
    let mut fold_of = vec![0; distinct.iter().max().map_or(0, |&e| e as usize + 1)];
    for (rank, &e) in (0u64..).zip(&distinct) {
        fold_of[e as usize] = (rank * u64::from(folds) / n) as u32;
    }
    fold_of
}
