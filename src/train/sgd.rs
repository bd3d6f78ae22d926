use super::TrainSpec;
use super::cell_rules::{BLOCK, CELL, cell_rule, descend};
use crate::device::vectorised;
use crate::graph::{Gradients, Parameters};
use rayon::prelude::*;

/// Stochastic gradient descent with momentum (Polyak 1964):
/// `v = momentum v + g + decay w`, `w -= rate v`.
#[derive(Debug)]
pub struct Sgd {
    momentum: f32,
    /// One [`cell_rule`] a cell.
    rules: Vec<f32>,
    velocity: Vec<f32>,
}

impl Sgd {
    /// At rest.
    pub fn new(spec: &TrainSpec, parameters: &Parameters<f32>) -> Self {
        Self {
            momentum: spec.momentum as f32,
            rules: parameters.by_cell(|p| cell_rule(p, spec.weight_decay)),
            velocity: vec![0.0; parameters.values().len()],
        }
    }

    /// The gradients remembered.
    pub fn velocity(&self) -> &[f32] {
        &self.velocity
    }

    /// Goes on from this velocity.
    pub fn restore(&mut self, velocity: &[f32]) {
        self.velocity.copy_from_slice(velocity);
    }

    /// Takes one step at this learning rate.
    pub fn step(&mut self, parameters: &mut Parameters<f32>, gradients: &Gradients<f32>, rate: f64) {
        let (momentum, rate) = (self.momentum, rate as f32);
        for bucket in 0..gradients.buckets() {
            let place = gradients.place(bucket);
            let values = parameters.values_mut()[place.clone()].par_chunks_mut(BLOCK);
            let blocks = values.zip(gradients.bucket(bucket).par_chunks(BLOCK));
            let rules = self.rules[place.start / CELL..place.end / CELL].par_chunks(BLOCK / CELL);
            let memory = self.velocity[place].par_chunks_mut(BLOCK).zip(rules);
            blocks.zip(memory).for_each(|((values, gradient), (velocity, rules))| {
                vectorised(
                    #[inline(always)]
                    || update(values, gradient, velocity, rules, momentum, rate),
                );
            });
        }
    }
}

#[inline(always)]
fn update(
    values: &mut [f32],
    gradient: &[f32],
    velocity: &mut [f32],
    rules: &[f32],
    momentum: f32,
    rate: f32,
) {
    let cells = values.chunks_exact_mut(CELL).zip(gradient.chunks_exact(CELL));
    for (((values, gradient), velocity), &rule) in cells.zip(velocity.chunks_exact_mut(CELL)).zip(rules) {
        if rule.is_sign_negative() {
            descend(values, gradient, rule);
            continue;
        }
        for i in 0..CELL {
            velocity[i] = momentum * velocity[i] + gradient[i] + rule * values[i];
            values[i] -= rate * velocity[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::op::{Activation, LayerNorm, Linear, Rule};

    #[test]
    fn momentum_builds_up_and_gains_do_not_decay() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 1);
        let x = graph.add("n", LayerNorm, &[x]).unwrap();
        graph.add("l", Linear::new(1, 1, Activation::Identity), &[x]).unwrap();
        let mut parameters = Parameters::<f32>::start(&graph, 0).unwrap();
        let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
        let at = parameters.layout()[0].range.start;
        let weight = parameters.layout()[2].range.start;
        let bucket = (0..gradients.buckets()).find(|&b| gradients.place(b).contains(&at)).unwrap();
        let first = gradients.place(bucket).start;
        gradients.bucket_mut(bucket)[at - first] = 1.0;
        parameters.values_mut()[weight] = 1.0;
        let spec = TrainSpec { momentum: 0.5, weight_decay: 1.0, ..TrainSpec::default() };
        let mut sgd = Sgd::new(&spec, &parameters);
        let seen: Vec<f32> = (0..3)
            .map(|_| {
                sgd.step(&mut parameters, &gradients, 0.5);
                parameters.values()[at]
            })
            .collect();
        assert_eq!(seen, [0.5, -0.25, -1.125]);
        // Its gradient is zero, its decay one: v = 1, 1, 0.5 and w = 0.5, 0, -0.25.
        assert_eq!(parameters.values()[weight], -0.25);
    }

    #[test]
    fn what_has_a_rate_of_its_own_descends_at_it() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 1);
        graph.add("c", Linear::new(1, 1, Activation::Identity), &[x]).unwrap();
        for rate in [0.25, 0.0] {
            graph.set_rule("c.weight", Rule::Descent { rate });
            let mut parameters = Parameters::<f32>::start(&graph, 0).unwrap();
            let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
            let at = parameters.layout()[0].range.start;
            (0..gradients.buckets()).for_each(|bucket| gradients.bucket_mut(bucket)[0] = 2.0);
            assert_eq!((gradients.buckets(), gradients.of(0)[0] + gradients.of(1)[0]), (1, 2.0));
            gradients.bucket_mut(0)[at] = 2.0;
            parameters.values_mut()[at] = 3.0;
            let spec = TrainSpec { momentum: 0.5, weight_decay: 1.0, ..TrainSpec::default() };
            let mut sgd = Sgd::new(&spec, &parameters);
            (0..2).for_each(|_| sgd.step(&mut parameters, &gradients, 0.125));
            assert_eq!(parameters.values()[at], 3.0 - 4.0 * rate as f32);
            assert_eq!(sgd.velocity()[at], 0.0);
            // The bias, by the optimiser: v = 2, 3.
            assert_eq!(parameters.values()[parameters.layout()[1].range.start], -0.625);
        }
    }
}
