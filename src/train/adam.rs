use super::cell_rules::{BLOCK, CELL, cell_rule, descend};
use super::{OptimizerKind, TrainSpec};
use crate::device::vectorised;
use crate::graph::{Gradients, Parameters};
use rayon::prelude::*;

/// Adam (Kingma and Ba 2015), its weight decay added to the gradient, or
/// AdamW (Loshchilov and Hutter 2019), its weight decay apart from it.
#[derive(Debug)]
pub struct Adam {
    decoupled: bool,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    /// One [`cell_rule`] a cell.
    rules: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

/// The numbers of one step.
#[derive(Clone, Copy)]
struct Rates {
    beta1: f32,
    beta2: f32,
    /// Learning rate over the first moment's bias correction.
    rate: f32,
    /// Learning rate, for decoupled decay.
    plain: f32,
    /// One over the root of the second moment's bias correction.
    root: f32,
    epsilon: f32,
    decoupled: bool,
}

impl Adam {
    /// With moments of zero.
    pub fn new(spec: &TrainSpec, parameters: &Parameters<f32>) -> Self {
        let zeros = vec![0.0; parameters.values().len()];
        Self {
            decoupled: spec.optimizer == OptimizerKind::AdamW,
            beta1: spec.beta1,
            beta2: spec.beta2,
            epsilon: spec.epsilon,
            rules: parameters.by_cell(|p| cell_rule(p, spec.weight_decay)),
            first: zeros.clone(),
            second: zeros,
            steps: 0,
        }
    }

    /// First and second moments.
    pub fn moments(&self) -> [&[f32]; 2] {
        [&self.first, &self.second]
    }

    /// Steps taken.
    pub fn steps(&self) -> i32 {
        self.steps
    }

    /// Goes on from these moments, `steps` steps after the start.
    pub fn restore(&mut self, first: &[f32], second: &[f32], steps: i32) {
        self.first.copy_from_slice(first);
        self.second.copy_from_slice(second);
        self.steps = steps;
    }

    /// Takes one step at this learning rate.
    pub fn step(&mut self, parameters: &mut Parameters<f32>, gradients: &Gradients<f32>, rate: f64) {
        self.steps += 1;
        let rates = Rates {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rate: (rate / (1.0 - self.beta1.powi(self.steps))) as f32,
            plain: rate as f32,
            root: (1.0 / (1.0 - self.beta2.powi(self.steps)).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            decoupled: self.decoupled,
        };
        for bucket in 0..gradients.buckets() {
            let place = gradients.place(bucket);
            let values = parameters.values_mut()[place.clone()].par_chunks_mut(BLOCK);
            let blocks = values.zip(gradients.bucket(bucket).par_chunks(BLOCK));
            let first = self.first[place.clone()].par_chunks_mut(BLOCK);
            let moments = first.zip(self.second[place.clone()].par_chunks_mut(BLOCK));
            let rules = self.rules[place.start / CELL..place.end / CELL].par_chunks(BLOCK / CELL);
            blocks.zip(moments).zip(rules).for_each(|(((values, gradient), (first, second)), rules)| {
                vectorised(
                    #[inline(always)]
                    || update(values, gradient, first, second, rules, rates),
                );
            });
        }
    }
}

#[inline(always)]
fn update(
    values: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    rules: &[f32],
    rates: Rates,
) {
    let cells = values.chunks_exact_mut(CELL).zip(gradient.chunks_exact(CELL));
    let moments = first.chunks_exact_mut(CELL).zip(second.chunks_exact_mut(CELL));
    for (((values, gradient), (first, second)), &rule) in cells.zip(moments).zip(rules) {
        if rule.is_sign_negative() {
            descend(values, gradient, rule);
            continue;
        }
        let (coupled, decoupled) = if rates.decoupled { (0.0, rule * rates.plain) } else { (rule, 0.0) };
        for i in 0..CELL {
            let g = gradient[i] + coupled * values[i];
            first[i] = rates.beta1 * first[i] + (1.0 - rates.beta1) * g;
            second[i] = rates.beta2 * second[i] + (1.0 - rates.beta2) * g * g;
            let change = rates.rate * first[i] / (second[i].sqrt() * rates.root + rates.epsilon);
            values[i] -= decoupled * values[i] + change;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Parameter};
    use crate::op::{Activation, Linear, Rule};

    /// Ten steps on a fixed gradient, by the published formulas in f64.
    #[test]
    fn steps_follow_the_published_formulas() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 3);
        let x = graph.add("l", Linear::new(3, 7, Activation::Identity), &[x]).unwrap();
        let x = graph.add("m", Linear::new(7, 5, Activation::Identity), &[x]).unwrap();
        graph.add("c", Linear::new(5, 4, Activation::Identity), &[x]).unwrap();
        graph.set_rule("c.weight", Rule::Descent { rate: 0.5 });
        for optimizer in [OptimizerKind::Adam, OptimizerKind::AdamW] {
            let spec = TrainSpec { optimizer, weight_decay: 0.1, ..TrainSpec::default() };
            let mut parameters = Parameters::<f32>::start(&graph, 4).unwrap();
            let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
            for place in parameters.layout() {
                for i in place.range.clone() {
                    let bucket = (0..gradients.buckets()).find(|&b| gradients.place(b).contains(&i)).unwrap();
                    let at = i - gradients.place(bucket).start;
                    gradients.bucket_mut(bucket)[at] = (i as f32).sin();
                }
            }
            let whole: Vec<f32> =
                (0..gradients.buckets()).flat_map(|b| gradients.bucket(b)).copied().collect();
            assert!(gradients.buckets() > 1);
            let ranges = |of: fn(&Parameter) -> bool| -> Vec<_> {
                parameters.layout().iter().filter(|p| of(p)).map(|p| p.range.clone()).collect()
            };
            let (decays, descends) = (ranges(|p| p.decay), ranges(|p| p.rule != Rule::Optimizer));
            assert_eq!(descends.len(), 1);
            let mut expected: Vec<f64> = parameters.values().iter().map(|&v| v.into()).collect();
            let mut moments = vec![(0.0f64, 0.0f64); expected.len()];
            let mut adam = Adam::new(&spec, &parameters);
            for t in 1..=10 {
                adam.step(&mut parameters, &gradients, 0.01);
                for (i, w) in expected.iter_mut().enumerate() {
                    if descends[0].contains(&i) {
                        *w -= 0.5 * f64::from(whole[i]);
                        continue;
                    }
                    let wd = if decays.iter().any(|range| range.contains(&i)) { 0.1 } else { 0.0 };
                    let mut g = f64::from(whole[i]);
                    if optimizer == OptimizerKind::Adam {
                        g += wd * *w;
                    } else {
                        *w -= 0.01 * wd * *w;
                    }
                    let (m, v) = &mut moments[i];
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.999 * *v + 0.001 * g * g;
                    let (mh, vh) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.999f64.powi(t)));
                    *w -= 0.01 * mh / (vh.sqrt() + 1e-8);
                }
            }
            for (got, want) in parameters.values().iter().zip(&expected) {
                assert!((f64::from(*got) - want).abs() < 1e-5, "{optimizer:?}: {got} {want}");
            }
            let still = |moments: &[f32]| moments[descends[0].clone()].iter().all(|&m| m == 0.0);
            assert!(adam.moments().into_iter().all(still));
        }
    }
}
