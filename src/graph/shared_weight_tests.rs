//! Networks in which nodes share a weight.

use super::check::{check_whole_network, fill};
use super::compare::value;
use super::*;
use crate::op::{Activation, Linear, Step, TiedLinear};
use std::sync::Arc;

const PAIRS: usize = 7;
const STEP: Step = Step { seed: 3, number: 11 };

fn pairs_of(columns: usize) -> (Graph, NodeId) {
    let mut graph = Graph::new();
    let pairs = graph.space("pairs");
    let input = graph.input(pairs, columns);
    (graph, input)
}

fn encoder(from: usize, to: usize) -> Linear {
    Linear::new(from, to, Activation::Tanh)
}

/// An autoencoder of two layers and two of the same weights, then the first layer once more: three nodes have
/// its weight, the last of them no bias.
fn tied() -> (Graph, NodeId, NodeId) {
    let (mut graph, input) = pairs_of(5);
    let first = graph.add("encoder.0", encoder(5, 6), &[input]).unwrap();
    let latent = graph.add("encoder.1", encoder(6, 3), &[first]).unwrap();
    let x = graph.add_tied("decoder.0", TiedLinear::new(6, Activation::Elu), &[latent], latent).unwrap();
    let x = graph.add_tied("decoder.1", TiedLinear::new(5, Activation::Identity), &[x], first).unwrap();
    let again = Linear { bias: false, ..encoder(5, 6) };
    let x = graph.add_tied("again", again, &[x], first).unwrap();
    let loss = graph.add("out", Linear::new(6, 1, Activation::Tanh), &[x]).unwrap();
    (graph, input, loss)
}

/// The same function, every node with a weight of its own.
fn untied() -> (Graph, NodeId, NodeId) {
    let (mut graph, input) = pairs_of(5);
    let x = graph.add("encoder.0", encoder(5, 6), &[input]).unwrap();
    let x = graph.add("encoder.1", encoder(6, 3), &[x]).unwrap();
    let x = graph.add("decoder.0", Linear::new(3, 6, Activation::Elu), &[x]).unwrap();
    let x = graph.add("decoder.1", Linear::new(6, 5, Activation::Identity), &[x]).unwrap();
    let x = graph.add("again", Linear { bias: false, ..encoder(5, 6) }, &[x]).unwrap();
    let loss = graph.add("out", Linear::new(6, 1, Activation::Tanh), &[x]).unwrap();
    (graph, input, loss)
}

/// Losses and gradients of made-up inputs.
fn run(
    graph: &Arc<Graph>,
    loss: NodeId,
    fed: NodeId,
    parameters: &Parameters<f64>,
) -> (Vec<f64>, Gradients<f64>) {
    let mut plan = CpuPlan::<f64>::new(graph.clone(), Purpose::Train, loss, &[], &[PAIRS]).unwrap();
    fill(&mut plan, graph, &[fed], &[PAIRS]);
    let mut gradients = plan.gradients().unwrap();
    plan.forward(parameters, STEP);
    plan.backward(parameters, &mut gradients, 0.7, STEP, &mut |_, _| ());
    (plan.output().to_vec(), gradients)
}

#[test]
fn derivative() {
    let (graph, input, loss) = tied();
    let gradients = Gradients::<f64>::zeros(&graph).unwrap();
    // The weight lies in another bucket than the rest of those that share it.
    assert!(gradients.buckets() > 1, "one bucket");
    check_whole_network(graph, loss, &[input], &[PAIRS]);
}

