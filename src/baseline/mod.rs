//! Predictors that a network must beat.

mod mean_effects;

pub use mean_effects::MeanEffects;
