use crate::batch::{CudaFeeder, CudaPairs, CudaTables};
use crate::device::cuda::{Memory, Stream};
use crate::graph::{CudaParameters, CudaPlan, NodeId, Purpose};
use crate::model::PairNetwork;
use crate::op::{CudaPass, Tensor};
use crate::store::Entity;
use crate::train::score::{CUDA_EMBEDDING_CHUNK, CUDA_SCORING_CHUNK};
use crate::{Error, Result};
use std::ops::Range;
use std::rc::Rc;

/// Predicts pairs on a CUDA device: the counterpart of [`crate::train::cpu_scorer::CpuScorer`].
pub struct CudaScorer {
    stream: Stream,
    towers: Vec<Tower>,
    head: CudaPlan,
    feeder: CudaFeeder,
    /// A [`CudaPass`]; scoring draws no random bits.
    pass: Memory,
}

/// What computes one tensor that the head reads of an entity.
struct Tower {
    entity: Entity,
    /// The tensor.
    boundary: NodeId,
    plan: CudaPlan,
}

impl CudaScorer {
    /// For at most `most` drugs and samples of `tables`. Fails if the device has no memory for it.
    pub fn new(network: &PairNetwork, tables: &Rc<CudaTables>, most: [usize; 2]) -> Result<Self> {
        let (graph, ports) = (&network.graph, network.ports);
        let (stream, precision) = (tables.stream().clone(), tables.precision());
        let feeder = CudaFeeder::new(tables.clone(), CUDA_SCORING_CHUNK, CUDA_EMBEDDING_CHUNK)?;
        let boundary = graph.boundary(network.prediction);
        let plan = |output, fed: &[NodeId], capacity: &[usize]| {
            CudaPlan::new(graph.clone(), Purpose::Score, output, fed, capacity, &stream, precision)
        };
        let head = plan(network.prediction, &boundary, &feeder.head_capacity(most))?;
        let tower = |&boundary: &NodeId| {
            let entity = ports.entity_of(graph.shape(boundary).space).ok_or_else(|| {
                Error::Network("the head reads a tensor that is neither of drugs nor of samples".into())
            })?;
            Ok(Tower { entity, boundary, plan: plan(boundary, &[], &feeder.tower_capacity())? })
        };
        let towers = boundary.iter().map(tower).collect::<Result<_>>()?;
        let pass = stream.holding(&[CudaPass::default()])?;
        Ok(Self { towers, head, feeder, pass, stream })
    }

    /// Runs the towers on these entities, each list distinct; their pairs can
    /// be predicted until this is called again. Panics if they are more than the
    /// scorer was made for.
    pub fn embed(&mut self, parameters: &CudaParameters, entities: [&[u32]; 2]) -> Result<()> {
        let pass = self.pass.at();
        for tower in &mut self.towers {
            let entities = entities[tower.entity as usize];
            let kept = self.head.input(tower.boundary, entities.len());
            let mut offset = 0;
            for chunk in entities.chunks(CUDA_EMBEDDING_CHUNK) {
                let rows = self.feeder.feed_entities(&tower.plan, tower.entity, chunk)?;
                tower.plan.forward(parameters, &rows, pass)?;
                if let Some(kept) = kept {
                    copy_rows(&self.stream, kept, offset, tower.plan.output(&rows), chunk.len())?;
                }
                offset += chunk.len();
            }
        }
        Entity::ALL.into_iter().try_for_each(|entity| self.feeder.locate(entity, entities[entity as usize]))
    }

    /// The scaled prediction of pairs `rows` of `pairs`, whose entities are
    /// embedded, appended to `into`.
    pub fn predict(
        &mut self,
        parameters: &CudaParameters,
        pairs: &CudaPairs,
        rows: Range<usize>,
        into: &mut Vec<f32>,
    ) -> Result<()> {
        for first in rows.clone().step_by(CUDA_SCORING_CHUNK) {
            let chunk = first..rows.end.min(first + CUDA_SCORING_CHUNK);
            let batch = self.feeder.feed_pairs(&self.head, pairs, chunk.clone())?;
            self.head.forward(parameters, &batch, self.pass.at())?;
            self.feeder.read(self.head.output(&batch), chunk.len(), into)?;
        }
        Ok(())
    }
}

/// Copies the first `rows` rows of `from` to those of `to` from row `first` on.
fn copy_rows(stream: &Stream, to: Tensor, first: usize, from: Tensor, rows: usize) -> Result<()> {
    let bytes = |rows: usize| rows * to.stride() * to.storage.bytes();
    stream.copy(to.at.offset(bytes(first)), from.at, bytes(rows))
}
