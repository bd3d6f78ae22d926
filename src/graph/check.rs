//! Derivatives held against central differences, in f64.

use super::check_cuda::check_cuda;
use super::*;
use crate::op::{Activation, Add, Gather, Linear, Step};
use std::sync::Arc;

/// An op on inputs of pairs and of entities, each behind a product whose
/// weights are what the derivative is checked for.
#[derive(Clone)]
pub struct Check<O> {
    op: O,
    inputs: Vec<(Option<usize>, usize)>,
}

/// A network whose output is the loss.
struct Made {
    graph: Graph,
    loss: NodeId,
    fed: Vec<NodeId>,
    capacity: Vec<usize>,
}

const PAIRS: usize = 7;

impl<O: Op + 'static> Check<O> {
    pub fn new(op: O) -> Self {
        Self { op, inputs: Vec::new() }
    }

    /// An input of the pairs.
    pub fn input(mut self, columns: usize) -> Self {
        self.inputs.push((None, columns));
        self
    }

    /// An input of a space of its own with `entities` rows, joined by the next map.
    pub fn mapped(mut self, columns: usize, entities: usize) -> Self {
        self.inputs.push((Some(entities), columns));
        self
    }
}

/// Values that look random and stay away from kinks at zero.
pub(super) fn value(i: usize) -> f64 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    let x = 2.0 * (x - x.floor()) - 1.0;
    x + 0.1 * x.signum()
}

/// Checks the op alone, then with a second reader of each operand, so that its
/// own gradients are added to another's.
pub fn check_derivative<O: Op + Clone + 'static>(check: Check<O>) {
    for read_twice in [false, true] {
        let Made { graph, loss, fed, capacity } = between(&check, PAIRS, read_twice);
        check_network(graph, loss, &fed, &capacity);
    }
}

/// Holds the device's kernels against the CPU's alone, at so many pairs: for shapes that are too much
/// for central differences.
pub fn check_kernels<O: Op + Clone + 'static>(check: Check<O>, pairs: usize) {
    for read_twice in [false, true] {
        let Made { graph, loss, fed, capacity } = between(&check, pairs, read_twice);
        check_cuda(&Arc::new(graph), loss, &fed, &capacity, &capacity);
    }
}

fn between<O: Op + Clone + 'static>(check: &Check<O>, rows: usize, read_twice: bool) -> Made {
    let mut graph = Graph::new();
    let pairs = graph.space("pairs");
    let mut capacity = vec![rows];
    let (mut fed, mut operands) = (Vec::new(), Vec::new());
    for (i, &(entities, columns)) in check.inputs.iter().enumerate() {
        let (space, map) = match entities {
            None => (pairs, None),
            Some(n) => {
                let space = graph.space("entities");
                capacity.push(n);
                (space, Some(graph.map(pairs, space)))
            }
        };
        let input = graph.input(space, 3);
        let linear = Linear { bias: false, ..Linear::new(3, columns, Activation::Identity) };
        operands.push((graph.add(&format!("before{i}"), linear, &[input]).unwrap(), map));
        fed.push(input);
    }
    let inputs: Vec<NodeId> = operands.iter().map(|operand| operand.0).collect();
    let tested = graph.add("tested", check.op.clone(), &inputs).unwrap();
    // Last layers that weigh every value of a result differently.
    let mut results = vec![tested];
    for (i, &(operand, map)) in operands.iter().enumerate().filter(|_| read_twice) {
        results.push(match map {
            Some(map) => graph.add(&format!("again{i}"), Gather { map }, &[operand]).unwrap(),
            None => operand,
        });
    }
    let weigh = |(i, &result): (usize, &NodeId)| {
        let fan_in = if rows == PAIRS { 2 } else { graph.shape(result).columns };
        graph.add(&format!("after{i}"), Linear::new(fan_in, 1, Activation::Tanh), &[result]).unwrap()
    };
    let weighed: Vec<NodeId> = results.iter().enumerate().map(weigh).collect();
    let loss = graph.add("sum", Add, &weighed).unwrap();
    Made { graph, loss, fed, capacity }
}

/// Checks every parameter's gradient of the sum of `loss` over made-up inputs:
/// in batches that fill the capacity, that do not, and that are empty.
pub fn check_network(graph: Graph, loss: NodeId, fed: &[NodeId], capacity: &[usize]) {
    let graph = Arc::new(graph);
    let fewer: Vec<usize> = capacity.iter().map(|n| (n - 1).max(1)).collect();
    for rows in [capacity, &fewer, &vec![0; capacity.len()]] {
        check_batch(&graph, loss, fed, capacity, rows);
        check_cuda(&graph, loss, fed, capacity, rows);
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

/// Fills a plan with so many made-up rows a space, maps and inputs.
pub fn fill<T: crate::op::Number>(plan: &mut CpuPlan<T>, graph: &Graph, fed: &[NodeId], counts: &[usize]) {
    let rows = plan.rows_mut();
    for (space, &n) in counts.iter().enumerate() {
        rows.count[space] = n;
        rows.number[space] = (0..n as u32).map(|r| 10 * r + 1).collect();
    }
    for (map, ends) in rows.maps.iter_mut().zip(graph.maps()) {
        let to = counts[ends.to.0];
        map.index = (0..counts[ends.from.0]).map(|p| ((p * p + 1) % to) as u32).collect();
        map.invert(to);
    }
    for (table, ends) in rows.bits.iter_mut().zip(graph.bit_tables()) {
        table.ones.clear();
        for row in 0..counts[ends.space.0] {
            let ones: Vec<u32> = (0..ends.columns as u32).filter(|c| (row as u32 + c * c) % 3 == 1).collect();
            table.ones.push(&ones);
        }
        table.invert(ends.columns);
    }
    for (i, &input) in fed.iter().enumerate() {
        if let Some((values, _)) = plan.input_mut(input) {
            values.iter_mut().enumerate().for_each(|(j, v)| *v = T::of(value(1000 * i + j)));
        }
    }
}
