//! Derivatives held against central differences, in f64.

use super::check_cuda::{Held, check_cuda};
use super::compare::{Trial, value};
use super::*;
use crate::op::Step;
use std::sync::Arc;

pub use super::compare::{OneOp as Check, fill};

const PAIRS: usize = 7;

/// Checks the op alone, then with a second reader of each operand, so that its
/// own gradients are added to another's.
pub fn check_derivative<O: Op + Clone + 'static>(check: Check<O>) {
    for read_twice in [false, true] {
        let Trial { graph, loss, fed, capacity } = check.between(PAIRS, read_twice, Some(2)).unwrap();
        check_network(Arc::into_inner(graph).unwrap(), loss, &fed, &capacity);
    }
}

/// Holds the device's kernels against the CPU's alone, at so many pairs: for shapes that are too much
/// for central differences.
pub fn check_kernels<O: Op + Clone + 'static>(check: Check<O>, pairs: usize) {
    for read_twice in [false, true] {
        let Trial { graph, loss, fed, capacity } = check.between(pairs, read_twice, None).unwrap();
        check_cuda(&graph, loss, &fed, &capacity, &capacity, Held::Each);
    }
}

/// Checks every parameter's gradient of the sum of `loss` over made-up inputs:
/// in batches that fill the capacity, that do not, and that are empty.
pub fn check_network(graph: Graph, loss: NodeId, fed: &[NodeId], capacity: &[usize]) {
    check(graph, loss, fed, capacity, Held::Each);
}

/// The same of a network of many layers, whose gradients on a device are held all together.
pub fn check_whole_network(graph: Graph, loss: NodeId, fed: &[NodeId], capacity: &[usize]) {
    check(graph, loss, fed, capacity, Held::AsOne);
}

fn check(graph: Graph, loss: NodeId, fed: &[NodeId], capacity: &[usize], held: Held) {
    let graph = Arc::new(graph);
    let fewer: Vec<usize> = capacity.iter().map(|n| (n - 1).max(1)).collect();
    for rows in [capacity, &fewer, &vec![0; capacity.len()]] {
        check_batch(&graph, loss, fed, capacity, rows);
        check_cuda(&graph, loss, fed, capacity, rows, held);
    }
}

fn check_batch(graph: &Arc<Graph>, loss: NodeId, fed: &[NodeId], capacity: &[usize], rows: &[usize]) {
    let mut plan = CpuPlan::<f64>::new(graph.clone(), Purpose::Train, loss, &[], capacity).unwrap();
    // Whatever buffers held before must not matter.
    plan.spoil();
    fill(&mut plan, graph, fed, rows);
    let step = Step { seed: 3, number: 11 };
    let mut parameters = Parameters::<f64>::start(graph, 1).unwrap();
    for (i, v) in parameters.values_mut().iter_mut().enumerate() {
        *v += 0.3 * value(i + 91);
    }
    let mut gradients = plan.gradients().unwrap();
    (0..gradients.buckets()).for_each(|b| gradients.bucket_mut(b).fill(f64::NAN));
    plan.forward(&parameters, step);
    let mut whole = Vec::new();
    plan.backward(&parameters, &mut gradients, 0.7, step, &mut |bucket, gradients| {
        whole.push((bucket, gradients.bucket(bucket).to_vec()));
    });
    for (at, (bucket, values)) in whole.iter().enumerate() {
        // What is whole does not change any more. Between parameters it is NaN still.
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        assert!(*bucket == at && values.iter().zip(gradients.bucket(at)).all(same));
    }
    assert_eq!(whole.len(), gradients.buckets());
    let mut total = |parameters: &Parameters<f64>| {
        plan.forward(parameters, step);
        0.7 * plan.output().iter().sum::<f64>()
    };
    let h = 1e-6;
    for (number, parameter) in parameters.clone().layout().iter().enumerate() {
        for (at, &gradient) in parameter.range.clone().zip(gradients.of(number)) {
            let kept = parameters.values()[at];
            parameters.values_mut()[at] = kept + h;
            let up = total(&parameters);
            parameters.values_mut()[at] = kept - h;
            let difference = (up - total(&parameters)) / (2.0 * h);
            parameters.values_mut()[at] = kept;
            assert!(
                (gradient - difference).abs() < 1e-7 * (1.0 + gradient.abs().max(difference.abs())),
                "{} at {at} with rows {rows:?}: derivative {gradient}, difference {difference}",
                parameter.name
            );
        }
    }
}
