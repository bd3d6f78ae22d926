use crate::metric::Scores;
use crate::report::scores_json::{StrictScores, Subset};
use crate::store::Pairs;

/// What the training rows of a source have shown.
pub struct Seen {
    drugs: Vec<bool>,
    samples: Vec<bool>,
    /// Distinct (drug, sample), ascending.
    combinations: Vec<u64>,
}

fn combination(drug: u32, sample: u32) -> u64 {
    u64::from(drug) << 32 | u64::from(sample)
}

impl Seen {
    /// By these training pairs.
    pub fn by(training: &Pairs) -> Self {
        let mark = |entities: &[u32]| {
            let mut seen = vec![false; entities.iter().max().map_or(0, |&e| e as usize + 1)];
            entities.iter().for_each(|&e| seen[e as usize] = true);
            seen
        };
        let pairs = training.drug.iter().zip(&training.sample);
        let mut combinations: Vec<u64> = pairs.map(|(&drug, &sample)| combination(drug, sample)).collect();
        combinations.sort_unstable();
        combinations.dedup();
        Self { drugs: mark(&training.drug), samples: mark(&training.sample), combinations }
    }

    /// Scores of the parts of `pairs` whose answer training cannot have shown
    /// (DrEval, Bernett et al. 2025), beside those of `all` of them.
    pub fn strict_scores(&self, pairs: &Pairs, predicted: &[f32], all: Scores) -> StrictScores {
        let known = |seen: &[bool], entity: u32| seen.get(entity as usize).copied().unwrap_or(false);
        let drug = |i: usize| known(&self.drugs, pairs.drug[i]);
        let sample = |i: usize| known(&self.samples, pairs.sample[i]);
        let pair =
            |i: usize| self.combinations.binary_search(&combination(pairs.drug[i], pairs.sample[i])).is_ok();
        let part = |unseen: &dyn Fn(usize) -> bool| {
            let of = (0..pairs.len()).filter(|&i| unseen(i));
            let (truth, predicted): (Vec<f32>, Vec<f32>) = of.map(|i| (pairs.value[i], predicted[i])).unzip();
            Some(Subset { n: truth.len() as u64, scores: Scores::of(&truth, &predicted) })
        };
        StrictScores {
            all: Some(Subset { n: pairs.len() as u64, scores: all }),
            unseen_pairs: part(&|i| !pair(i)),
            unseen_samples: part(&|i| !sample(i)),
            unseen_drugs: part(&|i| !drug(i)),
            unseen_both: part(&|i| !drug(i) && !sample(i)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_what_training_has_not_shown() {
        let training = Pairs { drug: vec![0, 0, 2], sample: vec![1, 3, 3], ..Pairs::default() };
        let pairs = Pairs {
            drug: vec![0, 0, 2, 5, 1, 2],
            sample: vec![1, 3, 1, 3, 9, 8],
            value: vec![1.0; 6],
            ..Pairs::default()
        };
        let all = Scores::of(&pairs.value, &[1.0; 6]);
        let strict = Seen::by(&training).strict_scores(&pairs, &[1.0; 6], all);
        let counts = strict.parts().map(|(_, _, part)| part.unwrap().n);
        assert_eq!(counts, [6, 4, 2, 2, 1]);
    }
}
