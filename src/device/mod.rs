//! Where kernels run.

/// Counter-based random words.
pub mod philox;
