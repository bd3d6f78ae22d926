use super::layers::{LayerStyle, Source};
use crate::graph::{Graph, NodeId, Parameters};
use crate::op::{Activation, Linear, SpaceId};
use crate::{Error, Result};
use std::sync::Arc;

/// The layers that make a latent row of a sample's features, as a pretraining has fitted them: the activation
/// after each but the last, which is linear. Its parameters are called `encoder.<layer>.weight` and `.bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    /// Widths of its layers, the last that of the latent.
    pub layers: Vec<usize>,
    /// After every hidden layer.
    pub activation: Activation,
}

/// An encoder with what a pretraining has fitted, to start from.
#[derive(Debug, Clone)]
pub struct FittedEncoder {
    /// Its layers.
    pub encoder: Encoder,
    /// Their parameters, those of [`Encoder::graph`].
    pub parameters: Arc<Parameters<f32>>,
}

/// A network that is an encoder and nothing else.
#[derive(Debug)]
pub struct EncoderGraph {
    /// Its graph.
    pub graph: Graph,
    /// The samples that are encoded.
    pub samples: SpaceId,
    /// `[samples, columns]`, the features, scaled.
    pub features: NodeId,
    /// `[samples, d]`.
    pub latent: NodeId,
}

impl Encoder {
    /// The network that encodes rows of so many columns.
    pub fn graph(&self, columns: usize) -> Result<EncoderGraph> {
        let mut graph = Graph::new();
        let samples = graph.space("samples");
        let features = graph.input(samples, columns);
        let style = LayerStyle::plain(self.activation);
        let layers = self.stack(&mut graph, "", Source::Tensor(features), style)?;
        let latent = layers[layers.len() - 1];
        Ok(EncoderGraph { graph, samples, features, latent })
    }

    /// Adds the layers on top of `x`, named after `prefix`; what follows each hidden one, `style` says. Returns what
    /// each layer gives, before that, the last being the latent.
    pub(super) fn stack(
        &self,
        graph: &mut Graph,
        prefix: &str,
        mut x: Source,
        style: LayerStyle,
    ) -> Result<Vec<NodeId>> {
        let mut layers = Vec::with_capacity(self.layers.len());
        for (number, &width) in self.layers.iter().enumerate() {
            let name = format!("{prefix}encoder.{number}");
            let last = number + 1 == self.layers.len();
            let activation = if last { Activation::Identity } else { self.activation };
            let mut y = x.linear(graph, &name, Linear::new(x.columns(graph), width, activation))?;
            layers.push(y);
            if !last {
                y = style.finish(graph, &name, y)?;
            }
            x = Source::Tensor(y);
        }
        match layers.is_empty() {
            true => Err(Error::Network("an encoder without layers".into())),
            false => Ok(layers),
        }
    }
}
