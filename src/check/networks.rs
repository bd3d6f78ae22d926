use super::ops::{ACTIVATIONS, Case};
use crate::Result;
use crate::batch::{FeaturePort, Ports};
use crate::graph::NodeId;
use crate::graph::compare::Trial;
use crate::model::{InputWidths, Loss, ModelSpec, TwoTower};
use crate::op::Activation;

/// Whole networks of two towers, with all that one can have, in every activation; and such as take bits.
pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (activation, name) in ACTIVATIONS {
        let widths = InputWidths { drug: 70, sample: 37, dose: true, bits: [false; 2] };
        let (spec, loss) = (network(activation), Loss::Huber);
        let name = format!("two towers, layer norm, dropout, {name}");
        cases.push(case(name, &spec, widths, loss, [300, 90, 5])?);
    }
    let widths = InputWidths { drug: 70, sample: 37, dose: true, bits: [true, false] };
    let plain = TwoTower { layer_norm: false, residual: false, ..network(Activation::Relu) };
    cases.push(case("two towers, drugs of bits".into(), &plain, widths, Loss::Mse, [300, 40, 9])?);
    let widths = InputWidths { dose: false, bits: [true; 2], ..widths };
    let bare = TwoTower { drug_tower: vec![], sample_tower: vec![], ..network(Activation::Relu) };
    cases.push(case("no towers, bits alone".into(), &bare, widths, Loss::Mse, [300, 40, 9])?);
    cases.push(case("two towers, 1 pair".into(), &network(Activation::Elu), widths, Loss::Mse, [1, 1, 1])?);
    Ok(cases)
}

fn network(activation: Activation) -> TwoTower {
    TwoTower {
        drug_tower: vec![70, 70],
        sample_tower: vec![33],
        head: vec![40, 40, 24],
        activation,
        dropout: 0.25,
        layer_norm: true,
        residual: true,
        members: 1,
    }
}

fn case(
    name: String,
    spec: &TwoTower,
    widths: InputWidths,
    loss: Loss,
    capacity: [usize; 3],
) -> Result<Case> {
    let network = ModelSpec::TwoTower(spec.clone()).build(widths, loss)?;
    let (fed, capacity) = (fed(network.ports), capacity.to_vec());
    let trial = Trial { graph: network.graph, loss: network.loss, fed, capacity };
    Ok(Case { name, trials: vec![trial], as_one: true })
}

fn fed(ports: Ports) -> Vec<NodeId> {
    let features = ports.entities.into_iter().filter_map(|port| match port.features {
        FeaturePort::Values(input) => Some(input),
        FeaturePort::Bits(_) => None,
    });
    features.chain([ports.truth]).chain(ports.dose).collect()
}
