//! Training and scoring on a CUDA device, over the ranks of a group.

mod engine;
mod lane_sum;
mod optimizer;
mod rank_sum;
mod scorer;
mod staging;
mod tree_sum;
mod update;
#[cfg(test)]
mod update_tests;

pub use engine::CudaEngine;
pub use scorer::CudaScorer;
