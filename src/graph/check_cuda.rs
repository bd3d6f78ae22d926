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

/// Nodes of the largest graph that is about one op.
const ONE_OP: usize = 16;

/// Holds output and gradients of the device's kernels against those of the CPU.
pub fn check_cuda(graph: &Arc<Graph>, loss: NodeId, fed: &[NodeId], capacity: &[usize], rows: &[usize]) {
    let stream = HostDriver::stream();
    let mut reference = Reference::new(graph, loss, fed, capacity, rows).unwrap();
    for precision in [Precision::Fp32, Precision::Bf16] {
        let found = reference.compare(&stream, precision).unwrap();
        assert!(found.repeats, "{precision:?}: other bits when run again");
        let whole = precision == Precision::Bf16 && graph.len() > ONE_OP;
        // What is stored with 8 bits of mantissa is rounded by every op, and a single parameter's gradient may
        // be a small difference of such values.
        assert!(!whole || found.apart <= 0.05, "gradients are {} apart", found.apart);
        for difference in found.each.iter().take(if whole { 1 } else { usize::MAX }) {
            assert!(difference.largest <= tolerance(precision), "{precision:?}: {difference:?}");
        }
    }
}
