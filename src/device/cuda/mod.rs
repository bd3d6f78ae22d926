//! A CUDA device as the rooms above see it: memory, a stream that kernels and
//! matrix products go to in order, and recordings of them that are replayed.
//!
//! Two drivers stand behind a stream: a device's own, and one that runs the same
//! kernel sources on the host, block after block, so that all above the driver
//! can be tested where there is no GPU.

mod cache;
/// Which devices there are.
pub mod devices;
mod driver;
mod guarded;
mod host;
mod kernel;
mod memory;
#[cfg(feature = "cuda")]
mod nvidia;
mod product;
mod stream;
#[cfg(test)]
mod stream_tests;

pub use cache::cache_folder;
pub use driver::{Driver, Recording};
pub use host::HostDriver;
pub use kernel::{Argument, Kernel, Launch, SOURCES, Source};
pub use memory::{Address, Memory};
pub use product::{CudaMatrix, CudaProduct, Precision, Storage};
pub use stream::{Recorded, Stream};
