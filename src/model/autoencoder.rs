use super::layers::{LayerStyle, Source};
use super::{Encoder, MOST_LAYERS, MOST_UNITS, PairNetwork, Validation};
use crate::batch::{EntityPort, FeaturePort, Ports};
use crate::graph::{Graph, NodeId};
use crate::op::{
    Activation, Add, CenterLoss, Dropout, Gather, Linear, ReconstructionError, ReconstructionLoss, TiedLinear,
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The `[model]` keys of a dense autoencoder: it learns to give back the features of a sample from a *latent* row
/// of fewer columns. Denoising (Vincent et al. 2008) where there is noise; with classes, latent rows may be held
/// near a center of their class (Wen et al. 2016) and the centers apart ([`CenterLoss`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Autoencoder {
    /// Widths of the encoder's layers, the last that of the latent; the decoder mirrors them.
    pub layers: Vec<usize>,
    /// After every hidden layer; latent and reconstruction are linear.
    pub activation: Activation,
    /// Whether the decoder's weights are the encoder's, transposed.
    pub tied: bool,
    /// Probability that a feature is masked: zero, the others scaled up as dropout does. What is to be given back
    /// is the row without mask.
    pub noise: f64,
    /// Probability that a hidden unit is dropped.
    pub dropout: f64,
    /// What the reconstruction is held to.
    pub loss: ReconstructionLoss,
    /// What the reconstruction error is multiplied by in what is made small; validation has it plain.
    pub reconstruction_weight: f64,
    /// Whether latent rows are held near the center of their class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub center_loss: Option<CenterLossSpec>,
    /// Whether centers are held apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub center_distance: Option<CenterDistanceSpec>,
}

/// `center_loss = { weight, rate }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CenterLossSpec {
    /// Of half the squared distance of a latent row to its class's center, beside the reconstruction error.
    pub weight: f64,
    /// At which centers move towards their rows, whatever the optimiser: above 0, at most 1.
    pub rate: f64,
}

/// `center_distance = { weight, margin }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CenterDistanceSpec {
    /// Of half the square of what two centers lack to the margin, mean over pairs of classes.
    pub weight: f64,
    /// Distance in the latent space from which on two centers are far enough apart.
    pub margin: f64,
}

impl Default for Autoencoder {
    fn default() -> Self {
        Self {
            layers: vec![512, 64],
            activation: Activation::Relu,
            tied: false,
            noise: 0.1,
            dropout: 0.0,
            loss: ReconstructionLoss::Mse,
            reconstruction_weight: 1.0,
            center_loss: None,
            center_distance: None,
        }
    }
}

impl Default for CenterLossSpec {
    fn default() -> Self {
        Self { weight: 0.1, rate: 0.5 }
    }
}

impl Default for CenterDistanceSpec {
    fn default() -> Self {
        Self { weight: 0.1, margin: 5.0 }
    }
}

/// An autoencoder's network. Its pairs join a class, in the place of the drug, and a sample.
#[derive(Debug, Clone)]
pub struct AutoencoderNetwork {
    /// Its prediction is the reconstruction error of a pair's sample; the features of classes, one column, are
    /// read by nothing, nor is the truth.
    pub network: PairNetwork,
    /// `[samples, d]`, what the encoder makes of a sample.
    pub latent: NodeId,
    /// `[samples, columns]`; logits where the loss is cross-entropy.
    pub reconstruction: NodeId,
}

