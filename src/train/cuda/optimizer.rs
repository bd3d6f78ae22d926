use crate::Result;
use crate::device::cuda::{Address, Argument, Kernel, Memory, Precision, Storage, Stream};
use crate::graph::{CudaGradients, CudaLayout, CudaParameters, Parameters};
use crate::op::EIGHT;
use crate::train::cell_rules::cell_rule;
use crate::train::{OptimizerKind, TrainSpec};
use std::sync::Arc;

/// The rules of [`super::optimizer::Optimizer`] on a device: all parameters in
/// one pass, which writes their copy in the tensors' numbers too.
#[derive(Debug)]
pub struct CudaOptimizer {
    stream: Stream,
    layout: Arc<CudaLayout>,
    storage: Storage,
    kind: OptimizerKind,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    momentum: f32,
    /// One [`cell_rule`] a cell.
    rules: Memory,
    /// As [`OptimizerKind::memory`] names them.
    memory: Vec<Memory>,
}

const ADAM: Kernel = Kernel::new("adam", "step");
const SGD: Kernel = Kernel::new("sgd", "step");

impl CudaOptimizer {
    /// At its start. Fails if there is no memory for what it remembers.
    pub fn new(
        stream: &Stream,
        spec: &TrainSpec,
        layout: Arc<CudaLayout>,
        precision: Precision,
    ) -> Result<Self> {
        let rules = layout.by_cell(|parameter| cell_rule(parameter, spec.weight_decay));
        let bytes = layout.length() * Storage::F32.bytes();
        let memory = spec.optimizer.memory().iter().map(|_| stream.zeros(bytes));
        Ok(Self {
            stream: stream.clone(),
            storage: precision.storage(),
            kind: spec.optimizer,
            beta1: spec.beta1 as f32,
            beta2: spec.beta2 as f32,
            epsilon: spec.epsilon as f32,
            momentum: spec.momentum as f32,
            rules: stream.holding(&rules)?,
            memory: memory.collect::<Result<_>>()?,
            layout,
        })
    }

    /// Puts one step on the stream, which changes nothing where the `Verdict` of
    /// `kernels/crossrx.cuh` says so.
    pub fn step(
        &self,
        parameters: &CudaParameters,
        gradients: &CudaGradients,
        verdict: Address,
    ) -> Result<()> {
        let eights = self.layout.length() / EIGHT;
        let copy = parameters.copy().map_or(Address::NONE, Memory::at);
        let mut arguments: Vec<Argument> = vec![parameters.master().at().into()];
        arguments.push(gradients.memory().at().into());
        arguments.extend(self.memory.iter().map(|memory| Argument::from(memory.at())));
        arguments.extend([self.rules.at().into(), copy.into(), Argument::from(verdict)]);
        let kernel = match self.kind {
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                let decoupled = self.kind == OptimizerKind::AdamW;
                arguments.extend([self.beta1, self.beta2, self.epsilon].map(Argument::from));
                arguments.push(decoupled.into());
                ADAM
            }
            OptimizerKind::Sgd => {
                arguments.push(self.momentum.into());
                SGD
            }
        };
        arguments.push(eights.into());
        self.stream.launch_over(kernel, self.storage, eights, &arguments)
    }

    /// What it remembers of each parameter, laid out as `like` is.
    pub fn memory(&self, like: &Parameters<f32>) -> Result<Vec<Parameters<f32>>> {
        let mut values = vec![0.0; self.layout.length()];
        let download = |memory: &Memory| {
            memory.download(0, &mut values)?;
            let mut host = like.zeros_like();
            self.layout.gather(&values, host.values_mut());
            Ok(host)
        };
        self.memory.iter().map(download).collect()
    }

    /// Takes up what an optimiser of the same kind remembered.
    pub fn restore(&self, memory: &[Parameters<f32>]) -> Result<()> {
        assert_eq!(memory.len(), self.memory.len(), "a state is parsed for its optimiser");
        let mut both = self.memory.iter().zip(memory);
        both.try_for_each(|(to, from)| to.upload(0, &self.layout.spread(from.values())))
    }
}
