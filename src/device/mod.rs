//! Where kernels run: `cuda` has devices of that kind. On the CPU `matmul` multiplies, `sweep` walks
//! rows in parallel with the widest instructions there are, `threads` sizes
//! the pool, `philox` gives random bits that depend on counters alone.

/// CUDA devices.
pub mod cuda;
mod element;
mod matmul;
/// Random bits that depend on counters alone.
pub mod philox;
mod sweep;
/// How many threads a rank gets.
pub mod threads;

/// What a rank computes on.
#[derive(Debug, Clone)]
pub enum Device {
    /// Its processors.
    Cpu,
    /// A CUDA device.
    Cuda(cuda::Stream),
}

pub use element::Element;
pub use matmul::{MatRef, matmul, matmul_by_library, matmul_then};
pub use sweep::{all_finite, column_sums, sum, sweep_columns, sweep_costly_rows, sweep_rows, vectorised};
