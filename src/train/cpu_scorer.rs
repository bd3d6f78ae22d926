use super::score::{EMBEDDING_CHUNK, SCORING_CHUNK};
use crate::batch::{Assembler, Examples};
use crate::feature::ScaledFeatures;
use crate::graph::{CpuPlan, NodeId, Parameters, Purpose};
use crate::model::PairNetwork;
use crate::op::Step;
use crate::store::Entity;
use crate::{Error, Result};
use std::ops::Range;

/// Scoring draws no random bits.
const SCORING: Step = Step { seed: 0, number: 0 };

/// Predicts pairs on this rank's processors.
pub struct CpuScorer {
    towers: Vec<Tower>,
    head: CpuPlan<f32>,
    assembler: Assembler,
}

/// What computes one tensor that the head reads of an entity.
struct Tower {
    entity: Entity,
    /// The tensor.
    boundary: NodeId,
    plan: CpuPlan<f32>,
}

impl CpuScorer {
    /// For at most `most` drugs and samples with these features.
    pub fn new(network: &PairNetwork, features: [ScaledFeatures; 2], most: [usize; 2]) -> Result<Self> {
        let (graph, ports) = (&network.graph, network.ports);
        let boundary = graph.boundary(network.prediction);
        let capacity = ports.capacity(SCORING_CHUNK, most);
        let head = CpuPlan::new(graph.clone(), Purpose::Score, network.prediction, &boundary, &capacity)?;
        let tower = |&boundary: &NodeId| {
            let space = graph.shape(boundary).space;
            let entity = ports.entity_of(space).ok_or_else(|| {
                Error::Network("the head reads a tensor that is neither of drugs nor of samples".into())
            })?;
            let capacity = ports.capacity(0, [EMBEDDING_CHUNK; 2]);
            let plan = CpuPlan::new(graph.clone(), Purpose::Score, boundary, &[], &capacity)?;
            Ok(Tower { entity, boundary, plan })
        };
        let towers = boundary.iter().map(tower).collect::<Result<_>>()?;
        Ok(Self { towers, head, assembler: Assembler::new(ports, features) })
    }

    /// Runs the towers on these entities, each list distinct; their pairs can
    /// be predicted until this is called again. Panics if they are more than the
    /// scorer was made for.
    pub fn embed(&mut self, parameters: &Parameters<f32>, entities: [&[u32]; 2]) -> Result<()> {
        for tower in &mut self.towers {
            let entities = entities[tower.entity as usize];
            self.assembler.feed_entities(&mut self.head, tower.entity, entities);
            let mut offset = 0;
            for chunk in entities.chunks(EMBEDDING_CHUNK) {
                self.assembler.feed_entities(&mut tower.plan, tower.entity, chunk);
                tower.plan.forward(parameters, SCORING);
                let embedded = tower.plan.output();
                if let Some((kept, _)) = self.head.input_mut(tower.boundary) {
                    kept[offset..offset + embedded.len()].copy_from_slice(embedded);
                }
                offset += embedded.len();
            }
            self.assembler.locate(tower.entity, entities);
        }
        Ok(())
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
        for first in rows.clone().step_by(SCORING_CHUNK) {
            let chunk = first..rows.end.min(first + SCORING_CHUNK);
            self.assembler.feed_pairs(&mut self.head, examples, chunk);
            self.head.forward(parameters, SCORING);
            into.extend_from_slice(self.head.output());
        }
        Ok(())
    }
}
