use super::{Examples, shuffle};
use crate::device::philox::{Stream, key, philox4x32_10};
use crate::store::Entity;

/// Puts a lane's rows in the order of an epoch in which rows near one another
/// share drugs and samples: both are dealt to `groups` groups at random, anew every epoch; rows of the
/// same two groups, a block, follow one another in random order, and blocks do. A step then
/// has fewer distinct entities than among rows drawn evenly, at the price of
/// gradients that vary more. The order depends on seed, epoch, lane and the lane's rows alone.
pub fn shuffle_in_blocks(
    order: &mut [u32],
    lane_rows: &Examples,
    groups: u32,
    seed: u64,
    epoch: u32,
    lane: u32,
) {
    shuffle(order, seed, epoch, lane);
    let key = key(seed);
    let group = |entity: Entity, row: u32| {
        let index = lane_rows.of(entity)[row as usize];
        let [word, ..] = philox4x32_10(Stream::Shuffle.counter(index, epoch, lane, 1 + entity as u32), key);
        ((u64::from(word) * u64::from(groups)) >> 32) as u32
    };
    let mut place = vec![0; (groups * groups) as usize];
    shuffle_blocks(&mut place, seed, epoch, lane);
    // Stable: within a block rows stay as they were shuffled.
    order.sort_by_cached_key(|&row| {
        place[(group(Entity::Drug, row) * groups + group(Entity::Sample, row)) as usize]
    });
}

/// Which place in the epoch each block has: by a random word of its own, and its number where words agree.
fn shuffle_blocks(place: &mut [u32], seed: u64, epoch: u32, lane: u32) {
    let word = |&block: &u32| philox4x32_10(Stream::Shuffle.counter(block, epoch, lane, 3), key(seed))[0];
    let mut blocks: Vec<u32> = (0..place.len() as u32).collect();
    blocks.sort_by_key(word);
    blocks.iter().zip(0..).for_each(|(&block, at)| place[block as usize] = at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Every combination of 30 drugs and 20 samples.
    fn lane() -> Examples {
        let pairs = (0..30).flat_map(|drug| (0..20).map(move |sample| (drug, sample)));
        let (drug, sample): (Vec<u32>, Vec<u32>) = pairs.unzip();
        Examples { drug, sample, ..Examples::default() }
    }

    fn order(groups: u32, epoch: u32, number: u32) -> Vec<u32> {
        let lane = lane();
        let mut order = vec![0; lane.len()];
        shuffle_in_blocks(&mut order, &lane, groups, 1, epoch, number);
        order
    }

    #[test]
    fn every_row_comes_once_and_every_epoch_and_lane_has_an_order_of_its_own() {
        for groups in [1, 3, 40] {
            let mut sorted = order(groups, 0, 0);
            sorted.sort_unstable();
            assert!(sorted.iter().zip(0..).all(|(&row, i)| row == i));
        }
        assert_eq!(order(3, 0, 0), order(3, 0, 0));
        assert_ne!(order(3, 0, 0), order(3, 1, 0));
        assert_ne!(order(3, 0, 0), order(3, 0, 1));
    }

    #[test]
    fn a_step_has_fewer_distinct_entities_the_more_groups_there_are() {
        let lane = lane();
        let distinct = |groups: u32| -> usize {
            let order = order(groups, 0, 0);
            let of = |entity, step: &[u32]| {
                step.iter().map(|&r| lane.of(entity)[r as usize]).collect::<HashSet<_>>().len()
            };
            order.chunks(50).map(|step| of(Entity::Drug, step) + of(Entity::Sample, step)).sum()
        };
        let [one, two, four] = [1, 2, 4].map(distinct);
        assert!(two * 10 < one * 9 && four * 10 < two * 9, "{one} {two} {four}");
    }
}
