use super::Lanes;
use crate::store::Entity;
use std::ops::Range;

/// Most parts that are told apart by their entities; with more, a part shares few anyway.
const MOST_PARTS: usize = 64;

/// Deals training pairs to lanes so that a lane meets few of the drugs or
/// samples, since whatever two lanes both meet passes its tower in both: the
/// pairs are halved by drug or by sample, whichever costs more, the halves
/// again, and so on until every lane has as many as [`Lanes::rows`] says. Returns
/// the lane of each pair.
///
/// `pass` calls its argument with the drugs and samples of all pairs, block
/// after block, always in the same order; `entities` and `costs` are the
/// number of drugs and samples and what one takes in its tower. The lanes depend
/// on these and on the pairs alone, not on ranks.
pub fn deal<E>(
    lanes: Lanes,
    entities: [usize; 2],
    costs: [f64; 2],
    pass: impl Fn(&mut dyn FnMut([&[u32]; 2])) -> Result<(), E>,
) -> Result<Vec<u32>, E> {
    let mut part_of = vec![0u32; lanes.total()];
    // Lanes of each part.
    let mut parts: Vec<Range<usize>> = std::iter::once(0..lanes.count()).collect();
    let mut weights = [0, 1].map(|side| costs[side] * entities[side] as f64);
    while parts.len() < lanes.count() {
        let side = if weights[0] > weights[1] { Entity::Drug } else { Entity::Sample } as usize;
        weights[side] /= 2.0;
        let told_apart = if parts.len() <= MOST_PARTS { entities[side] } else { 1 };
        let key = |sides: [&[u32]; 2], i: usize| if told_apart > 1 { sides[side][i] as usize } else { 0 };
        let mut counts = vec![0usize; parts.len() * told_apart];
        let mut at = 0;
        pass(&mut |sides| {
            for i in 0..sides[side].len() {
                counts[part_of[at] as usize * told_apart + key(sides, i)] += 1;
                at += 1;
            }
        })?;
        let (mut halves, mut cuts) = (Vec::new(), Vec::new());
        for (part, counts) in parts.iter().zip(counts.chunks_exact(told_apart)) {
            let middle = part.start + part.len() / 2;
            let wanted = (part.start..middle).map(|lane| lanes.rows(lane)).sum();
            let first = halves.len() as u32;
            halves.extend([part.start..middle, middle..part.end].into_iter().filter(|half| !half.is_empty()));
            cuts.push(Cut::new(counts, wanted, [first, halves.len() as u32 - 1]));
        }
        let mut at = 0;
        pass(&mut |sides| {
            for i in 0..sides[side].len() {
                part_of[at] = cuts[part_of[at] as usize].half(key(sides, i));
                at += 1;
            }
        })?;
        parts = halves;
    }
    Ok(part_of)
}

/// Where a part is halved: pairs of entities before `entity`, and so many of its own, go to the first half.
struct Cut {
    entity: usize,
    left: usize,
    halves: [u32; 2],
}

impl Cut {
    /// Sends the first `wanted` of pairs sorted by entity, of which there are `counts`, to the first half.
    fn new(counts: &[usize], wanted: usize, halves: [u32; 2]) -> Self {
        let mut left = wanted;
        for (entity, &count) in counts.iter().enumerate() {
            if left < count {
                return Self { entity, left, halves };
            }
            left -= count;
        }
        Self { entity: counts.len(), left, halves }
    }

    /// The half that the next pair, of this entity, is in.
    fn half(&mut self, entity: usize) -> u32 {
        let own = entity == self.entity && self.left > 0;
        self.left -= usize::from(own);
        self.halves[usize::from(entity >= self.entity && !own)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::convert::Infallible;

    const DRUGS: u32 = 30;
    const SAMPLES: u32 = 20;

    /// The lane of each of `pairs`, told in blocks of `block`.
    fn dealt(pairs: &[(u32, u32)], lanes: usize, costs: [f64; 2], block: usize) -> (Lanes, Vec<u32>) {
        let lanes = Lanes::new(pairs.len(), lanes, pairs.len()).unwrap();
        let dealt = deal::<Infallible>(lanes, [DRUGS as usize, SAMPLES as usize], costs, |each| {
            for block in pairs.chunks(block) {
                let (drugs, samples): (Vec<u32>, Vec<u32>) = block.iter().copied().unzip();
                each([&drugs, &samples]);
            }
            Ok(())
        });
        (lanes, dealt.unwrap_or_else(|never| match never {}))
    }

    fn every_combination() -> Vec<(u32, u32)> {
        (0..SAMPLES).flat_map(|sample| (0..DRUGS).map(move |drug| (drug, sample))).collect()
    }

    proptest! {
        #[test]
        fn every_lane_gets_its_number_of_pairs(
            pairs in prop::collection::vec((0..DRUGS, 0..SAMPLES), 1..400),
            lanes in 1usize..150,
            block in 1usize..50,
        ) {
            prop_assume!(pairs.len() >= lanes);
            let (cut, lane_of) = dealt(&pairs, lanes, [2.0, 1.0], block);
            for lane in 0..lanes {
                let count = lane_of.iter().filter(|&&l| l as usize == lane).count();
                prop_assert_eq!(count, cut.rows(lane));
            }
            prop_assert_eq!(lane_of, dealt(&pairs, lanes, [2.0, 1.0], pairs.len()).1);
        }
    }

    #[test]
    fn lanes_part_the_entities_that_cost_more_and_then_the_others() {
        let pairs = every_combination();
        let distinct = |costs, lanes: usize, of: fn(&(u32, u32)) -> u32| -> Vec<usize> {
            let (_, lane_of) = dealt(&pairs, lanes, costs, 100);
            let of_lane = |lane| pairs.iter().zip(&lane_of).filter(move |(_, l)| **l as usize == lane);
            (0..lanes)
                .map(|lane| of_lane(lane).map(|(pair, _)| of(pair)).collect::<HashSet<_>>().len())
                .collect()
        };
        assert_eq!(distinct([3.0, 1.0], 2, |p| p.0), [15, 15]);
        assert_eq!(distinct([3.0, 1.0], 2, |p| p.1), [20, 20]);
        assert_eq!(distinct([1.0, 3.0], 2, |p| p.1), [10, 10]);
        assert_eq!(distinct([2.0, 3.0], 4, |p| p.0), [15; 4]);
        assert_eq!(distinct([2.0, 3.0], 4, |p| p.1), [10; 4]);
    }
}
