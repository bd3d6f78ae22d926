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

    /// The parts of `pairs` whose answer training cannot have shown (DrEval,
    /// Bernett et al. 2025).
    pub fn unseen(&self, pairs: &Pairs) -> Unseen {
        let known = |seen: &[bool], entity: u32| seen.get(entity as usize).copied().unwrap_or(false);
        let mut unseen = Unseen::default();
        for (i, (&drug, &sample)) in (0u32..).zip(pairs.drug.iter().zip(&pairs.sample)) {
            let new_drug = !known(&self.drugs, drug);
            let new_sample = !known(&self.samples, sample);
            let new_pair = new_drug
                || new_sample
                || self.combinations.binary_search(&combination(drug, sample)).is_err();
            let parts = [
                (new_pair, &mut unseen.pairs),
                (new_sample, &mut unseen.samples),
                (new_drug, &mut unseen.drugs),
                (new_drug && new_sample, &mut unseen.both),
            ];
            parts.into_iter().filter(|(new, _)| *new).for_each(|(_, rows)| rows.push(i));
        }
        unseen
    }
}

/// Places, among a target's pairs, of those that training has not shown.
#[derive(Debug, Default)]
pub struct Unseen {
    pairs: Vec<u32>,
    samples: Vec<u32>,
    drugs: Vec<u32>,
    both: Vec<u32>,
}

impl Unseen {
    /// Scores of each part of `truth` and `predicted`, the target's pairs, beside
    /// those of `all` of them.
    pub fn strict_scores(&self, truth: &[f32], predicted: &[f32], all: Scores) -> StrictScores {
        let part = |rows: &[u32]| {
            let pick = |values: &[f32]| rows.iter().map(|&i| values[i as usize]).collect::<Vec<f32>>();
            Some(Subset { n: rows.len() as u64, scores: Scores::of(&pick(truth), &pick(predicted)) })
        };
        StrictScores {
            all: Some(Subset { n: truth.len() as u64, scores: all }),
            unseen_pairs: part(&self.pairs),
            unseen_samples: part(&self.samples),
            unseen_drugs: part(&self.drugs),
            unseen_both: part(&self.both),
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
        let strict = Seen::by(&training).unseen(&pairs).strict_scores(&pairs.value, &[1.0; 6], all);
        let counts = strict.parts().map(|(_, _, part)| part.unwrap().n);
        assert_eq!(counts, [6, 4, 2, 2, 1]);
    }
}
