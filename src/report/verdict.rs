use super::deck_toml;
use super::tree::Run;
use crate::metric::{Metric, PairedTest, TEST_OVER_TRAINING, mean_and_sd};

/// A difference whose p is below this is called significant.
const SIGNIFICANT: f64 = 0.05;

/// A source and target on which two models have been scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Duel {
    /// Dataset trained on.
    pub source: String,
    /// Dataset scored.
    pub target: String,
    /// Mean R2 of the model over the splits that both have, NaN where it is
    /// not defined on any of them.
    pub model: f64,
    /// Mean R2 of the rival over the same splits.
    pub rival: f64,
    /// R2 of the model minus the rival's, one a split that both have.
    pub differences: Vec<f64>,
    /// Splits on which the rival has an R2 and the model, scored
    /// too, has none: it predicted values that are not finite.
    pub undefined: Vec<u32>,
    /// Test rows over training rows of a split of the source.
    pub test_over_training: f64,
}

impl Duel {
    /// Whether the model is the better one in the mean, and defined on every split.
    pub fn won(&self) -> bool {
        self.undefined.is_empty() && self.model > self.rival
    }

    /// Splits on which the model is the better one, and all of them.
    pub fn splits_won(&self) -> (usize, usize) {
        let won = self.differences.iter().filter(|d| **d > 0.0).count();
        (won, self.differences.len() + self.undefined.len())
    }

    /// Mean difference of the splits and its sample standard deviation (n - 1),
    /// NaN of fewer than two.
    pub fn difference(&self) -> (f64, f64) {
        mean_and_sd(&self.differences)
    }

    /// Whether the mean difference is smaller than its standard deviation over
    /// splits: too small to tell the two apart.
    pub fn within_spread(&self) -> bool {
        let (mean, sd) = self.difference();
        self.undefined.is_empty() && mean.abs() < sd
    }

    /// The paired test over splits; `None` where there is nothing to test, and
    /// where the model is undefined on a split: the rest would flatter it.
    /// What ties splits to each other is how much of the source they share,
    /// whichever target they are scored on.
    pub fn test(&self) -> Option<PairedTest> {
        let defined = self.undefined.is_empty();
        PairedTest::of(&self.differences, self.test_over_training).filter(|_| defined)
    }

    /// Whether the corrected paired test tells the two apart, p < 0.05.
    pub fn significant(&self) -> bool {
        self.test().is_some_and(|test| test.p_corrected < SIGNIFICANT)
    }

    /// Whether source and target are the same dataset.
    pub fn within(&self) -> bool {
        self.source == self.target
    }
}

/// A model held against a rival, such as the naive predictor: one [`Duel`] a source and target
/// that both have scored on a common split.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In the order of the matrix.
    pub duels: Vec<Duel>,
}

impl Verdict {
    /// Holds `model` against `rival`. A model without a finite R2 where the
    /// rival has one has lost.
    pub fn of(model: &Run, rival: &Run) -> Self {
        let test_over_training = test_over_training(model.deck.as_deref().or(rival.deck.as_deref()));
        let mut duels = Vec::new();
        for (s, source) in model.sources.iter().enumerate() {
            for (t, target) in model.targets.iter().enumerate() {
                let Some((rs, rt)) = rival.place(source, target) else { continue };
                let others = rival.values(Metric::R2, rs, rt);
                let other = |k: u32| others.iter().find(|(split, _)| *split == k).map(|(_, v)| *v);
                let common: Vec<(u32, f64, f64)> =
                    model.scored(Metric::R2, s, t).filter_map(|(k, v)| Some((k, v, other(k)?))).collect();
                if common.is_empty() {
                    continue;
                }
                let (defined, undefined): (Vec<_>, Vec<_>) =
                    common.into_iter().partition(|(_, v, _)| v.is_finite());
                let mean = |of: fn(&(u32, f64, f64)) -> f64, rows: &[(u32, f64, f64)]| {
                    mean_and_sd(&rows.iter().map(of).collect::<Vec<f64>>()).0
                };
                duels.push(Duel {
                    source: source.clone(),
                    target: target.clone(),
                    model: mean(|row| row.1, &defined),
                    rival: mean(|row| row.2, if defined.is_empty() { &undefined } else { &defined }),
                    differences: defined.iter().map(|row| row.1 - row.2).collect(),
                    undefined: undefined.iter().map(|row| row.0).collect(),
                    test_over_training,
                });
            }
        }
        Self { duels }
    }

    /// The duel of a source and target.
    pub fn duel(&self, source: &str, target: &str) -> Option<&Duel> {
        self.duels.iter().find(|d| d.source == source && d.target == target)
    }

    /// Wins and duels within datasets (`true`) or across them.
    pub fn tally(&self, within: bool) -> (usize, usize) {
        let duels = || self.duels.iter().filter(move |d| d.within() == within);
        (duels().filter(|d| d.won()).count(), duels().count())
    }

    /// The duels that the model did not win.
    pub fn lost(&self) -> impl Iterator<Item = &Duel> {
        self.duels.iter().filter(|d| !d.won())
    }
}

/// Test rows over training rows: a rule of n folds tests on one of them and trains
/// on n - 2; splits that came with the data are taken to hold 80, 10 and 10 percent.
fn test_over_training(deck: Option<&str>) -> f64 {
    match deck.and_then(deck_toml::folds) {
        Some(folds) => 1.0 / f64::from(folds - 2),
        None => TEST_OVER_TRAINING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_folds_leave_fewer_rows_to_train_on() {
        let folds = |folds| format!("[data]\nsplits = {{ rule = \"random\", folds = {folds}, seed = 1 }}\n");
        let of = |deck: &str| test_over_training(Some(deck));
        assert_eq!([of(&folds(3)), of(&folds(5)), of(&folds(10))], [1.0, 1.0 / 3.0, 0.125]);
        assert_eq!([of("[data]\nsplits = [0, 1]\n"), test_over_training(None)], [0.125; 2]);
    }

    #[test]
    fn a_mean_smaller_than_its_spread_is_told_apart_from_a_clear_one() {
        let duel = |differences: &[f64], undefined: &[u32]| Duel {
            source: "A".into(),
            target: "B".into(),
            model: 0.5,
            rival: 0.25,
            differences: differences.to_vec(),
            undefined: undefined.to_vec(),
            test_over_training: TEST_OVER_TRAINING,
        };
        assert!(duel(&[0.5, -0.25], &[]).within_spread() && !duel(&[0.5, 0.25], &[]).within_spread());
        assert!(!duel(&[0.5], &[]).within_spread(), "one split has no spread");
        assert_eq!(duel(&[0.5, -0.25], &[2]).splits_won(), (1, 3));
        assert!(duel(&[0.25], &[]).won() && !duel(&[0.25], &[1]).won());
    }

    #[test]
    fn only_whole_comparisons_are_tested() {
        let duel = |undefined: &[u32]| Duel {
            source: "A".into(),
            target: "B".into(),
            model: 0.5,
            rival: 0.25,
            differences: vec![0.25, 0.3, 0.2, 0.25],
            undefined: undefined.to_vec(),
            test_over_training: TEST_OVER_TRAINING,
        };
        assert!(duel(&[]).significant() && duel(&[]).test().unwrap().p_corrected > 1e-3);
        assert!(duel(&[4]).test().is_none() && !duel(&[4]).significant());
    }
}
