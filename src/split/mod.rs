//! Rules that cut a dataset into training, validation and test rows. A rule looks at which drug and
//! sample a pair joins and at nothing else, so the parts depend on neither rank nor row order.
//! (Splits that came with the data are read by [`Store::split`](crate::store::Store::split).)

mod cold;
mod random;

use crate::store::SplitRows;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What may not be shared between the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A (drug, sample) combination, with all its doses and replicates.
    Random,
    /// A drug: the test part asks about drugs never trained on.
    ColdDrug,
    /// A sample: the test part asks about samples never trained on.
    ColdSample,
}

impl Rule {
    /// The name in a deck.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Random => "random",
            Rule::ColdDrug => "cold-drug",
            Rule::ColdSample => "cold-sample",
        }
    }
}

/// A cross-validation by a [`Rule`]: split `k` tests on fold `k`, validates on the fold after it
/// (the first one after the last) and trains on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSplit {
    /// What may not be shared between the parts.
    pub rule: Rule,
    /// Number of folds, at least 3.
    pub folds: u32,
    /// Chooses among the possible cuts.
    pub seed: u64,
}

impl RuleSplit {
    /// The fold of each pair of a dataset whose pairs join `drug` and `sample`, both `[pairs]`: what
    /// all splits of it have in common. `dataset` is for messages; fewer than 3 folds are refused.
    pub fn fold_of_pairs(&self, dataset: &str, drug: &[u32], sample: &[u32]) -> Result<Vec<u32>> {
        if self.folds < 3 {
            let what = format!("{} folds cannot make three parts; use 3 or more", self.folds);
            return Err(self.refusal(dataset, what));
        }
        if drug.len() != sample.len() || u32::try_from(drug.len()).is_err() {
            let what = format!("{} drugs and {} samples cannot be split", drug.len(), sample.len());
            return Err(self.refusal(dataset, what));
        }
        Ok(match self.rule {
            Rule::Random => random::folds(drug, sample, self.folds, self.seed),
            Rule::ColdDrug => cold::folds(drug, self.folds, self.seed),
            Rule::ColdSample => cold::folds(sample, self.folds, self.seed),
        })
    }

    /// The rows of split `k`, ascending in each part, of pairs that are in these folds. A split that
    /// is not below the number of folds and a part left without a row are refused.
    pub fn rows(&self, dataset: &str, fold_of_pairs: &[u32], k: u32) -> Result<SplitRows> {
        if k >= self.folds {
            let what =
                format!("split {k} is out of range; {} folds make 0 to {}", self.folds, self.folds - 1);
            return Err(self.refusal(dataset, what));
        }
        let mut rows = SplitRows::default();
        let validation = (k + 1) % self.folds;
        for (row, &fold) in (0u32..).zip(fold_of_pairs) {
            let part = match fold {
                f if f == k => &mut rows.test,
                f if f == validation => &mut rows.val,
                _ => &mut rows.train,
            };
            part.push(row);
        }
        for (part, held) in [("training", &rows.train), ("validation", &rows.val), ("test", &rows.test)] {
            if held.is_empty() {
                let what =
                    format!("split {k} of {} leaves the {part} part empty; use fewer folds", self.folds);
                return Err(self.refusal(dataset, what));
            }
        }
        Ok(rows)
    }

    fn refusal(&self, dataset: &str, what: String) -> Error {
        Error::Request(format!("dataset {dataset}, split rule {}: {what}", self.rule.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn of(rule: Rule, folds: u32, seed: u64) -> RuleSplit {
        RuleSplit { rule, folds, seed }
    }

    fn rows(split: RuleSplit, drug: &[u32], sample: &[u32], k: u32) -> Result<SplitRows> {
        split.rows("CCLE", &split.fold_of_pairs("CCLE", drug, sample)?, k)
    }

    /// What a rule keeps together.
    fn group(rule: Rule, drug: u32, sample: u32) -> (u32, u32) {
        match rule {
            Rule::Random => (drug, sample),
            Rule::ColdDrug => (drug, 0),
            Rule::ColdSample => (0, sample),
        }
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_and_cover_and_no_group_straddles(
            pairs in prop::collection::vec((0..40u32, 0..30u32), 300..600),
            rule in prop::sample::select(vec![Rule::Random, Rule::ColdDrug, Rule::ColdSample]),
            folds in 3..8u32,
            seed: u64,
        ) {
            let (drug, sample): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
            let mut tested = Vec::new();
            for k in 0..folds {
                let rows = rows(of(rule, folds, seed), &drug, &sample, k).unwrap();
                let mut all = [&rows.train[..], &rows.val, &rows.test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..pairs.len() as u32).collect::<Vec<_>>());
                let groups = |part: &[u32]| -> HashSet<(u32, u32)> {
                    part.iter().map(|&r| group(rule, drug[r as usize], sample[r as usize])).collect()
                };
                let (train, val, test) = (groups(&rows.train), groups(&rows.val), groups(&rows.test));
                prop_assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
                tested.extend(rows.test);
            }
            tested.sort_unstable();
            prop_assert_eq!(tested, (0..pairs.len() as u32).collect::<Vec<_>>());
        }

        #[test]
        fn a_pair_keeps_its_part_when_rows_are_reordered(
            pairs in prop::collection::vec((0..40u32, 0..30u32), 300..400),
            rule in prop::sample::select(vec![Rule::Random, Rule::ColdDrug, Rule::ColdSample]),
            seed: u64,
        ) {
            let parts = |pairs: &[(u32, u32)]| {
                let (drug, sample): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
                let rows = rows(of(rule, 5, seed), &drug, &sample, 2).unwrap();
                rows.test.iter().map(|&r| pairs[r as usize]).collect::<HashSet<_>>()
            };
            let reversed: Vec<_> = pairs.iter().rev().copied().collect();
            prop_assert_eq!(parts(&pairs), parts(&reversed));
        }
    }

    #[test]
    fn few_drugs_are_spread_evenly_and_the_seed_matters() {
        let drug: Vec<u32> = (0..240).map(|i| 7 * (i % 24)).collect();
        let sample: Vec<u32> = (0..240).map(|i| i / 24).collect();
        let tested = |seed| rows(of(Rule::ColdDrug, 10, seed), &drug, &sample, 0).unwrap().test;
        for k in 0..10 {
            let rows = rows(of(Rule::ColdDrug, 10, 1), &drug, &sample, k).unwrap();
            assert!(rows.test.len() == 20 || rows.test.len() == 30, "2 or 3 drugs of 24 a fold");
        }
        assert_ne!(tested(1), tested(2));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_by_name() {
        let message = |split: RuleSplit, k| rows(split, &[0, 1], &[0, 0], k).unwrap_err().to_string();
        assert!(message(of(Rule::Random, 2, 1), 0).contains("2 folds"));
        assert!(message(of(Rule::Random, 4, 1), 4).contains("split 4 is out of range"));
        let empty = message(of(Rule::ColdSample, 3, 1), 0);
        assert!(
            empty.contains("CCLE") && empty.contains("cold-sample") && empty.contains("part empty"),
            "{empty}"
        );
    }
}
