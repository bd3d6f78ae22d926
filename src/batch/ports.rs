use crate::graph::NodeId;
use crate::op::{MapId, SpaceId};

/// Where pairs enter a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Pairs of a batch.
    pub pairs: SpaceId,
    /// Distinct drugs of a batch.
    pub drugs: SpaceId,
    /// Distinct samples of a batch.
    pub samples: SpaceId,
    /// From a pair to its drug.
    pub drug_of: MapId,
    /// From a pair to its sample.
    pub sample_of: MapId,
    /// `[drugs, columns]`.
    pub drug_features: NodeId,
    /// `[samples, columns]`.
    pub sample_features: NodeId,
    /// `[pairs, 1]`, scaled, where the network takes a dose.
    pub dose: Option<NodeId>,
    /// `[pairs, 1]`, scaled.
    pub truth: NodeId,
}

impl Ports {
    /// Capacities of the three spaces, by their numbers.
    pub fn capacity(&self, pairs: usize, drugs: usize, samples: usize) -> [usize; 3] {
        let mut capacity = [0; 3];
        capacity[self.pairs.0] = pairs;
        capacity[self.drugs.0] = drugs;
        capacity[self.samples.0] = samples;
        capacity
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.drug.is_empty()
    }
}
