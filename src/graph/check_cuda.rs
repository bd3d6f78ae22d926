//! Kernels of a CUDA device, run on the host, held against those of the CPU.

use super::compare::{self, Reference};
use super::*;
use crate::device::cuda::{HostDriver, Precision, Stream};
use crate::op::Tensor;
use std::sync::Arc;

/// [`compare::download`], for tests.
pub fn download(stream: &Stream, tensor: Tensor, rows: usize) -> Vec<f32> {
    compare::download(stream, tensor, rows).unwrap()
}

/// [`compare::feed`], for tests.
pub fn feed(stream: &Stream, tensor: Tensor, values: &[f32]) {
    compare::feed(stream, tensor, values).unwrap();
}

/// How far values may be apart, as a part of the largest of them.
fn tolerance(precision: Precision) -> f64 {
    if precision == Precision::Bf16 { 0.04 } else { 2e-5 }
}

/// How gradients are held against those of the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Each by itself.
    Each,
    /// All of them as one, in bfloat16: what is stored with 8 bits of mantissa is rounded by every op, and in a
    /// network of many a single parameter's gradient may be a small difference of such values.
    AsOne,
}

/// Holds output and gradients of the device's kernels against those of the CPU.
pub fn check_cuda(
    graph: &Arc<Graph>,
    loss: NodeId,
    fed: &[NodeId],
    capacity: &[usize],
    rows: &[usize],
    held: Held,
) {
    let stream = HostDriver::stream();
    let mut reference = Reference::new(graph, loss, fed, capacity, rows).unwrap();
    for precision in [Precision::Fp32, Precision::Bf16] {
        let found = reference.compare(&stream, precision).unwrap();
        assert!(found.repeats, "{precision:?}: other bits when run again");
        let as_one = precision == Precision::Bf16 && held == Held::AsOne;
        assert!(!as_one || found.apart <= 0.05, "gradients are {} apart", found.apart);
        // The first is the output.
        for difference in found.each.iter().take(if as_one { 1 } else { usize::MAX }) {
            assert!(difference.largest <= tolerance(precision), "{precision:?}: {difference:?}");
        }
    }
}