impl Autoencoder {
    /// The first key whose value cannot be used, with what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let stack = &self.layers;
        if stack.is_empty()
            || stack.len() > MOST_LAYERS
            || stack.iter().any(|w| !(1..=MOST_UNITS).contains(w))
        {
            return Some(("layers", format!("must be 1 to {MOST_LAYERS} layers of 1 to {MOST_UNITS} units")));
        }
        // The engine computes in f32, and squares margins.
        let fits = |v: f64| ((v * v) as f32).is_finite();
        let positive = |v: f64| v as f32 > 0.0 && fits(v);
        let weight = |v: f64| v >= 0.0 && fits(v);
        let (center, apart) = (self.center_loss, self.center_distance);
        let faults = [
            ("tied", self.tied && stack.contains(&1), "must be false where a layer has one unit"),
            ("noise", !Dropout::accepts(self.noise), "must be from 0 to below 1, 0.9999 at most"),
            ("dropout", !Dropout::accepts(self.dropout), "must be from 0 to below 1, 0.9999 at most"),
            ("reconstruction_weight", !weight(self.reconstruction_weight), "must be zero or more"),
            (
                "reconstruction_weight",
                self.reconstruction_weight == 0.0 && center.is_none_or(|c| c.weight == 0.0),
                "must be above zero where no center_loss has a weight",
            ),
            ("center_loss", center.is_some_and(|c| !weight(c.weight)), "must have a weight of zero or more"),
            (
                "center_loss",
                center.is_some_and(|c| !(positive(c.rate) && c.rate <= 1.0)),
                "must have a rate above zero, at most 1",
            ),
            ("center_distance", apart.is_some() && center.is_none(), "needs a center_loss beside it"),
            (
                "center_distance",
                apart.is_some_and(|a| !weight(a.weight)),
                "must have a weight of zero or more",
            ),
            ("center_distance", apart.is_some_and(|a| !positive(a.margin)), "must have a margin above zero"),
        ];
        faults.into_iter().find(|(_, bad, _)| *bad).map(|(key, _, must)| (key, must.into()))
    }

    /// Builds the network for samples of so many columns. `class_shares` is the part of the training rows that
    /// each class has (one of 1.0 without classes) and `batch` the rows of a step: both make the rate at which
    /// centers move that of their rows ([`CenterLoss`]), and play no part without center loss.
    pub fn build(&self, columns: usize, class_shares: &[f64], batch: usize) -> Result<AutoencoderNetwork> {
        if let Some((key, what)) = self.fault() {
            return Err(Error::Network(format!("autoencoder: {key} {what}")));
        }
        if class_shares.is_empty() || !class_shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            let what = "autoencoder: the shares of classes are one or more, each from 0 to 1";
            return Err(Error::Network(what.into()));
        }
        let mut graph = Graph::new();
        let (pairs, classes, samples) =
            (graph.space("pairs"), graph.space("classes"), graph.space("samples"));
        let (class_of, sample_of) = (graph.map(pairs, classes), graph.map(pairs, samples));
        let class_features = graph.input(classes, 1);
        let x = graph.input(samples, columns);
        let truth = graph.input(pairs, 1);
        let mut input = x;
        if self.noise > 0.0 {
            input = graph.add("noise", Dropout { rate: self.noise, space: samples }, &[x])?;
        }
        let encoder = Encoder { layers: self.layers.clone(), activation: self.activation };
        let layers = encoder.stack(&mut graph, "", Source::Tensor(input), self.style())?;
        let latent = layers[layers.len() - 1];
        let reconstruction = self.decoder(&mut graph, latent, &layers, columns)?;

        let error_of = |graph: &mut Graph, name: &str, weight: f64| {
            let error = ReconstructionError { loss: self.loss, weight };
            let error = graph.add(name, error, &[reconstruction, x])?;
            graph.add(&format!("{name}.pair"), Gather { map: sample_of }, &[error])
        };
        let prediction = error_of(&mut graph, "reconstruction", 1.0)?;
        let mut loss = prediction;
        if self.reconstruction_weight != 1.0 {
            loss = error_of(&mut graph, "reconstruction.weighted", self.reconstruction_weight)?;
        }
        if let Some(CenterLossSpec { weight, rate }) = self.center_loss {
            let apart = self.center_distance.unwrap_or(CenterDistanceSpec { weight: 0.0, margin: 0.0 });
            let centers = CenterLoss {
                map: class_of,
                classes,
                weight,
                distance_weight: apart.weight,
                margin: apart.margin,
                rate,
                scales: CenterLoss::scales(weight, apart.weight, class_shares, batch),
            };
            let rows = graph.add("latent.pair", Gather { map: sample_of }, &[latent])?;
            let centers = graph.add("centers", centers, &[rows])?;
            loss = graph.add("loss", Add, &[loss, centers])?;
        }
        let port = |space, map, features| EntityPort { space, map, features: FeaturePort::Values(features) };
        let entities = [port(classes, class_of, class_features), port(samples, sample_of, x)];
        let ports = Ports { pairs, entities, dose: None, truth };
        let network = PairNetwork {
            graph: Arc::new(graph),
            ports,
            prediction,
            loss,
            validation: Validation::Loss,
            fitted: None,
        };
        Ok(AutoencoderNetwork { network, latent, reconstruction })
    }

    fn style(&self) -> LayerStyle {
        LayerStyle { activation: self.activation, dropout: self.dropout, layer_norm: false, residual: false }
    }

    /// The reconstruction, by layers that mirror those of the encoder.
    fn decoder(
        &self,
        graph: &mut Graph,
        mut x: NodeId,
        encoder: &[NodeId],
        columns: usize,
    ) -> Result<NodeId> {
        for (number, &mirrored) in encoder.iter().rev().enumerate() {
            let name = format!("decoder.{number}");
            let last = number + 1 == encoder.len();
            let width = if last { columns } else { self.layers[self.layers.len() - 2 - number] };
            let activation = if last { Activation::Identity } else { self.activation };
            x = if self.tied {
                graph.add_tied(&name, TiedLinear::new(width, activation), &[x], mirrored)?
            } else {
                graph.add(&name, Linear::new(graph.shape(x).columns, width, activation), &[x])?
            };
            if !last {
                x = self.style().finish(graph, &name, x)?;
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::check_whole_network;
    use crate::graph::{Parameters, Purpose, Schedule};

    fn small() -> Autoencoder {
        Autoencoder {
            layers: vec![6, 3],
            activation: Activation::Tanh,
            noise: 0.2,
            dropout: 0.3,
            ..Autoencoder::default()
        }
    }

    /// Made-up classes have the numbers 1, 11, 21: one of them is none.
    const SHARES: [f64; 13] = [1.0 / 13.0; 13];

    #[test]
    fn derivative_of_the_whole_network() {
        let center_loss = Some(CenterLossSpec { weight: 0.3, rate: 0.5 });
        let center_distance = Some(CenterDistanceSpec { weight: 0.7, margin: 4.0 });
        let classes = Autoencoder { center_loss, center_distance, ..small() };
        let cases = [
            small(),
            Autoencoder { tied: true, ..small() },
            Autoencoder { loss: ReconstructionLoss::Bce, ..classes.clone() },
            Autoencoder { tied: true, reconstruction_weight: 0.4, ..classes },
        ];
        for spec in cases {
            let AutoencoderNetwork { network, .. } = spec.build(5, &SHARES, 8).unwrap();
            let FeaturePort::Values(x) = network.ports.entities[1].features else { unreachable!() };
            let graph = Arc::into_inner(network.graph).unwrap();
            check_whole_network(graph, network.loss, &[x], &[7, 3, 6]);
        }
    }

    #[test]
    fn the_decoder_mirrors_the_encoder_and_shares_its_weights_where_tied() {
        let shapes = |spec: Autoencoder| {
            let built = spec.build(9, &SHARES, 8).unwrap();
            let parameters = Parameters::<f32>::zeros(&built.network.graph).unwrap();
            let graph = &built.network.graph;
            assert_eq!([built.latent, built.reconstruction].map(|n| graph.shape(n).columns), [3, 9]);
            parameters.layout().iter().map(|p| (p.name.clone(), p.shape)).collect::<Vec<_>>()
        };
        let of = |names: &[(&str, [usize; 2])]| {
            names.iter().map(|(name, shape)| (name.to_string(), *shape)).collect::<Vec<_>>()
        };
        let encoder = [
            ("encoder.0.weight", [6, 9]),
            ("encoder.0.bias", [1, 6]),
            ("encoder.1.weight", [3, 6]),
            ("encoder.1.bias", [1, 3]),
        ];
        let decoder = [
            ("decoder.0.weight", [6, 3]),
            ("decoder.0.bias", [1, 6]),
            ("decoder.1.weight", [9, 6]),
            ("decoder.1.bias", [1, 9]),
        ];
        assert_eq!(shapes(small()), of(&[encoder, decoder].concat()));
        let tied = [encoder.to_vec(), vec![decoder[1], decoder[3], ("centers.centers", [13, 3])]].concat();
        let center_loss = Some(CenterLossSpec::default());
        assert_eq!(shapes(Autoencoder { tied: true, center_loss, ..small() }), of(&tied));
    }

    #[test]
    fn what_is_scored_is_the_error_alone() {
        let center_loss = Some(CenterLossSpec::default());
        let built = Autoencoder { center_loss, ..small() }.build(9, &SHARES, 8).unwrap();
        let network = built.network;
        let boundary = network.graph.boundary(network.prediction);
        let columns: Vec<usize> = boundary.iter().map(|&n| network.graph.shape(n).columns).collect();
        assert_eq!(columns, [1], "one number a sample is handed to the pairs");
        let schedule =
            Schedule::new(&network.graph, Purpose::Score, network.prediction, &boundary, &[8; 3]).unwrap();
        assert_eq!(schedule.memory(), 16);
    }

    #[test]
    fn keys_that_cannot_be_used_are_named() {
        let center = |weight, rate| Some(CenterLossSpec { weight, rate });
        let apart = |weight, margin| Some(CenterDistanceSpec { weight, margin });
        let key = |spec: Autoencoder| spec.fault().map(|(key, _)| key);
        assert_eq!(key(small()), None);
        assert_eq!(key(Autoencoder { layers: vec![], ..small() }), Some("layers"));
        assert_eq!(key(Autoencoder { layers: vec![4, 0], ..small() }), Some("layers"));
        assert_eq!(key(Autoencoder { layers: vec![4, 1], tied: true, ..small() }), Some("tied"));
        assert_eq!(key(Autoencoder { noise: 1.0, ..small() }), Some("noise"));
        assert_eq!(key(Autoencoder { dropout: f64::NAN, ..small() }), Some("dropout"));
        assert_eq!(key(Autoencoder { reconstruction_weight: 0.0, ..small() }), Some("reconstruction_weight"));
        assert_eq!(key(Autoencoder { center_loss: center(-1.0, 0.5), ..small() }), Some("center_loss"));
        assert_eq!(key(Autoencoder { center_loss: center(0.1, 0.0), ..small() }), Some("center_loss"));
        assert_eq!(key(Autoencoder { center_distance: apart(0.1, 5.0), ..small() }), Some("center_distance"));
        let both = |margin| Autoencoder {
            center_loss: center(0.1, 0.5),
            center_distance: apart(0.1, margin),
            reconstruction_weight: 0.0,
            ..small()
        };
        assert_eq!((key(both(5.0)), key(both(0.0))), (None, Some("center_distance")));
        assert!(small().build(9, &[], 8).is_err() && small().build(9, &[f64::NAN], 8).is_err());
        let unknown = toml::from_str::<Autoencoder>("layers = [4]\ncenter_loss = { wieght = 0.1 }");
        assert!(unknown.is_err());
    }
}
