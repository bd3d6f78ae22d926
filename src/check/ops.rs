use super::Outcome;
use crate::Result;
use crate::device::cuda::{Precision, Stream};
use crate::graph::compare::{Differences, OneOp, Reference, Trial};
use crate::graph::{Graph, NodeId};
use crate::op::{
    Activation, Add, BitLinear, CenterLoss, Concat, Dropout, Fuse, Gather, Huber, LayerNorm, Linear, MapId,
    Mean, Op, ReconstructionError, ReconstructionLoss, SpaceId, SquaredError, TiedLinear,
};
use std::sync::Arc;

/// Networks that are compared, under one name.
pub(super) struct Case {
    pub name: String,
    pub trials: Vec<Trial>,
    /// Whether gradients are taken as one where few bits are kept.
    pub as_one: bool,
}

/// All activations, with their names.
pub(super) const ACTIVATIONS: [(Activation, &str); 5] = [
    (Activation::Identity, "identity"),
    (Activation::Relu, "relu"),
    (Activation::Elu, "elu"),
    (Activation::Tanh, "tanh"),
    (Activation::Sigmoid, "sigmoid"),
];

impl Case {
    /// What the processors make of it.
    pub fn references(&self) -> Result<Vec<Reference>> {
        let reference = |trial: &Trial| {
            Reference::new(&trial.graph, trial.loss, &trial.fed, &trial.capacity, &trial.capacity)
        };
        self.trials.iter().map(reference).collect()
    }

    /// Holds a device against that.
    pub fn on(&self, references: &mut [Reference], stream: &Stream, precision: Precision) -> Outcome {
        let mut worst = Ok((0.0, String::new()));
        for reference in references {
            let found = reference.compare(stream, precision).map(|found| self.measure(&found, precision));
            worst = match (worst, found) {
                (Ok(one), Ok(other)) => Ok(if one.0 > other.0 { one } else { other }),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        Outcome::new(&self.name, precision, allowed(precision, self.as_one), worst)
    }

    /// How far off, and what.
    fn measure(&self, found: &Differences, precision: Precision) -> (f64, String) {
        if !found.repeats {
            return (f64::INFINITY, "other bits when run again".into());
        }
        let as_one = self.as_one && precision != Precision::Fp32;
        let all = (found.apart, "all gradients".to_string());
        let each = found.each.iter().map(|one| (one.largest, one.name.clone()));
        let each = each.take(if as_one { 1 } else { usize::MAX });
        each.chain(as_one.then_some(all))
            .fold((0.0, String::new()), |most, one| if one.0 < most.0 { most } else { one })
    }
}

/// How far values may be apart, as a part of the largest of them.
///
/// In single precision, a sum of 700 terms in another order may be off by 700 units of 2^-24, which is 4e-5.
///
/// A factor of a tf32 product keeps 10 bits of mantissa, so a term of a sum is off by 2^-10 at most for each of its
/// two factors, and a gradient has passed three products: 6e-3; one unit on the other side of a ReLU's kink may add
/// twice that to a single gradient. In bfloat16 every tensor is rounded to 8 bits: 2^-9
/// each, five to ten of them in a row.
///
/// A unit whose argument is about that near to the kink of a ReLU falls on the other side, with all that one row
/// has in a gradient: of all gradients, a part of some 2^-10, or 2^-8, which as a part of their length is the root of
/// it. In a whole network, single gradients may also be small differences of what is rounded. So there all are taken
/// as one.
fn allowed(precision: Precision, as_one: bool) -> f64 {
    match (precision, as_one) {
        (Precision::Fp32, _) => 5e-5,
        (Precision::Tf32, false) => 4e-2,
        (Precision::Tf32, true) => 4e-2,
        (Precision::Bf16, false) => 4e-2,
        (Precision::Bf16, true) => 8e-2,
    }
}

/// An op alone, and with a second reader of its operands.
fn op<O: Op + Clone + 'static>(name: &str, op: OneOp<O>, pairs: usize) -> Result<Case> {
    let trials = [false, true].map(|read_twice| op.between(pairs, read_twice, None));
    Ok(Case { name: name.into(), trials: trials.into_iter().collect::<Result<_>>()?, as_one: false })
}

/// A layer on bits.
fn bit_linear(columns: usize, rows: usize) -> Result<Case> {
    let mut graph = Graph::new();
    let space = graph.space("drugs");
    let (bits, ends) = graph.bits(space, 70);
    let activation = Activation::Tanh;
    let layer = BitLinear { bits, ends, columns, bias: true, activation, variance: 0.05 };
    let layer = graph.add("layer", layer, &[])?;
    let loss: NodeId = graph.add("out", Linear::new(columns, 1, Activation::Identity), &[layer])?;
    let trial = Trial { graph: Arc::new(graph), loss, fed: vec![], capacity: vec![rows] };
    Ok(Case { name: format!("bit_linear 70 to {columns}, {rows} rows"), trials: vec![trial], as_one: false })
}

/// A layer, one back with the same weight, and the first once more: three nodes add to one gradient.
fn tied(columns: usize, units: usize, rows: usize) -> Result<Case> {
    let mut graph = Graph::new();
    let space = graph.space("samples");
    let input = graph.input(space, columns);
    let encoder = Linear::new(columns, units, Activation::Tanh);
    let latent = graph.add("encoder", encoder.clone(), &[input])?;
    let back =
        graph.add_tied("decoder", TiedLinear::new(columns, Activation::Identity), &[latent], latent)?;
    let again = graph.add_tied("again", encoder, &[back], latent)?;
    let loss = graph.add("out", Linear::new(units, 1, Activation::Identity), &[again])?;
    let trial = Trial { graph: Arc::new(graph), loss, fed: vec![input], capacity: vec![rows] };
    let name = format!("tied weight {columns} to {units}, {rows} rows");
    // A network of several layers.
    Ok(Case { name, trials: vec![trial], as_one: true })
}

/// Rows of some of the classes, and centers of all.
fn center_loss(classes: usize, columns: usize, rows: usize, of_batch: usize) -> Result<Case> {
    let mut graph = Graph::new();
    let (pairs, space) = (graph.space("pairs"), graph.space("classes"));
    let map = graph.map(pairs, space);
    let x = graph.input(pairs, 3);
    let z = graph.add("z", Linear::new(3, columns, Activation::Identity), &[x])?;
    let (weight, distance_weight, margin, rate) = (0.3, 2.0, 9.0, 0.5);
    let scales = CenterLoss::scales(weight, distance_weight, &vec![1.0 / classes as f64; classes], rows);
    let centers = CenterLoss { map, classes: space, weight, distance_weight, margin, rate, scales };
    let loss = graph.add("centers", centers, &[z])?;
    let trial = Trial { graph: Arc::new(graph), loss, fed: vec![x], capacity: vec![rows, of_batch] };
    let name = format!("center_loss {columns}, {rows} rows of {classes} classes");
    Ok(Case { name, trials: vec![trial], as_one: false })
}

/// Every op at shapes that cross the tiles of its kernels: rows and columns that are no multiple of anything, one
/// row, one column, lists of one map that are empty, short, and longer than a block takes at once.
pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (activation, name) in ACTIVATIONS {
        let layer = OneOp::new(Linear::new(70, 261, activation)).input(70);
        let case = op(&format!("linear 70 to 261 {name}, 300 rows"), layer, 300)?;
        cases.push(Case { as_one: activation == Activation::Relu, ..case });
    }
    cases.push(op(
        "linear 70 to 1, 300 rows",
        OneOp::new(Linear::new(70, 1, Activation::Relu)).input(70),
        300,
    )?);
    cases.push(op("linear 70 to 70, 1 row", OneOp::new(Linear::new(70, 70, Activation::Relu)).input(70), 1)?);
    for (columns, activation, name) in [
        (261, Activation::Identity, "identity"),
        (70, Activation::Elu, "elu"),
        (530, Activation::Tanh, "tanh"),
    ] {
        let layer = OneOp::new(TiedLinear::new(columns, activation)).input(70);
        cases.push(op(&format!("tied_linear 70 to {columns} {name}, 300 rows"), layer, 300)?);
    }
    cases.push(tied(261, 70, 300)?);
    cases.push(tied(70, 530, 1)?);
    cases.push(bit_linear(261, 300)?);
    cases.push(bit_linear(1, 65)?);

