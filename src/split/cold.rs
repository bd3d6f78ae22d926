use crate::device::philox::{Stream, key, philox4x32_10};

/// The fold of each pair, `[pairs]`, given the entity that must stay whole. The distinct entities are
/// put in the order of their hashes and cut into equal runs, so that even two dozen of them fill ten
/// folds evenly.
pub(super) fn folds(entity: &[u32], folds: u32, seed: u64) -> Vec<u32> {
    const ABSENT: u32 = u32::MAX;
    let top = entity.iter().max().map_or(0, |&e| e as usize + 1);
    let mut fold_of = vec![ABSENT; top];
    let mut distinct = Vec::new();
    for &e in entity {
        if fold_of[e as usize] == ABSENT {
            fold_of[e as usize] = 0;
            distinct.push(e);
        }
    }
    distinct.sort_unstable_by_key(|&e| {
        let [high, low, ..] = philox4x32_10(Stream::Fold.counter(e, 0, 0, 0), key(seed));
        (high, low, e)
    });
    let n = distinct.len() as u64;
    for (rank, &e) in (0u64..).zip(&distinct) {
        fold_of[e as usize] = (rank * u64::from(folds) / n) as u32;
    }
    entity.iter().map(|&e| fold_of[e as usize]).collect()
}
