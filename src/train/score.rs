use super::cpu_scorer::CpuScorer;
use crate::Result;
use crate::batch::Examples;
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::feature::ScaledFeatures;
use crate::graph::Parameters;
use crate::model::PairNetwork;
use std::ops::Range;

/// Pairs that stream through the head at a time on processors. Ranks share a dataset in
/// whole chunks, so that a pair's prediction has the same bits on any number.
pub const SCORING_CHUNK: usize = 4096;

/// Entities that pass through a tower at a time on processors.
pub const EMBEDDING_CHUNK: usize = 1024;

/// Predicts pairs: [`Scorer::embed`] runs each tower once an entity and keeps
/// what the head reads of it; [`Scorer::predict`] then streams pairs through
/// the head in chunks, whose features are never laid out.
pub enum Scorer {
    /// On this rank's processors.
    Cpu(Box<CpuScorer>),
}

impl Scorer {
    /// For at most `most` drugs and samples with these features.
    pub fn new(
        network: &PairNetwork,
        features: [ScaledFeatures; 2],
        most: [usize; 2],
        device: &Device,
        _precision: Precision,
    ) -> Result<Self> {
        match device {
            Device::Cpu => Ok(Scorer::Cpu(Box::new(CpuScorer::new(network, features, most)?))),
            Device::Cuda(_) => unimplemented!(),
        }
    }

    /// Runs the towers on these entities, each list distinct; their pairs can
    /// be predicted until this is called again. Panics if they are more than the
    /// scorer was made for.
    pub fn embed(&mut self, parameters: &Parameters<f32>, entities: [&[u32]; 2]) -> Result<()> {
        match self {
            Scorer::Cpu(scorer) => scorer.embed(parameters, entities),
        }
    }

    /// The scaled prediction of pairs `rows` of `examples`, whose entities are
    /// embedded, appended to `into`.
    pub fn predict(
        &mut self,
        parameters: &Parameters<f32>,
        examples: &Examples,
        rows: Range<usize>,
        into: &mut Vec<f32>,
    ) -> Result<()> {
        match self {
            Scorer::Cpu(scorer) => scorer.predict(parameters, examples, rows, into),
        }
    }
}
