use super::metric_kind::MetricKind;
use super::models::Model;

/// A source and target on which two models have been scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Duel {
    /// Dataset trained on.
    pub source: String,
    /// Dataset scored.
    pub target: String,
    /// Mean R2 of the model over the splits that both have.
    pub model: f64,
    /// Mean R2 of the naive predictor over the same splits.
    pub naive: f64,
}

impl Duel {
    /// Whether the model is the better one.
    pub fn won(&self) -> bool {
        self.model > self.naive
    }

    /// Whether source and target are the same dataset.
    pub fn within(&self) -> bool {
        self.source == self.target
    }
}

/// A model held against the naive predictor, one [`Duel`] a source and target
/// that both have scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// In the order of the matrix.
    pub duels: Vec<Duel>,
}

impl Verdict {
    /// Holds `model` against `naive`.
    pub fn of(model: &Model, naive: &Model) -> Self {
        let mut duels = Vec::new();
        for (s, source) in model.run.sources.iter().enumerate() {
            for (t, target) in model.run.targets.iter().enumerate() {
                let Some((ns, nt)) = naive.run.place(source, target) else { continue };
                let (a, b) =
                    (model.run.values(MetricKind::R2, s, t), naive.run.values(MetricKind::R2, ns, nt));
                let other = |k: u32| b.iter().find(|(split, _)| *split == k).map(|(_, v)| *v);
                let common: Vec<(f64, f64)> = a.iter().filter_map(|&(k, v)| Some((v, other(k)?))).collect();
                if common.is_empty() {
                    continue;
                }
                let mean =
                    |of: fn(&(f64, f64)) -> f64| common.iter().map(of).sum::<f64>() / common.len() as f64;
                let (source, target) = (source.clone(), target.clone());
                duels.push(Duel { source, target, model: mean(|p| p.0), naive: mean(|p| p.1) });
            }
        }
        Self { duels }
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
