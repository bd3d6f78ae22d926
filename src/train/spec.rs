use super::Decay;
use crate::device::cuda::Precision;
use crate::model::Loss;
use serde::{Deserialize, Serialize};

/// The `[train]` section of a deck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSpec {
    /// Most pairs a step, over all lanes.
    pub batch: usize,
    /// Fewest steps an epoch: where `batch` would make fewer, steps are of as many pairs as make so many. One deck
    /// then suits screens of very different sizes.
    pub min_steps: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Lanes that the training pairs are cut into: a power of two, for any
    /// power of two of ranks up to it, or the number of ranks; one a rank if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<usize>,
    /// What is made small.
    pub loss: Loss,
    /// Which rule changes the weights.
    pub optimizer: OptimizerKind,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Epochs over which the learning rate rises from zero.
    pub warmup_epochs: f64,
    /// How the learning rate falls from then to the last epoch.
    pub decay: Decay,
    /// The last learning rate as a part of the largest.
    pub final_learning_rate: f64,
    /// Decay of matrices: decoupled for AdamW, added to the gradient for the others.
    pub weight_decay: f64,
    /// Adam's memory of gradients.
    pub beta1: f64,
    /// Adam's memory of their squares.
    pub beta2: f64,
    /// Added to the root of Adam's second moment.
    pub epsilon: f64,
    /// SGD's memory of gradients.
    pub momentum: f64,
    /// Epochs without a better validation loss after which training stops.
    pub patience: usize,
    /// Most steps of a training that may be skipped because a loss or a gradient is not finite.
    pub max_skipped_steps: usize,
    /// In which numbers a GPU computes; processors compute in single precision.
    pub precision: Precision,
    /// Seed of starting weights, shuffles and dropout; the split's number is added.
    pub seed: u64,
}

/// Which rule changes the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Kingma and Ba 2015.
    Adam,
    /// Loshchilov and Hutter 2019.
    #[default]
    AdamW,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

impl OptimizerKind {
    /// What the rule remembers of each parameter, by name.
    pub fn memory(self) -> &'static [&'static str] {
        match self {
            OptimizerKind::Adam | OptimizerKind::AdamW => &["first_moment", "second_moment"],
            OptimizerKind::Sgd => &["velocity"],
        }
    }
}

/// The `[checkpoint]` section of a deck.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Wall time between two checkpoints of a training; 0 for none by time.
    pub minutes: f64,
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self { minutes: 10.0 }
    }
}

impl CheckpointSpec {
    /// The first key whose value cannot be used, with what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let fine = self.minutes >= 0.0 && self.minutes.is_finite();
        (!fine).then(|| ("minutes", "must be zero or more".into()))
    }
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            batch: 512,
            min_steps: 1,
            epochs: 100,
            lanes: None,
            loss: Loss::Mse,
            optimizer: OptimizerKind::AdamW,
            learning_rate: 1e-3,
            warmup_epochs: 1.0,
            decay: Decay::Cosine,
            final_learning_rate: 0.01,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            momentum: 0.9,
            patience: 15,
            max_skipped_steps: 10,
            precision: Precision::Fp32,
            seed: 1,
        }
    }
}

impl TrainSpec {
    /// Most pairs a step of a training on so many pairs.
    pub fn batch_of(&self, training: usize) -> usize {
        if self.min_steps <= 1 {
            return self.batch;
        }
        // The most that all pairs but one fill in one step less.
        let most = training.saturating_sub(1) / (self.min_steps - 1);
        self.batch.min(most).max(1)
    }

    /// The first key whose value cannot be used, with what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        // The optimisers compute in f32, in which a value may round to the end of its range.
        let positive = |v: f64| (v as f32).is_finite() && v as f32 > 0.0;
        let part = |v: f64| (0.0..1.0).contains(&(v as f32));
        let faults = [
            ("batch", self.batch == 0, "at least 1"),
            ("min_steps", self.min_steps == 0, "at least 1"),
            ("epochs", self.epochs == 0, "at least 1"),
            ("patience", self.patience == 0, "at least 1"),
            ("lanes", self.lanes == Some(0), "at least 1"),
            ("learning_rate", !positive(self.learning_rate), "above zero as a 32-bit number"),
            ("warmup_epochs", !(self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite()), "zero or more"),
            ("final_learning_rate", !(0.0..=1.0).contains(&self.final_learning_rate), "from 0 to 1"),
            ("weight_decay", !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()), "zero or more"),
            ("beta1", !part(self.beta1), "from 0 to below 1 as a 32-bit number"),
            ("beta2", !part(self.beta2), "from 0 to below 1 as a 32-bit number"),
            ("epsilon", !positive(self.epsilon), "above zero as a 32-bit number"),
            ("momentum", !part(self.momentum), "from 0 to below 1 as a 32-bit number"),
        ];
        faults.into_iter().find(|(_, bad, _)| *bad).map(|(key, _, must)| (key, format!("must be {must}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_screen_has_smaller_steps_and_no_fewer_than_asked_for() {
        let spec = TrainSpec { batch: 4096, min_steps: 16, ..TrainSpec::default() };
        for (training, batch) in [(140_000, 4096), (65_536, 4096), (6729, 448), (10, 1)] {
            assert_eq!(spec.batch_of(training), batch, "{training}");
        }
        for (training, min_steps) in [(6729usize, 16), (1053, 700), (100, 40), (100, 99), (100, 100)] {
            let spec = TrainSpec { batch: 4096, min_steps, ..TrainSpec::default() };
            assert!(training.div_ceil(spec.batch_of(training)) >= min_steps, "{training}, {min_steps}");
        }
        assert_eq!(TrainSpec::default().batch_of(100), 512, "nothing is asked for");
    }
}