    let fuse = |maps: usize, dense, activation| {
        let maps = (0..maps).map(MapId).collect();
        OneOp::new(Fuse { maps, dense, activation, variance: 0.1 })
    };
    let (relu, elu, tanh, sigmoid) =
        (Activation::Relu, Activation::Elu, Activation::Tanh, Activation::Sigmoid);
    let with_dose = fuse(2, true, relu).mapped(261, 90).mapped(261, 2).input(1);
    cases.push(op("fuse 261, dose, 300 pairs of 90 and 2", with_dose, 300)?);
    let dense = fuse(2, true, elu).mapped(70, 1).mapped(70, 5).input(9);
    cases.push(op("fuse 70, 9 columns, 700 pairs of 1 and 5", dense, 700)?);
    let one_pair = fuse(2, false, sigmoid).mapped(70, 1).mapped(70, 40);
    cases.push(op("fuse 70, 1 pair of 1 and 40", one_pair, 1)?);
    let one_unit = fuse(2, true, tanh).mapped(1, 3).mapped(1, 4).input(3);
    cases.push(op("fuse 1, 33 pairs of 3 and 4", one_unit, 33)?);
    for (columns, entities, pairs) in [(261, 90, 300), (70, 1, 700), (1, 400, 300)] {
        let gather = OneOp::new(Gather { map: MapId(0) }).mapped(columns, entities);
        cases.push(op(&format!("gather {columns}, {pairs} pairs of {entities}"), gather, pairs)?);
    }

    for (columns, rows) in [(261, 300), (70, 1)] {
        let norm = OneOp::new(LayerNorm).input(columns);
        cases.push(op(&format!("layer_norm {columns}, {rows} rows"), norm, rows)?);
        let dropout = OneOp::new(Dropout { rate: 0.4, space: SpaceId(0) }).input(columns);
        cases.push(op(&format!("dropout {columns}, {rows} rows"), dropout, rows)?);
    }
    cases.push(op("add 261, 300 rows", OneOp::new(Add).input(261).input(261), 300)?);
    cases.push(op("mean 261, 300 rows", OneOp::new(Mean).input(261).input(261), 300)?);
    cases.push(op("concat 70, 1, 261, 300 rows", OneOp::new(Concat).input(70).input(1).input(261), 300)?);
    cases.push(op("squared_error, 300 rows", OneOp::new(SquaredError).input(1).input(1), 300)?);
    cases.push(op("huber, 300 rows", OneOp::new(Huber { delta: 0.7 }).input(1).input(1), 300)?);
    for (loss, name) in [(ReconstructionLoss::Mse, "mse"), (ReconstructionLoss::Bce, "bce")] {
        let error = OneOp::new(ReconstructionError { loss, weight: 1.0 }).input(261).input(261);
        cases.push(op(&format!("reconstruction_error 261 {name}, 300 rows"), error, 300)?);
    }
    for (classes, columns, rows, of_batch) in [(41, 70, 300, 4), (400, 261, 65, 40)] {
        cases.push(center_loss(classes, columns, rows, of_batch)?);
    }
    Ok(cases)
}
