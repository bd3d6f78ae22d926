//! The two-tower network as published programs run it: features gathered and
//! both towers computed for every pair, and one weight over their
//! concatenation. Kept to hold the factorised network against.

use super::layers::Source;
use super::{InputWidths, Loss, PairNetwork, TwoTower, Validation, add_loss};
use crate::Result;
use crate::batch::{EntityPort, FeaturePort, Ports};
use crate::graph::{Graph, Parameters};
use crate::op::{Activation, Concat, Gather, Linear};
use std::collections::HashMap;
use std::sync::Arc;

pub fn build(spec: &TwoTower, widths: InputWidths) -> Result<PairNetwork> {
    let style = spec.style();
    let mut graph = Graph::new();
    let (pairs, drugs, samples) = (graph.space("pairs"), graph.space("drugs"), graph.space("samples"));
    let (drug_of, sample_of) = (graph.map(pairs, drugs), graph.map(pairs, samples));
    let drug_features = graph.input(drugs, widths.drug);
    let sample_features = graph.input(samples, widths.sample);
    let drug = graph.add("drug", Gather { map: drug_of }, &[drug_features])?;
    let sample = graph.add("sample", Gather { map: sample_of }, &[sample_features])?;
    let drug = style.stack(&mut graph, "drug_tower", 0, Source::Tensor(drug), &spec.drug_tower)?;
    let sample = style.stack(&mut graph, "sample_tower", 0, Source::Tensor(sample), &spec.sample_tower)?;
    let dose = widths.dose.then(|| graph.input(pairs, 1));
    let tensors = [drug, sample].into_iter().filter_map(|source| match source {
        Source::Tensor(x) => Some(x),
        Source::Bits(..) => None,
    });
    let joined: Vec<_> = tensors.chain(dose).collect();
    let joined = graph.add("concat", Concat, &joined)?;
    let fan_in = graph.shape(joined).columns;
    let hidden = graph.add("head.0", Linear::new(fan_in, spec.head[0], spec.activation), &[joined])?;
    let hidden = style.finish(&mut graph, "head.0", hidden)?;
    let hidden = style.stack(&mut graph, "head", 1, Source::Tensor(hidden), &spec.head[1..])?;
    let out = Linear::new(hidden.columns(&graph), 1, Activation::Identity);
    let prediction = hidden.linear(&mut graph, "head.out", out)?;
    let truth = graph.input(pairs, 1);
    let loss = add_loss(&mut graph, "loss", Loss::Mse, prediction, truth)?;
    let entities = [
        EntityPort { space: drugs, map: drug_of, features: FeaturePort::Values(drug_features) },
        EntityPort { space: samples, map: sample_of, features: FeaturePort::Values(sample_features) },
    ];
    let ports = Ports { pairs, entities, dose, truth };
    let validation = Validation::SquaredError;
    Ok(PairNetwork { graph: Arc::new(graph), ports, prediction, loss, validation, fitted: None })
}

/// The blocks of columns of the concatenated first weight: name of the
/// factorised parameter, its columns in the concatenation, and whether it is
/// stored transposed.
fn blocks(factorised: &Parameters<f64>) -> Vec<(&str, std::ops::Range<usize>, bool)> {
    let mut offset = 0;
    let mut blocks = Vec::new();
    for (name, transposed) in
        [("head.0.drug.weight", false), ("head.0.sample.weight", false), ("head.0.dense", true)]
    {
        if let Some(p) = factorised.layout().iter().find(|p| p.name == name) {
            let width = if transposed { p.shape[0] } else { p.shape[1] };
            blocks.push((name, offset..offset + width, transposed));
            offset += width;
        }
    }
    blocks
}

/// The concatenating network's parameters that make it the same function.
pub fn parameters(network: &PairNetwork, factorised: &Parameters<f64>) -> Parameters<f64> {
    let mut joined = Parameters::<f64>::zeros(&network.graph).unwrap();
    let find = |name: &str| factorised.layout().iter().find(|p| p.name == name);
    for place in joined.clone().layout() {
        let values = &mut joined.values_mut()[place.range.clone()];
        if let Some(same) = find(&place.name) {
            values.copy_from_slice(&factorised.values()[same.range.clone()]);
            continue;
        }
        let [rows, width] = place.shape;
        for (name, columns, transposed) in blocks(factorised) {
            let from = &factorised.values()[find(name).unwrap().range.clone()];
            for (r, c) in (0..rows).flat_map(|r| columns.clone().map(move |c| (r, c))) {
                let at = c - columns.start;
                values[r * width + c] = from[if transposed { at * rows + r } else { r * columns.len() + at }];
            }
        }
    }
    joined
}

/// Gradients of the concatenating network under the factorised names.
pub fn split_gradients(
    gradients: &[(String, Vec<f64>)],
    factorised: &Parameters<f64>,
) -> HashMap<String, Vec<f64>> {
    let mut split: HashMap<String, Vec<f64>> = gradients.iter().cloned().collect();
    let joined = split.remove("head.0.weight").unwrap();
    let width = blocks(factorised).last().unwrap().1.end;
    let rows = joined.len() / width;
    for (name, columns, transposed) in blocks(factorised) {
        let mut block = vec![0.0; rows * columns.len()];
        for (r, c) in (0..rows).flat_map(|r| columns.clone().map(move |c| (r, c))) {
            let at = c - columns.start;
            block[if transposed { at * rows + r } else { r * columns.len() + at }] = joined[r * width + c];
        }
        split.insert(name.into(), block);
    }
    split
}
