use super::layers::{LayerStyle, Source};
use super::{
    Encoder, FittedEncoder, InputWidths, Loss, MOST_LAYERS, MOST_UNITS, PairNetwork, Validation, add_loss,
};
use crate::batch::{EntityPort, FeaturePort, Ports};
use crate::graph::{Graph, NodeId};
use crate::op::{Activation, Dropout, Fuse, Linear, MAX_OPERANDS, MapId, Mean};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Two-tower regression: layers over the drug's features, layers over the
/// sample's, then a head over both and the dose, as UNO (Xia et al. 2022) has
/// it. The head's first layer is split, W [d; s; dose] = Wd d + Ws s + w dose,
/// so that all but the last term is computed once an entity. A tower without
/// layers passes its features on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TwoTower {
    /// Widths of the layers of the drug tower.
    pub drug_tower: Vec<usize>,
    /// Widths of the layers of the sample tower.
    pub sample_tower: Vec<usize>,
    /// Widths of the hidden layers of the head, at least one.
    pub head: Vec<usize>,
    /// After every hidden layer.
    pub activation: Activation,
    /// Probability that a hidden unit is dropped, in the towers and the head.
    pub dropout: f64,
    /// Whether rows are normalised after every hidden layer.
    pub layer_norm: bool,
    /// Whether a layer as wide as its input adds to it.
    pub residual: bool,
    /// Networks of this shape that are trained side by side on the same batches, each from starting weights and
    /// with dropout of its own; the prediction is their mean, the loss the mean of their losses. So the gradient of a member is that of its
    /// own loss over `members`: AdamW does not mind; with `sgd` multiply the learning rate by `members`, with `adam`
    /// divide the weight decay by it.
    pub members: usize,
}

impl Default for TwoTower {
    fn default() -> Self {
        Self {
            drug_tower: vec![256, 256],
            sample_tower: vec![256, 256],
            head: vec![256, 256],
            activation: Activation::Relu,
            dropout: 0.1,
            layer_norm: false,
            residual: false,
            members: 1,
        }
    }
}

/// What all members of an ensemble read.
struct Inputs<'a> {
    maps: [MapId; 2],
    drug: Source,
    sample: Source,
    /// Between the features of samples and their tower.
    encoder: Option<&'a Encoder>,
    dose: Option<NodeId>,
}

