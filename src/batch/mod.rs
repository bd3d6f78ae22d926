//! Lanes, shuffles, and batches of pairs with their distinct drugs and samples.
//!
//! Training pairs are dealt to lanes by a fixed rule. Each lane shuffles
//! itself and a step takes an equal part of every lane, so what a step trains
//! on depends on the number of lanes, not on the number of ranks.

mod assemble;
mod cuda_assembler;
mod cuda_feeder;
mod cuda_pairs;
mod cuda_tables;
#[cfg(test)]
mod cuda_tests;
mod deal;
mod lanes;
mod ports;
mod shuffle;

pub use assemble::Assembler;
pub use cuda_assembler::CudaAssembler;
pub use cuda_feeder::CudaFeeder;
pub use cuda_pairs::CudaPairs;
pub use cuda_tables::CudaTables;
pub use deal::deal;
pub use lanes::{Lanes, part};
pub use ports::{EntityPort, Examples, FeaturePort, Ports};
pub use shuffle::Shuffle;
