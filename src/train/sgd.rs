use super::TrainSpec;
use super::weight_decay::{BLOCK, CELL, decay_by_cell};
use crate::device::vectorised;
use crate::graph::{Gradients, Parameters};
use rayon::prelude::*;

/// Stochastic gradient descent with momentum (Polyak 1964):
/// `v = momentum v + g + decay w`, `w -= rate v`.
#[derive(Debug)]
pub struct Sgd {
    momentum: f32,
    decay: Vec<f32>,
    velocity: Vec<f32>,
}

impl Sgd {
    /// At rest.
    pub fn new(spec: &TrainSpec, parameters: &Parameters<f32>) -> Self {
        Self {
            momentum: spec.momentum as f32,
            decay: decay_by_cell(parameters, spec.weight_decay),
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
            let decay = self.decay[place.start / CELL..place.end / CELL].par_chunks(BLOCK / CELL);
            let memory = self.velocity[place].par_chunks_mut(BLOCK).zip(decay);
            blocks.zip(memory).for_each(|((values, gradient), (velocity, decay))| {
                vectorised(
                    #[inline(always)]
                    || update(values, gradient, velocity, decay, momentum, rate),
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
    decay: &[f32],
    momentum: f32,
    rate: f32,
) {
    let cells = values.chunks_exact_mut(CELL).zip(gradient.chunks_exact(CELL));
    for (((values, gradient), velocity), &decay) in cells.zip(velocity.chunks_exact_mut(CELL)).zip(decay) {
        for i in 0..CELL {
            velocity[i] = momentum * velocity[i] + gradient[i] + decay * values[i];
            values[i] -= rate * velocity[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::op::{Activation, LayerNorm, Linear};

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
}
