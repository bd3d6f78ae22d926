use super::adam::Adam;
use super::sgd::Sgd;
use super::{OptimizerKind, TrainSpec};
use crate::graph::{Gradients, Parameters};

/// A rule that changes parameters by their gradient, with what it remembers.
#[derive(Debug)]
pub enum Optimizer {
    /// Adam or AdamW.
    Adam(Adam),
    /// SGD with momentum.
    Sgd(Sgd),
}

impl Optimizer {
    /// At its start.
    pub fn new(spec: &TrainSpec, parameters: &Parameters<f32>) -> Self {
        match spec.optimizer {
            OptimizerKind::Adam | OptimizerKind::AdamW => Optimizer::Adam(Adam::new(spec, parameters)),
            OptimizerKind::Sgd => Optimizer::Sgd(Sgd::new(spec, parameters)),
        }
    }

    /// Takes one step at this learning rate.
    pub fn step(&mut self, parameters: &mut Parameters<f32>, gradients: &Gradients<f32>, rate: f64) {
        match self {
            Optimizer::Adam(adam) => adam.step(parameters, gradients, rate),
            Optimizer::Sgd(sgd) => sgd.step(parameters, gradients, rate),
        }
    }
}
