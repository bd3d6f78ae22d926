//! What users came for: the transfer study, a grid of tasks dealt to groups of
//! ranks, and predictions by a model that a study left.

mod account;
mod corpus;
mod estimate;
mod farm;
mod journal;
mod model_folder;
mod narrator;
mod predict;
mod predictor;
mod scoring;
mod strict;
mod training;
mod transfer;

pub use corpus::Corpus;
pub use estimate::estimate;
pub use journal::Start;
pub use model_folder::SavedModel;
pub use predict::{PredictReport, predict};
pub use transfer::{Launch, transfer};

/// One training of a study: a source and a split of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Dataset trained on.
    pub source: String,
    /// Number of the split.
    pub split: u32,
    /// Pairs of the source, by which tasks are ordered: the longest first.
    pub pairs: usize,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} split {}", self.source, self.split)
    }
}
