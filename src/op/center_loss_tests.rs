//! Derivative, kernels and update of center loss.

use super::{CenterLoss, MapId, SpaceId};
use crate::graph::check::check_network;
use crate::graph::check_cuda::{Held, check_cuda};
use crate::graph::{CpuPlan, Graph, NodeId, Parameters, Purpose};
use crate::op::{Activation, Add, Linear, Step};
use std::sync::Arc;

/// Rows of `columns`, their classes made up by number; read once more where `twice`.
fn network(op: &CenterLoss, columns: usize, twice: bool) -> (Graph, NodeId, Vec<NodeId>) {
    let mut graph = Graph::new();
    let (pairs, classes) = (graph.space("pairs"), graph.space("classes"));
    graph.map(pairs, classes);
    let x = graph.input(pairs, 3);
    let z = graph.add("z", Linear::new(3, columns, Activation::Identity), &[x]).unwrap();
    let mut parts = vec![graph.add("centers", op.clone(), &[z]).unwrap()];
    if twice {
        let again = Linear::new(columns, 1, Activation::Tanh);
        parts.push(graph.add("again", again, &[z]).unwrap());
    }
    let loss = graph.add("sum", Add, &parts).unwrap();
    (graph, loss, vec![x])
}

fn op(classes: usize, [weight, distance_weight, margin]: [f64; 3]) -> CenterLoss {
    let shares: Vec<f64> = (0..classes).map(|j| 0.01 + 0.1 * (j % 5) as f64).collect();
    let scales = CenterLoss::scales(weight, distance_weight, &shares, 8);
    let (map, classes) = (MapId(0), SpaceId(1));
    CenterLoss { map, classes, weight, distance_weight, margin, rate: 0.5, scales }
}

#[test]
fn derivative() {
    // The numbers of made-up classes are 1, 11, 21 and 31: of 12 classes, two are none.
    let cases = [(32, [0.8, 0.0, 0.0]), (32, [0.3, 2.0, 3.0]), (12, [0.0, 5.0, 2.0]), (1, [0.4, 1.0, 1.0])];
    for (classes, weights) in cases {
        for (columns, twice) in [(3, false), (2, true), (1, false)] {
            let (graph, loss, fed) = network(&op(classes, weights), columns, twice);
            check_network(graph, loss, &fed, &[7, 4]);
        }
    }
}

/// One row of class 1 and two of class 2, of one column: where centers are, and where a step of descent
/// moves them.
fn a_step(op: &CenterLoss, centers: [f64; 3], z: [f64; 3]) -> [f64; 3] {
    let mut graph = Graph::new();
    let (pairs, classes) = (graph.space("pairs"), graph.space("classes"));
    graph.map(pairs, classes);
    let x = graph.input(pairs, 1);
    let loss = graph.add("c", op.clone(), &[x]).unwrap();
    let mut parameters = Parameters::<f64>::zeros(&graph).unwrap();
    let mut plan = CpuPlan::<f64>::new(Arc::new(graph), Purpose::Train, loss, &[], &[3, 2]).unwrap();
    let rows = plan.rows_mut();
    rows.count.copy_from_slice(&[3, 2]);
    rows.number = vec![vec![0, 1, 2], vec![1, 2]];
    rows.maps[0].index = vec![0, 1, 1];
    rows.maps[0].invert(2);
    plan.input_mut(x).unwrap().0.copy_from_slice(&z);
    let held = parameters.values_mut().iter_mut().zip(centers).zip(&op.scales);
    held.for_each(|((held, center), scale)| *held = center / scale);
    let mut gradients = plan.gradients().unwrap();
    let step = Step { seed: 0, number: 0 };
    plan.forward(&parameters, step);
    plan.backward(&parameters, &mut gradients, 1.0 / 3.0, step, &mut |_, _| ());
    std::array::from_fn(|j| op.scales[j] * (parameters.values()[j] - op.rate * gradients.of(0)[j]))
}

#[test]
fn a_step_of_descent_is_the_update_of_wen_with_the_expected_number_of_rows() {
    let (weight, rate, batch) = (0.2, 0.4, 3);
    let shares = [0.5, 0.2, 0.3];
    let scales = CenterLoss::scales(weight, 0.0, &shares, batch);
    let op = CenterLoss { weight, rate, scales, ..op(3, [weight, 0.0, 0.0]) };
    let got = a_step(&op, [7.0, 1.0, -2.0], [3.0, 0.5, -1.0]);
    let expected = [7.0, 1.0 + rate * 2.0 / 1.6, -2.0 + rate * (2.5 + 1.0) / 1.9];
    assert!(got.iter().zip(expected).all(|(got, e)| (got - e).abs() < 1e-12), "{got:?}, not {expected:?}");
}

#[test]
fn the_center_of_a_rare_class_is_not_flung_beyond_the_margin() {
    let (weight, distance_weight, margin) = (1e-3, 1.0, 5.0);
    let scales = CenterLoss::scales(weight, distance_weight, &[1e-6, 0.5, 0.5], 1000);
    let op = CenterLoss { rate: 1.0, scales, ..op(3, [weight, distance_weight, margin]) };
    let moved = a_step(&op, [0.2, -0.1, 0.1], [-0.1, 0.1, 0.1]);
    let widest = moved.iter().map(|c| c.abs()).fold(0.0, f64::max);
    assert!(widest > 2.0 && widest < 1.1 * margin, "{moved:?}");
}

#[test]
fn kernels_at_shapes_that_cross_their_tiles() {
    let cases = [(41, 70, 300, 4), (400, 33, 9, 40), (2, 261, 65, 1), (12, 64, 300, 2)];
    for (classes, columns, rows, of_batch) in cases {
        let op = op(classes, [0.3, 2.0, 9.0]);
        let (graph, loss, fed) = network(&op, columns, true);
        let rows = [rows, of_batch];
        check_cuda(&Arc::new(graph), loss, &fed, &rows, &rows, Held::Each);
    }
}
