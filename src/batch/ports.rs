use crate::graph::NodeId;
use crate::op::{BitsId, MapId, SpaceId};
use crate::store::Entity;

/// Where pairs enter a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Pairs of a batch.
    pub pairs: SpaceId,
    /// Where drugs enter, then samples.
    pub entities: [EntityPort; 2],
    /// `[pairs, 1]`, scaled, where the network takes a dose.
    pub dose: Option<NodeId>,
    /// `[pairs, 1]`, scaled.
    pub truth: NodeId,
}

/// Where one of the two entities of a pair enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityPort {
    /// Distinct entities of a batch.
    pub space: SpaceId,
    /// From a pair to its entity.
    pub map: MapId,
    /// `[entities, columns]`.
    pub features: FeaturePort,
}

/// How the features of an entity are fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeaturePort {
    /// As numbers.
    Values(NodeId),
    /// As the places of ones.
    Bits(BitsId),
}

impl Ports {
    /// Capacities of the three spaces, by their numbers, for so many pairs and
    /// so many drugs and samples.
    pub fn capacity(&self, pairs: usize, entities: [usize; 2]) -> [usize; 3] {
        let mut capacity = [0; 3];
        capacity[self.pairs.0] = pairs;
        for (port, entities) in self.entities.iter().zip(entities) {
            capacity[port.space.0] = entities;
        }
        capacity
    }

    /// Whose rows a space holds, if not pairs.
    pub fn entity_of(&self, space: SpaceId) -> Option<Entity> {
        Entity::ALL.into_iter().find(|&entity| self.entities[entity as usize].space == space)
    }
}

/// Pairs as a network sees them: doses and truths scaled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examples {
    /// Drug index in the store, `[n]`.
    pub drug: Vec<u32>,
    /// Sample index in the store, `[n]`.
    pub sample: Vec<u32>,
    /// Scaled dose, `[n]`, or empty.
    pub dose: Vec<f32>,
    /// Scaled endpoint, `[n]`.
    pub truth: Vec<f32>,
    /// Row in the dataset, `[n]`.
    pub number: Vec<u32>,
}

impl Examples {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.drug.len()
    }

    /// Drug or sample index of each pair, `[n]`.
    pub fn of(&self, entity: Entity) -> &[u32] {
        match entity {
            Entity::Drug => &self.drug,
            Entity::Sample => &self.sample,
        }
    }

    /// The pairs at these positions.
    pub fn select(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(from: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|&row| from.get(row as usize).copied()).collect()
        }
        Self {
            drug: pick(&self.drug, rows),
            sample: pick(&self.sample, rows),
            dose: pick(&self.dose, rows),
            truth: pick(&self.truth, rows),
            number: pick(&self.number, rows),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.drug.is_empty()
    }
}
