//! Predictors that a network must beat, fitted on its training pairs and scored
//! beside it on the same targets.

mod mean_effects;

pub use mean_effects::MeanEffects;

use crate::report::models::NAIVE;
use crate::store::Pairs;

/// Folder of the baselines' runs below the network's own, `<FOLDER>/<name>/`.
pub const FOLDER: &str = "baseline";

/// Names of the baselines, as in tables and folders, in the order of [`fits`].
pub const NAMES: [&str; 1] = [NAIVE];

/// A predictor that was fitted on training pairs.
pub trait Baseline {
    /// Predicts the value of each of `pairs`, `[n]`, in the units of the values fitted.
    fn predict(&self, pairs: &Pairs) -> Vec<f32>;
}

/// A baseline that is being fitted.
pub trait Fit {
    /// Takes in a block of the training pairs; blocks come in the order of rows.
    fn add(&mut self, training: &Pairs);
    /// The baseline fitted on all that was taken in.
    fn finish(self: Box<Self>) -> Box<dyn Baseline>;
}

/// Begins to fit every baseline, in the order of [`NAMES`].
pub fn fits() -> [Box<dyn Fit>; NAMES.len()] {
    [Box::new(mean_effects::MeanEffectsFit::default())]
}
