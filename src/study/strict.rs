use crate::metric::Scores;
use crate::report::scores_json::{StrictScores, Subset};
use crate::split::RowSet;
use crate::store::Pairs;

/// What the training rows of a source have shown.
#[derive(Debug, Default)]
pub struct Seen {
    drugs: Vec<bool>,
    samples: Vec<bool>,
    /// (drug, sample) of the pairs; distinct and ascending but for those that came last.
    combinations: Vec<u64>,
}

fn combination(drug: u32, sample: u32) -> u64 {
    u64::from(drug) << 32 | u64::from(sample)
}

impl Seen {
    /// Combinations taken in before they are looked through for repeats, at the least.
    pub const AT_ONCE: usize = 1 << 20;

    /// Takes in a block of training pairs. Holds at most about twice the
    /// distinct combinations, however often each comes.
    pub fn add(&mut self, training: &Pairs) {
        let mark = |seen: &mut Vec<bool>, entities: &[u32]| {
            for &e in entities {
                if seen.len() <= e as usize {
                    seen.resize(e as usize + 1, false);
                }
                seen[e as usize] = true;
            }
        };
        mark(&mut self.drugs, &training.drug);
        mark(&mut self.samples, &training.sample);
        if self.combinations.len() + training.len() > self.combinations.capacity() {
            self.settle();
            let room = self.combinations.len().max(Self::AT_ONCE).max(training.len());
            self.combinations.reserve_exact(room);
        }
        let pairs = training.drug.iter().zip(&training.sample);
        self.combinations.extend(pairs.map(|(&drug, &sample)| combination(drug, sample)));
    }

    /// All has been taken in.
    pub fn finish(mut self) -> Self {
        self.settle();
        self.combinations.shrink_to_fit();
        self
    }

    fn settle(&mut self) {
        self.combinations.sort_unstable();
        self.combinations.dedup();
    }

    /// By drug of the store, as far as there are any: whether training has shown it.
    pub fn drugs(&self) -> &[bool] {
        &self.drugs
    }

    fn known(&self, drug: u32, sample: u32) -> [bool; 3] {
        let known = |seen: &[bool], entity: u32| seen.get(entity as usize).copied().unwrap_or(false);
        let (drug_known, sample_known) = (known(&self.drugs, drug), known(&self.samples, sample));
        let both = drug_known && sample_known;
        let pair = both && self.combinations.binary_search(&combination(drug, sample)).is_ok();
        [pair, sample_known, drug_known]
    }
}

/// Places, among a target's pairs, of those whose answer training cannot have
/// shown (DrEval, Bernett et al. 2025).
#[derive(Debug)]
pub struct Unseen {
    /// Pairs taken in.
    taken: u32,
    pairs: RowSet,
    samples: RowSet,
    drugs: RowSet,
    both: RowSet,
}

impl Unseen {
    /// For a target of this many pairs.
    pub fn of(pairs: usize) -> Self {
        let none = || RowSet::new(pairs);
        Self { taken: 0, pairs: none(), samples: none(), drugs: none(), both: none() }
    }

    /// Takes in the next block of the target's pairs.
    pub fn add(&mut self, seen: &Seen, pairs: &Pairs) {
        for (&drug, &sample) in pairs.drug.iter().zip(&pairs.sample) {
            let [pair, sample, drug] = seen.known(drug, sample);
            let parts = [
                (!pair, &mut self.pairs),
                (!sample, &mut self.samples),
                (!drug, &mut self.drugs),
                (!drug && !sample, &mut self.both),
            ];
            parts.into_iter().filter(|(new, _)| *new).for_each(|(_, rows)| rows.insert(self.taken));
            self.taken += 1;
        }
    }

    /// Scores of each part of `truth` and `predicted`, the target's pairs, beside
    /// those of `all` of them.
    pub fn strict_scores(&self, truth: &[f32], predicted: &[f32], all: Scores) -> StrictScores {
        let part = |rows: &RowSet| {
            let pick = |values: &[f32]| rows.iter().map(|i| values[i as usize]).collect::<Vec<f32>>();
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
        let training =
            Pairs { drug: vec![0, 0, 2], sample: vec![1, 3, 3], value: vec![1.0; 3], ..Pairs::default() };
        let pairs = Pairs {
            drug: vec![0, 0, 2, 5, 1, 2],
            sample: vec![1, 3, 1, 3, 9, 8],
            value: vec![1.0; 6],
            ..Pairs::default()
        };
        let all = Scores::of(&pairs.value, &[1.0; 6]);
        let mut seen = Seen::default();
        seen.add(&training.select(&[0, 1]));
        seen.add(&training.select(&[2, 0]));
        let seen = seen.finish();
        let mut unseen = Unseen::of(6);
        [[0, 1, 2], [3, 4, 5]].iter().for_each(|block| unseen.add(&seen, &pairs.select(block)));
        let strict = unseen.strict_scores(&pairs.value, &[1.0; 6], all);
        let counts = strict.parts().map(|(_, _, part)| part.unwrap().n);
        assert_eq!(counts, [6, 4, 2, 2, 1]);
    }
}
