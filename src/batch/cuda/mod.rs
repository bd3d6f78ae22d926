//! Batches on a CUDA device: features and pairs lie there, and are shuffled, sorted and gathered there.

mod assembler;
mod compare;
mod feeder;
mod pairs;
mod tables;
#[cfg(test)]
mod tests;

pub use assembler::CudaAssembler;
pub use compare::{BatchComparison, BatchesCompared};
pub use feeder::CudaFeeder;
pub use pairs::CudaPairs;
pub use tables::CudaTables;

use super::{EntityPort, Examples, FeaturePort, Lanes, Ports};