impl TwoTower {
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if self.head.is_empty() {
            return Some(("head", "must have at least one layer".into()));
        }
        let stacks =
            [("drug_tower", &self.drug_tower), ("sample_tower", &self.sample_tower), ("head", &self.head)];
        for (key, widths) in stacks {
            if widths.len() > MOST_LAYERS || widths.iter().any(|w| !(1..=MOST_UNITS).contains(w)) {
                let what = format!("must have at most {MOST_LAYERS} layers of 1 to {MOST_UNITS} units");
                return Some((key, what));
            }
        }
        if !(1..=MAX_OPERANDS).contains(&self.members) {
            return Some(("members", format!("must be from 1 to {MAX_OPERANDS}")));
        }
        (!Dropout::accepts(self.dropout))
            .then(|| ("dropout", "must be from 0 to below 1, 0.9999 at most".into()))
    }

    pub(super) fn build(
        &self,
        widths: InputWidths,
        encoder: Option<&FittedEncoder>,
        loss: Loss,
    ) -> Result<PairNetwork> {
        if let Some((key, what)) = self.fault() {
            return Err(Error::Network(format!("two-tower: {key} {what}")));
        }
        let mut graph = Graph::new();
        let (pairs, drugs, samples) = (graph.space("pairs"), graph.space("drugs"), graph.space("samples"));
        let (drug_of, sample_of) = (graph.map(pairs, drugs), graph.map(pairs, samples));
        let drug_features = Source::features(&mut graph, drugs, widths.drug, widths.bits[0]);
        let sample_features = Source::features(&mut graph, samples, widths.sample, widths.bits[1]);
        let dose = widths.dose.then(|| graph.input(pairs, 1));
        let truth = graph.input(pairs, 1);
        let (maps, drug, sample) = ([drug_of, sample_of], drug_features, sample_features);
        let inputs = Inputs { maps, drug, sample, encoder: encoder.map(|fitted| &fitted.encoder), dose };
        let (mut predictions, mut losses) = (Vec::new(), Vec::new());
        for member in 0..self.members {
            let prefix = if self.members == 1 { String::new() } else { format!("member.{member}.") };
            let prediction = self.member(&mut graph, &prefix, &inputs)?;
            losses.push(add_loss(&mut graph, &format!("{prefix}loss"), loss, prediction, truth)?);
            predictions.push(prediction);
        }
        let mut mean = |name: &str, of: &[NodeId]| match of {
            [one] => Ok(*one),
            all => graph.add(name, Mean, all),
        };
        let (prediction, loss) = (mean("prediction", &predictions)?, mean("loss", &losses)?);
        let port = |space, map, features| {
            let features = match features {
                Source::Tensor(input) => FeaturePort::Values(input),
                Source::Bits(bits, _) => FeaturePort::Bits(bits),
            };
            EntityPort { space, map, features }
        };
        let entities = [port(drugs, drug_of, drug_features), port(samples, sample_of, sample_features)];
        let ports = Ports { pairs, entities, dose, truth };
        let validation = Validation::SquaredError;
        let fitted = encoder.map(|fitted| fitted.parameters.clone());
        Ok(PairNetwork { graph: Arc::new(graph), ports, prediction, loss, validation, fitted })
    }

    /// Adds one network, whose layers are called after `prefix`. Returns its prediction.
    fn member(&self, graph: &mut Graph, prefix: &str, inputs: &Inputs<'_>) -> Result<NodeId> {
        let style = self.style();
        let name = |part: &str| format!("{prefix}{part}");
        let drug = style.stack(graph, &name("drug_tower"), 0, inputs.drug, &self.drug_tower)?;
        let mut sample = inputs.sample;
        if let Some(encoder) = inputs.encoder {
            // As it was fitted, but for dropout: no other op between its layers.
            let style = LayerStyle { dropout: self.dropout, ..LayerStyle::plain(encoder.activation) };
            let layers = encoder.stack(graph, prefix, sample, style)?;
            sample = Source::Tensor(layers[layers.len() - 1]);
        }
        let sample = style.stack(graph, &name("sample_tower"), 0, sample, &self.sample_tower)?;

        let fan_in = drug.columns(graph) + sample.columns(graph) + usize::from(inputs.dose.is_some());
        let variance = self.activation.weight_variance(fan_in);
        let (columns, activation) = (self.head[0], Activation::Identity);
        let part = Linear { columns, bias: false, activation, variance };
        let drug = drug.linear(graph, &name("head.0.drug"), part.clone())?;
        let sample = sample.linear(graph, &name("head.0.sample"), part)?;
        let maps = inputs.maps.to_vec();
        let fuse = Fuse { maps, dense: inputs.dose.is_some(), activation: self.activation, variance };
        let joined: Vec<_> = [drug, sample].into_iter().chain(inputs.dose).collect();
        let fused = graph.add(&name("head.0"), fuse, &joined)?;
        let hidden = style.finish(graph, &name("head.0"), fused)?;
        let hidden = style.stack(graph, &name("head"), 1, Source::Tensor(hidden), &self.head[1..])?;

        let out = Linear::new(hidden.columns(graph), 1, Activation::Identity);
        hidden.linear(graph, &name("head.out"), out)
    }

    pub(super) fn style(&self) -> LayerStyle {
        LayerStyle {
            activation: self.activation,
            dropout: self.dropout,
            layer_norm: self.layer_norm,
            residual: self.residual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::check::{check_whole_network, fill};
    use crate::graph::{CpuPlan, Parameters, Purpose};
    use crate::model::concatenated;
    use crate::op::Step;

    const CAPACITY: [usize; 3] = [9, 4, 3];
    const STEP: Step = Step { seed: 2, number: 5 };

    fn small(dose: bool, dropout: f64) -> (TwoTower, InputWidths) {
        let spec = TwoTower {
            drug_tower: vec![4, 4],
            sample_tower: vec![3],
            head: vec![5, 5],
            activation: Activation::Tanh,
            dropout,
            layer_norm: true,
            residual: true,
            members: 1,
        };
        (spec, InputWidths { drug: 3, sample: 2, dose, bits: [false; 2] })
    }

    fn fed(ports: Ports) -> Vec<crate::graph::NodeId> {
        let features = ports.entities.into_iter().filter_map(|port| match port.features {
            FeaturePort::Values(input) => Some(input),
            FeaturePort::Bits(_) => None,
        });
        features.chain([ports.truth]).chain(ports.dose).collect()
    }

    #[test]
    fn derivative_of_the_whole_network() {
        let cases = [
            (false, Loss::Mse, [false; 2], true, 1),
            (true, Loss::Huber, [false; 2], true, 1),
            (true, Loss::Mse, [true, false], true, 2),
            (false, Loss::Mse, [true; 2], false, 1),
        ];
        for (dose, loss, bits, towers, members) in cases {
            let (mut spec, widths) = small(dose, 0.25);
            spec.members = members;
            let widths = InputWidths { bits, ..widths };
            if !towers {
                (spec.drug_tower, spec.sample_tower) = (vec![], vec![]);
            }
            let network = spec.build(widths, None, loss).unwrap();
            let graph = Arc::into_inner(network.graph).unwrap();
            check_whole_network(graph, network.loss, &fed(network.ports), &CAPACITY);
        }
    }

    /// Loss of each pair, and gradients by name, of one step in f64.
    fn one_step(network: &PairNetwork, parameters: &Parameters<f64>) -> (Vec<f64>, Vec<(String, Vec<f64>)>) {
        let mut plan =
            CpuPlan::<f64>::new(network.graph.clone(), Purpose::Train, network.loss, &[], &CAPACITY).unwrap();
        fill(&mut plan, &network.graph, &fed(network.ports), &CAPACITY);
        let mut gradients = plan.gradients().unwrap();
        plan.forward(parameters, STEP);
        let loss = plan.output().to_vec();
        plan.backward(parameters, &mut gradients, 1.0, STEP, &mut |_, _| ());
        let names = parameters.layout().iter().map(|p| p.name.clone());
        let by_name = names.enumerate().map(|(number, name)| (name, gradients.of(number).to_vec()));
        (loss, by_name.collect())
    }

    #[test]
    fn factorised_and_concatenating_networks_are_the_same_function() {
        for dose in [false, true] {
            // Dropout in a tower is drawn an entity when factorised and a pair when concatenated.
            let (spec, widths) = small(dose, 0.0);
            let factorised = spec.build(widths, None, Loss::Mse).unwrap();
            let parameters = Parameters::<f64>::start(&factorised.graph, 8).unwrap();
            let (loss, gradients) = one_step(&factorised, &parameters);
            let reference = concatenated::build(&spec, widths).unwrap();
            let joined = concatenated::parameters(&reference, &parameters);
            let (expected_loss, expected) = one_step(&reference, &joined);
            let expected = concatenated::split_gradients(&expected, &parameters);
            let close = |a: &[f64], b: &[f64]| {
                assert_eq!(a.len(), b.len());
                a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + a.abs()))
            };
            assert!(close(&loss, &expected_loss));
            for (name, gradient) in &gradients {
                assert!(close(gradient, &expected[name]), "{name}: {gradient:?} {:?}", expected[name]);
            }
        }
    }

    #[test]
    fn a_scoring_plan_computes_entities_once_and_predicts_as_training_does() {
        let (spec, widths) = small(true, 0.3);
        let network = spec.build(widths, None, Loss::Mse).unwrap();
        let parameters = Parameters::<f64>::start(&network.graph, 8).unwrap();
        let ports = network.ports;
        let plan = |purpose, output, given: &[_]| {
            let mut plan =
                CpuPlan::<f64>::new(network.graph.clone(), purpose, output, given, &CAPACITY).unwrap();
            fill(&mut plan, &network.graph, &fed(ports), &CAPACITY);
            plan
        };
        // Without dropout a training plan predicts as a scoring plan does.
        let plain = TwoTower { dropout: 0.0, ..spec }.build(widths, None, Loss::Mse).unwrap();
        let mut whole =
            CpuPlan::<f64>::new(plain.graph.clone(), Purpose::Train, plain.prediction, &[], &CAPACITY)
                .unwrap();
        fill(&mut whole, &plain.graph, &fed(plain.ports), &CAPACITY);
        whole.forward(&parameters, STEP);
        let boundary = network.graph.boundary(network.prediction);
        assert_eq!(boundary.len(), 2);
        let mut head = plan(Purpose::Score, network.prediction, &boundary);
        for &node in &boundary {
            let mut tower = plan(Purpose::Score, node, &[]);
            tower.forward(&parameters, STEP);
            head.input_mut(node).unwrap().0.copy_from_slice(tower.output());
        }
        // Twice, as for two batches of pairs over the same entities.
        head.forward(&parameters, STEP);
        head.forward(&parameters, STEP);
        assert_eq!(head.output(), whole.output());
    }

    #[test]
    fn an_ensemble_predicts_the_mean_of_its_members() {
        let (spec, widths) = small(true, 0.3);
        let ensemble = TwoTower { members: 3, ..spec.clone() }.build(widths, None, Loss::Mse).unwrap();
        let together = Parameters::<f64>::start(&ensemble.graph, 8).unwrap();
        let predict = |network: &PairNetwork, parameters: &Parameters<f64>| {
            let (graph, ports) = (&network.graph, network.ports);
            let output = network.prediction;
            let mut plan =
                CpuPlan::<f64>::new(graph.clone(), Purpose::Score, output, &[], &CAPACITY).unwrap();
            fill(&mut plan, graph, &fed(ports), &CAPACITY);
            plan.forward(parameters, STEP);
            plan.output().to_vec()
        };
        let alone = spec.build(widths, None, Loss::Mse).unwrap();
        let mut mean = vec![0.0; CAPACITY[0]];
        let mut members = Vec::new();
        for member in 0..3 {
            let mut own = Parameters::<f64>::start(&alone.graph, 0).unwrap();
            for place in own.clone_layout().iter() {
                let name = format!("member.{member}.{}", place.name);
                let from = together.layout().iter().find(|p| p.name == name).unwrap();
                let values = &together.values()[from.range.clone()];
                own.values_mut()[place.range.clone()].copy_from_slice(values);
            }
            let predicted = predict(&alone, &own);
            mean.iter_mut().zip(&predicted).for_each(|(m, p)| *m += p / 3.0);
            members.push(predicted);
        }
        assert!(members[0] != members[1] && members[1] != members[2], "members start alike: {members:?}");
        let said = predict(&ensemble, &together);
        assert!(said.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-12), "{said:?} {mean:?}");
        for members in [0, MAX_OPERANDS + 1] {
            assert!(TwoTower { members, ..spec.clone() }.build(widths, None, Loss::Mse).is_err());
        }
    }

    #[test]
    fn a_head_without_layers_is_refused() {
        let spec = TwoTower { head: vec![], ..TwoTower::default() };
        assert!(
            spec.build(InputWidths { drug: 1, sample: 1, dose: false, bits: [false; 2] }, None, Loss::Mse)
                .is_err()
        );
    }
}
