use crate::Result;
use crate::batch::{Assembler, Examples};
use crate::feature::Features;
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::model::PairNetwork;
use crate::op::Step;

/// Pairs that stream through the head at a time.
const CHUNK: usize = 4096;

/// Predicts pairs: each tower runs once an entity, then the head runs over
/// the pairs in chunks, whose features are never laid out.
pub struct Scorer<'a> {
    plan: CpuPlan<f32>,
    assembler: Assembler<'a>,
    network: &'a PairNetwork,
}

impl<'a> Scorer<'a> {
    /// For pairs among these (scaled) features.
    pub fn new(network: &'a PairNetwork, drugs: &'a Features, samples: &'a Features) -> Result<Self> {
        let capacity = network.ports.capacity(CHUNK, drugs.rows(), samples.rows());
        let plan = CpuPlan::new(network.graph.clone(), Purpose::Score, network.prediction, &capacity)?;
        Ok(Self { plan, assembler: Assembler::new(network.ports, drugs, samples), network })
    }

    /// The scaled prediction of every pair, in order, replacing what `into` held.
    pub fn predict(&mut self, parameters: &Parameters<f32>, examples: &Examples, into: &mut Vec<f32>) {
        let step = Step { seed: 0, number: 0, training: false };
        let ports = self.network.ports;
        into.clear();
        if examples.is_empty() {
            return;
        }
        self.assembler.feed_all_entities(&mut self.plan, examples);
        self.plan.forward_space(ports.drugs, parameters, step);
        self.plan.forward_space(ports.samples, parameters, step);
        for first in (0..examples.len()).step_by(CHUNK) {
            let rows = first..examples.len().min(first + CHUNK);
            self.assembler.feed_pairs(&mut self.plan, examples, rows);
            self.plan.forward_space(ports.pairs, parameters, step);
            into.extend_from_slice(self.plan.output());
        }
    }
}
