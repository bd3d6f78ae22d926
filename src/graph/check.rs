//! Derivatives held against central differences, in f64.

use super::*;
use crate::op::{Activation, Linear, Step};
use std::sync::Arc;

/// An op on inputs of pairs and of entities, each behind a product whose
/// weights are what the derivative is checked for.
pub struct Check<O> {
    op: O,
    inputs: Vec<(Option<usize>, usize)>,
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
fn value(i: usize) -> f64 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    let x = 2.0 * (x - x.floor()) - 1.0;
    x + 0.1 * x.signum()
}

pub fn check_derivative<O: Op + 'static>(check: Check<O>) {
    let mut graph = Graph::new();
    let pairs = graph.space("pairs");
    let mut capacity = vec![PAIRS];
    let (mut fed, mut operands) = (Vec::new(), Vec::new());
    for (i, &(entities, columns)) in check.inputs.iter().enumerate() {
        let space = match entities {
            None => pairs,
            Some(n) => {
                let space = graph.space("entities");
                capacity.push(n);
                graph.map(pairs, space);
                space
            }
        };
        let input = graph.input(space, 3);
        let linear = Linear { bias: false, ..Linear::new(3, columns, Activation::Identity) };
        operands.push(graph.add(&format!("before{i}"), linear, &[input]).unwrap());
        fed.push(input);
    }
    let tested = graph.add("tested", check.op, &operands).unwrap();
    // A last layer that weighs every value of the result differently.
    let loss = graph.add("after", Linear::new(2, 1, Activation::Tanh), &[tested]).unwrap();
    check_network(graph, loss, &fed, &capacity);
}

/// Checks every parameter's gradient of the sum of `loss` over made-up inputs.
pub fn check_network(graph: Graph, loss: NodeId, fed: &[NodeId], capacity: &[usize]) {
    let graph = Arc::new(graph);
    let mut plan = CpuPlan::<f64>::new(graph.clone(), Purpose::Train, loss, &[], capacity).unwrap();
    fill(&mut plan, &graph, fed, capacity);
    let step = Step { seed: 3, number: 11, training: true };
    let mut parameters = Parameters::<f64>::start(&graph, 1).unwrap();
    for (i, v) in parameters.values_mut().iter_mut().enumerate() {
        *v += 0.3 * value(i + 91);
    }
    let mut gradients = parameters.zeros_like();
    // Whatever buffers held before must not matter.
    gradients.values_mut().fill(f64::NAN);
    plan.forward(&parameters, step);
    plan.backward(&parameters, &mut gradients, 0.7, step);
    let mut total = |parameters: &Parameters<f64>| {
        plan.forward(parameters, step);
        0.7 * plan.output().iter().sum::<f64>()
    };
    let h = 1e-6;
    for parameter in parameters.clone().layout() {
        for at in parameter.range.clone() {
            let kept = parameters.values()[at];
            parameters.values_mut()[at] = kept + h;
            let up = total(&parameters);
            parameters.values_mut()[at] = kept - h;
            let difference = (up - total(&parameters)) / (2.0 * h);
            parameters.values_mut()[at] = kept;
            let gradient = gradients.values()[at];
            assert!(
                (gradient - difference).abs() < 1e-7 * (1.0 + gradient.abs().max(difference.abs())),
                "{} at {at}: derivative {gradient}, difference {difference}",
                parameter.name
            );
        }
    }
}

/// Fills a plan to capacity with made-up rows, maps and inputs.
pub fn fill<T: crate::op::Number>(plan: &mut CpuPlan<T>, graph: &Graph, fed: &[NodeId], capacity: &[usize]) {
    let rows = plan.rows_mut();
    for (space, &n) in capacity.iter().enumerate() {
        rows.count[space] = n;
        rows.number[space] = (0..n as u32).map(|r| 10 * r + 1).collect();
    }
    for (map, ends) in rows.maps.iter_mut().zip(graph.maps()) {
        let to = capacity[ends.to.0];
        map.index = (0..capacity[ends.from.0]).map(|p| ((p * p + 1) % to) as u32).collect();
        map.invert(to);
    }
    for (i, &input) in fed.iter().enumerate() {
        if let Some((values, _)) = plan.input_mut(input) {
            values.iter_mut().enumerate().for_each(|(j, v)| *v = T::of(value(1000 * i + j)));
        }
    }
}
