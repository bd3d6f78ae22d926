//! Rules that cut a dataset into training, validation and test rows. A rule looks at which drug and
//! sample a pair joins and at nothing else, so the parts depend on neither rank nor row order.
//! (Splits that came with the data are read by [`Store::split`](crate::store::Store::split).)

mod cold;
mod random;
mod row_set;

pub use row_set::RowSet;

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

/// The three parts of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Trained on.
    Train,
    /// Chooses the epoch.
    Validation,
    /// Scored once.
    Test,
}

/// Which fold the pairs of one dataset are in: what all splits of it by a rule have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Folds(FoldBy);

#[derive(Debug, Clone, PartialEq)]
enum FoldBy {
    /// The hash of a combination; number of folds and seed.
    Combination(u32, u64),
    /// By drug index.
    Drug(Vec<u32>),
    /// By sample index.
    Sample(Vec<u32>),
}

impl Folds {
    /// The fold of a pair of the dataset.
    #[inline]
    pub fn of(&self, drug: u32, sample: u32) -> u32 {
        match &self.0 {
            FoldBy::Combination(folds, seed) => random::fold(drug, sample, *folds, *seed),
            FoldBy::Drug(fold_of) => fold_of[drug as usize],
            FoldBy::Sample(fold_of) => fold_of[sample as usize],
        }
    }
}

impl RuleSplit {
    /// The folds of a dataset whose pairs have these drugs and samples, each listed once. `dataset` is
    /// for messages; fewer than 3 folds are refused.
    pub fn folds(&self, dataset: &str, drugs: Vec<u32>, samples: Vec<u32>) -> Result<Folds> {
        if self.folds < 3 {
            let what = format!("{} folds cannot make three parts; use 3 or more", self.folds);
            return Err(self.refusal(dataset, what));
        }
        Ok(Folds(match self.rule {
            Rule::Random => FoldBy::Combination(self.folds, self.seed),
            Rule::ColdDrug => FoldBy::Drug(cold::fold_of(drugs, self.folds, self.seed)),
            Rule::ColdSample => FoldBy::Sample(cold::fold_of(samples, self.folds, self.seed)),
        }))
    }

    /// The part that a pair of fold `fold` is in, in split `k`.
    #[inline]
    pub fn part(&self, k: u32, fold: u32) -> Part {
        match fold {
            f if f == k => Part::Test,
            f if f == (k + 1) % self.folds => Part::Validation,
            _ => Part::Train,
        }
    }

    /// Refuses a split that is not below the number of folds, and one of whose parts these folds, each
    /// of this many pairs, leave nothing.
    pub fn check(&self, dataset: &str, pairs_of_folds: &[usize], k: u32) -> Result<()> {
        if k >= self.folds {
            let what =
                format!("split {k} is out of range; {} folds make 0 to {}", self.folds, self.folds - 1);
            return Err(self.refusal(dataset, what));
        }
        for (part, name) in
            [(Part::Train, "training"), (Part::Validation, "validation"), (Part::Test, "test")]
        {
            let mut held = (0..).zip(pairs_of_folds).filter(|(fold, _)| self.part(k, *fold) == part);
            if held.all(|(_, &pairs)| pairs == 0) {
                let what =
                    format!("split {k} of {} leaves the {name} part empty; use fewer folds", self.folds);
                return Err(self.refusal(dataset, what));
            }
        }
        Ok(())
    }

    /// The fold of each pair of a dataset whose pairs join `drug` and `sample`, both `[pairs]`.
    /// `dataset` is for messages; fewer than 3 folds are refused.
    pub fn fold_of_pairs(&self, dataset: &str, drug: &[u32], sample: &[u32]) -> Result<Vec<u32>> {
        if drug.len() != sample.len() || u32::try_from(drug.len()).is_err() {
            let what = format!("{} drugs and {} samples cannot be split", drug.len(), sample.len());
            return Err(self.refusal(dataset, what));
        }
        let distinct = |entity: &[u32]| {
            let mut met = RowSet::new(entity.iter().max().map_or(0, |&e| e as usize + 1));
            entity.iter().for_each(|&e| met.insert(e));
            met.iter().collect()
        };
        let folds = self.folds(dataset, distinct(drug), distinct(sample))?;
        Ok(drug.iter().zip(sample).map(|(&drug, &sample)| folds.of(drug, sample)).collect())
    }

    /// The rows of split `k`, ascending in each part, of pairs that are in these folds. What
    /// [`Self::check`] refuses is refused.
    pub fn rows(&self, dataset: &str, fold_of_pairs: &[u32], k: u32) -> Result<SplitRows> {
        let mut pairs_of_folds = vec![0; self.folds as usize];
        fold_of_pairs.iter().for_each(|&fold| pairs_of_folds[fold as usize] += 1);
        self.check(dataset, &pairs_of_folds, k)?;
        let mut rows = SplitRows::default();
        for (row, &fold) in (0u32..).zip(fold_of_pairs) {
            let part = match self.part(k, fold) {
                Part::Train => &mut rows.train,
                Part::Validation => &mut rows.val,
                Part::Test => &mut rows.test,
            };
            part.push(row);
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
