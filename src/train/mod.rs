//! One training: pairs in lanes, gradients summed over ranks, the best epoch kept.

mod adam;
#[cfg(test)]
mod autoencoder_tests;
mod cell_rules;
mod checkpoint;
mod cpu_engine;
mod cpu_scorer;
mod cuda;
mod divergence;
mod drill;
mod early_stop;
mod engine;
mod fit;
mod lane_sum;
mod manifest;
mod optimizer;
mod reduction;
mod schedule;
mod score;
mod sgd;
mod spec;
mod state;
mod step_times;
mod trainer;
#[cfg(test)]
mod trainer_tests;
mod weights;

pub use checkpoint::Checkpoints;
pub use drill::Drill;
pub use engine::{Asks, Snapshot};
pub use fit::{Fitted, Observer, Taken, fit};
pub use manifest::Identity;
pub use schedule::Decay;
pub use score::{CUDA_SCORING_CHUNK, EMBEDDING_CHUNK, SCORING_CHUNK, Scorer, scoring_chunk};
pub use spec::{CheckpointSpec, OptimizerKind, TrainSpec};
pub use state::{Progress, State, StateView};
pub use step_times::StepTimes;
pub use trainer::{Problem, Trainer};
pub use weights::{load_weights, part_of_weights, save_weights};
