//! Lanes, shuffles, and batches of pairs with their distinct drugs and samples.
//!
//! Training pairs are dealt to lanes by a fixed rule. Each lane shuffles
//! itself and a step takes an equal part of every lane, so what a step trains
//! on depends on the number of lanes, not on the number of ranks.

mod assemble;
mod cuda;
mod deal;
mod lanes;
mod ports;
mod shuffle;

pub use assemble::Assembler;
pub use cuda::{BatchComparison, BatchesCompared, CudaAssembler, CudaFeeder, CudaPairs, CudaTables};
pub use deal::deal;
pub use lanes::{Lanes, part};
pub use ports::{EntityPort, Examples, FeaturePort, Ports};
pub use shuffle::Shuffle;
