//! What users came for: the transfer study, a grid of tasks dealt to groups of
//! ranks; encoders of samples; and predictions by a model that a study left.

mod account;
mod bar;
mod corpus;
mod encoder;
mod estimate;
mod farm;
mod heartbeat;
mod journal;
mod model_folder;
mod narrator;
mod predict;
mod predictor;
mod pretrain;
mod scoring;
mod strict;
mod tally;
mod task;
mod training;
mod training_log;
mod training_set;
mod transfer;
mod trust;

pub use corpus::{Corpus, SplitParts};
pub use encoder::SavedEncoder;
pub use estimate::estimate;
pub use farm::Grouping;
pub use journal::Start;
pub use model_folder::SavedModel;
pub use predict::{PredictReport, predict};
pub use pretrain::{PretrainCorpus, pretrain};
pub use task::Task;
pub use training_set::TrainingSet;
pub use transfer::{Launch, transfer};