#[test]
fn a_shared_weight_is_there_once_and_has_the_gradients_of_all_who_have_it() {
    let [(one, fed, loss), (each, fed_each, loss_each)] =
        [tied(), untied()].map(|(g, f, l)| (Arc::new(g), f, l));
    let mut shared = Parameters::<f64>::start(&one, 1).unwrap();
    shared.values_mut().iter_mut().enumerate().for_each(|(i, v)| *v += 0.3 * value(i));
    let names: Vec<String> = shared.layout().iter().map(|p| p.name.clone()).collect();
    let expected = ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias"];
    let expected = [&expected[..], &["decoder.0.bias", "decoder.1.bias", "out.weight", "out.bias"]].concat();
    assert_eq!(names, expected);
    let of = |name: &str| names.iter().position(|n| n == name).unwrap();

    // What each node of the other network has: a parameter of this one, maybe transposed.
    let source = |name: &str| match name {
        "decoder.0.weight" => (of("encoder.1.weight"), true),
        "decoder.1.weight" => (of("encoder.0.weight"), true),
        "again.weight" => (of("encoder.0.weight"), false),
        name => (of(name), false),
    };
    let mut own = Parameters::<f64>::zeros(&each).unwrap();
    let layout = own.clone_layout();
    for place in layout.iter() {
        let (number, turned) = source(&place.name);
        let from = shared.slice(number).to_vec();
        own.values_mut()[place.range.clone()].copy_from_slice(&if turned {
            turn(&from, place.shape)
        } else {
            from
        });
    }

    let (losses, gradients) = run(&one, loss, fed, &shared);
    let (losses_each, gradients_each) = run(&each, loss_each, fed_each, &own);
    let close = |got: &[f64], expected: &[f64], what: &str| {
        assert_eq!(got.len(), expected.len());
        for (g, e) in got.iter().zip(expected) {
            assert!((g - e).abs() < 1e-12 * (1.0 + e.abs()), "{what}: {g} and {e}");
        }
    };
    close(&losses, &losses_each, "losses");
    let mut sums: Vec<Vec<f64>> = shared.layout().iter().map(|p| vec![0.0; p.range.len()]).collect();
    for (number, place) in layout.iter().enumerate() {
        let (to, turned) = source(&place.name);
        let [rows, columns] = place.shape;
        let gradient = gradients_each.of(number).to_vec();
        let gradient = if turned { turn(&gradient, [columns, rows]) } else { gradient };
        sums[to].iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    for (number, sum) in sums.iter().enumerate() {
        close(gradients.of(number), sum, &names[number]);
    }
}

/// Values of a matrix, in the order of its transpose of this shape.
fn turn(values: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..rows * columns).map(|i| values[i % columns * rows + i / columns]).collect()
}

#[test]
fn the_gradients_of_a_node_may_lie_in_several_buckets() {
    let (graph, ..) = tied();
    let mut gradients = Gradients::<f32>::zeros(&graph).unwrap();
    for id in 0..graph.len() {
        let node = graph.node(NodeId(id));
        for (slice, number) in gradients.slices_mut::<4>(node.numbers()).into_iter().zip(node.numbers()) {
            slice.fill(number as f32);
        }
    }
    let layout = Parameters::<f32>::zeros(&graph).unwrap().clone_layout();
    for (number, parameter) in layout.iter().enumerate() {
        let got = gradients.of(number);
        assert!(
            got.len() == parameter.range.len() && got.iter().all(|&v| v == number as f32),
            "{number}: {got:?}"
        );
    }
}

#[test]
fn a_decoder_learns_a_weight_whose_encoder_is_left_out() {
    let (mut graph, input) = pairs_of(5);
    let latent = graph.add("encoder", encoder(5, 3), &[input]).unwrap();
    let pairs = graph.shape(input).space;
    let other = graph.input(pairs, 3);
    let bare = TiedLinear { bias: false, ..TiedLinear::new(5, Activation::Tanh) };
    let x = graph.add_tied("decoder", bare, &[other], latent).unwrap();
    let loss = graph.add("out", Linear::new(5, 1, Activation::Tanh), &[x]).unwrap();
    let graph = Arc::new(graph);
    let parameters = Parameters::<f64>::start(&graph, 1).unwrap();
    let (_, gradients) = run(&graph, loss, other, &parameters);
    assert!(gradients.of(0).iter().all(|&g| g != 0.0));
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let (mut graph, input) = pairs_of(5);
    let layer = graph.add("layer", encoder(5, 3), &[input]).unwrap();
    let one = graph.add("one", encoder(5, 1), &[input]).unwrap();
    let layers = graph.len();
    for (columns, with, why) in [
        (5, input, "node 'd': tied linear cannot share the weight of an input of 5 columns"),
        (5, one, "node 'd': tied linear cannot share the weight of linear of 1 columns"),
        (4, layer, "node 'd': a weight of [3, 4] cannot be 'layer.weight' of [3, 5]"),
        (1, layer, "node 'd': tied linear: 3 columns to 1"),
    ] {
        let op = TiedLinear::new(columns, Activation::Relu);
        let refused = graph.add_tied("d", op, &[layer], with).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let norm = graph.add_tied("n", crate::op::LayerNorm, &[layer], layer).unwrap_err().to_string();
    assert!(norm.contains("layer norm cannot share"), "{norm}");
    assert_eq!((graph.len(), graph.specs().len()), (layers, 4));
}
