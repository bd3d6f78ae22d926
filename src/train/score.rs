use super::cpu_scorer::CpuScorer;
use super::cuda::CudaScorer;
use crate::Result;
use crate::batch::{CudaPairs, CudaTables, Examples};
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::feature::ScaledFeatures;
use crate::graph::{CudaLayout, CudaParameters, Parameters};
use crate::model::PairNetwork;
use std::ops::Range;
use std::rc::Rc;

/// Pairs that stream through the head at a time on processors.
pub const SCORING_CHUNK: usize = 4096;

/// Entities that pass through a tower at a time on processors.
pub const EMBEDDING_CHUNK: usize = 1024;

/// The same of a device, which smaller pieces would not fill.
pub const CUDA_SCORING_CHUNK: usize = 8 * SCORING_CHUNK;

/// Likewise.
pub const CUDA_EMBEDDING_CHUNK: usize = 8 * EMBEDDING_CHUNK;

/// Pairs that stream through the head at a time on `device`. Ranks share a dataset in
/// whole chunks, so that a pair's prediction has the same bits on any number.
pub fn scoring_chunk(device: &Device) -> usize {
    match device {
        Device::Cpu => SCORING_CHUNK,
        Device::Cuda(_) => CUDA_SCORING_CHUNK,
    }
}

/// Predicts pairs: [`Scorer::embed`] runs each tower once an entity and keeps
/// what the head reads of it; [`Scorer::predict`] then streams pairs through
/// the head in chunks, whose features are never laid out.
pub enum Scorer {
    /// On this rank's processors.
    Cpu(Box<CpuScorer>),
    /// On a CUDA device.
    Cuda(Box<OnCuda>),
}

/// What a device needs to be given parameters and pairs by the host.
pub struct OnCuda {
    tables: Rc<CudaTables>,
    parameters: CudaParameters,
    scorer: CudaScorer,
}

impl Scorer {
    /// For at most `most` drugs and samples with these features.
    pub fn new(
        network: &PairNetwork,
        features: [ScaledFeatures; 2],
        most: [usize; 2],
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        match device {
            Device::Cpu => Ok(Scorer::Cpu(Box::new(CpuScorer::new(network, features, most)?))),
            Device::Cuda(stream) => {
                let tables = Rc::new(CudaTables::new(stream, precision, network.ports, &features)?);
                let layout = CudaLayout::new(&network.graph)?;
                let parameters = CudaParameters::zeros(stream, layout, precision)?;
                let scorer = CudaScorer::new(network, &tables, most)?;
                Ok(Scorer::Cuda(Box::new(OnCuda { tables, parameters, scorer })))
            }
        }
    }

    /// Runs the towers on these entities, each list distinct; their pairs can
    /// be predicted until this is called again. Panics if they are more than the
    /// scorer was made for.
    pub fn embed(&mut self, parameters: &Parameters<f32>, entities: [&[u32]; 2]) -> Result<()> {
        match self {
            Scorer::Cpu(scorer) => scorer.embed(parameters, entities),
            Scorer::Cuda(on) => {
                on.parameters.upload(parameters)?;
                on.scorer.embed(&on.parameters, entities)
            }
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
            Scorer::Cuda(on) => {
                let pairs = CudaPairs::new(&on.tables, std::slice::from_ref(examples))?;
                on.scorer.predict(&on.parameters, &pairs, rows, into)
            }
        }
    }
}
