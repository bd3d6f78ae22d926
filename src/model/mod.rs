//! Networks in the words of `crate::graph`, one a file.

mod autoencoder;
#[cfg(test)]
mod concatenated;
mod encoder;
mod layers;
mod two_tower;

pub use crate::op::ReconstructionLoss;
pub use autoencoder::{Autoencoder, AutoencoderNetwork, CenterDistanceSpec, CenterLossSpec};
pub use encoder::{Encoder, EncoderGraph, FittedEncoder};
pub use two_tower::TwoTower;

use crate::batch::Ports;
use crate::graph::{Graph, NodeId, Parameters};
use crate::op::{Huber, SquaredError};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The `[model]` section of a deck: which network, with its own keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelSpec {
    /// Drug tower, sample tower, optional dose, head.
    TwoTower(TwoTower),
}

/// What a network learns to make small.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Mean squared error.
    #[default]
    Mse,
    /// Huber's loss, a line beyond one standard deviation of the endpoint.
    Huber,
}

/// What the data offer a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputWidths {
    /// Columns of the drug features.
    pub drug: usize,
    /// Columns of the sample features.
    pub sample: usize,
    /// Whether pairs have a dose.
    pub dose: bool,
    /// Whether the features of drugs, and of samples, are zeros and ones fed as bits.
    pub bits: [bool; 2],
}

/// How predictions of validation pairs are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// By the square of their distance to the truth.
    #[default]
    SquaredError,
    /// The prediction is a loss itself, and the truth what it would be if nothing had been learnt: in place of R2
    /// stands the part of that which the network has taken away, `1 - sum(prediction) / sum(truth)`.
    Loss,
}

/// A network that predicts one number a pair.
#[derive(Debug, Clone)]
pub struct PairNetwork {
    /// Its graph.
    pub graph: Arc<Graph>,
    /// Where pairs enter.
    pub ports: Ports,
    /// `[pairs, 1]`, scaled.
    pub prediction: NodeId,
    /// `[pairs, 1]`, the loss of each pair.
    pub loss: NodeId,
    /// What is made of the prediction of a validation pair.
    pub validation: Validation,
    /// What its layers called `encoder.<n>`, if it has any, start from; each member of an ensemble from the same.
    pub fitted: Option<Arc<Parameters<f32>>>,
}

/// Most layers in a stack; beyond, it is a slip of the keyboard.
const MOST_LAYERS: usize = 64;
/// Most units in a layer; beyond, it is one too.
const MOST_UNITS: usize = 1 << 16;

impl PairNetwork {
    /// The parameters that a training with this seed starts from. Fails if there is no memory for them.
    pub fn start(&self, seed: u64) -> Result<Parameters<f32>> {
        let mut parameters = Parameters::start(&self.graph, seed)?;
        let Some(fitted) = &self.fitted else { return Ok(parameters) };
        for place in parameters.clone_layout().iter() {
            let own =
                |name: &str| place.name.strip_suffix(name).is_some_and(|p| p.is_empty() || p.ends_with('.'));
            if let Some(from) = fitted.layout().iter().find(|from| own(&from.name)) {
                if place.shape != from.shape {
                    let what = format!(
                        "'{}' is {:?}, and the encoder that it starts from has {:?}",
                        place.name, place.shape, from.shape
                    );
                    return Err(Error::Network(what));
                }
                let values = &fitted.values()[from.range.clone()];
                parameters.values_mut()[place.range.clone()].copy_from_slice(values);
            }
        }
        Ok(parameters)
    }

    /// Forward multiply-adds that a drug, and a sample, takes in its tower.
    pub fn entity_costs(&self) -> [f64; 2] {
        self.ports.entities.map(|port| {
            let own = self.graph.multiply_adds().filter(|(space, _)| *space == port.space);
            own.map(|(_, count)| count as f64).sum()
        })
    }
}

impl ModelSpec {
    /// Name in tables, such as `two-tower`.
    pub fn name(&self) -> &'static str {
        match self {
            ModelSpec::TwoTower(_) => "two-tower",
        }
    }

    /// The first key whose value cannot be used, with what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        match self {
            ModelSpec::TwoTower(spec) => spec.fault(),
        }
    }

    /// Builds the network for these inputs.
    pub fn build(&self, widths: InputWidths, loss: Loss) -> Result<PairNetwork> {
        self.build_over(widths, None, loss)
    }

    /// Builds the network for these inputs, with an encoder's layers below those of the samples.
    pub fn build_over(
        &self,
        widths: InputWidths,
        encoder: Option<&FittedEncoder>,
        loss: Loss,
    ) -> Result<PairNetwork> {
        match self {
            ModelSpec::TwoTower(spec) => spec.build(widths, encoder, loss),
        }
    }
}

fn add_loss(graph: &mut Graph, name: &str, loss: Loss, prediction: NodeId, truth: NodeId) -> Result<NodeId> {
    match loss {
        Loss::Mse => graph.add(name, SquaredError, &[prediction, truth]),
        Loss::Huber => graph.add(name, Huber { delta: 1.0 }, &[prediction, truth]),
    }
}
