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

    /// What it remembers of each parameter, as [`OptimizerKind::memory`] names it.
    pub fn memory(&self) -> Vec<&[f32]> {
        match self {
            Optimizer::Adam(adam) => adam.moments().into(),
            Optimizer::Sgd(sgd) => vec![sgd.velocity()],
        }
    }

    /// Steps taken, where they matter.
    pub fn steps(&self) -> i32 {
        match self {
            Optimizer::Adam(adam) => adam.steps(),
            Optimizer::Sgd(_) => 0,
        }
    }

    /// Takes up what an optimiser of the same kind remembered after so many steps.
    pub fn restore(&mut self, memory: &[Parameters<f32>], steps: i32) {
        match (self, memory) {
            (Optimizer::Adam(adam), [first, second]) => adam.restore(first.values(), second.values(), steps),
            (Optimizer::Sgd(sgd), [velocity]) => sgd.restore(velocity.values()),
            _ => unreachable!("a state is parsed for its optimiser"),
        }
    }
}
