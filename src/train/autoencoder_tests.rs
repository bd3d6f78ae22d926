//! Trainings of autoencoders on made-up rows: centers that collapse and centers that do not, the
//! subspace of the first principal components, and what a device makes of it.

use super::{Asks, Problem, TrainSpec, Trainer};
use crate::batch::{Examples, Lanes};
use crate::comm::Serial;
use crate::device::Device;
use crate::device::cuda::HostDriver;
use crate::feature::{Features, ScaledFeatures};
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::metric::Epoch;
use crate::model::{Autoencoder, AutoencoderNetwork, CenterDistanceSpec, CenterLossSpec};
use crate::op::{Activation, CenterLoss, Step};
use crate::store::Entity;
use std::rc::Rc;

/// Made-up rows, each of a class.
struct Rows {
    columns: usize,
    values: Vec<f32>,
    classes: Vec<u32>,
    /// Number of classes.
    of: usize,
}

impl Rows {
    fn len(&self) -> usize {
        self.classes.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    fn shares(&self) -> Vec<f64> {
        let own = |class: usize| self.classes.iter().filter(|&&c| c as usize == class).count();
        (0..self.of).map(|class| own(class) as f64 / self.len() as f64).collect()
    }

    /// As pairs of class and sample, each with its mean square for truth.
    fn pairs(&self) -> Examples {
        let square = |row| self.row(row).iter().map(|v| v * v).sum::<f32>() / self.columns as f32;
        let numbers: Vec<u32> = (0..self.len() as u32).collect();
        Examples {
            drug: self.classes.clone(),
            sample: numbers.clone(),
            dose: Vec::new(),
            truth: (0..self.len()).map(square).collect(),
            number: numbers,
        }
    }
}

/// A number from -1 to 1 that looks random.
fn noise(i: usize) -> f32 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    (2.0 * (x - x.floor()) - 1.0) as f32
}

/// What a training leaves.
struct Trained {
    history: Vec<Epoch>,
    parameters: Parameters<f32>,
    /// `[rows, d]`.
    latent: Vec<f32>,
}

impl Trained {
    fn of(&self, name: &str) -> &[f32] {
        let place = self.parameters.layout().iter().find(|p| p.name == name).unwrap();
        &self.parameters.values()[place.range.clone()]
    }
}

/// Trains on all rows, which validate too.
fn train(model: &Autoencoder, rows: &Rows, spec: &TrainSpec, device: &Device) -> Trained {
    let AutoencoderNetwork { network, latent, .. } =
        model.build(rows.columns, &rows.shares(), spec.batch).unwrap();
    let features = |entity, columns, values: Vec<f32>| {
        let features = Features::of_all(entity, columns, values, false).unwrap();
        ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); columns], f32::MAX)
    };
    let features = [
        features(Entity::Drug, 1, vec![0.0; rows.of]),
        features(Entity::Sample, rows.columns, rows.values.clone()),
    ];
    let entities = [rows.of, rows.len()].map(|n| (0..n as u32).collect::<Vec<u32>>());
    let pairs = [rows.pairs()];
    let problem = Problem {
        name: "check".into(),
        network: &network,
        features: &features,
        lanes: Lanes::new(rows.len(), 1, spec.batch).unwrap(),
        own: 0..1,
        train: &pairs,
        validation: &pairs,
        validation_entities: [&entities[0], &entities[1]],
        deviation: 1.0,
        device,
    };
    let mut training = Trainer::new(&problem, spec, 5, &Serial).unwrap();
    let mut history = Vec::new();
    for _ in 0..spec.epochs {
        training.begin_epoch().unwrap();
        for at in 0..problem.lanes.steps() {
            training.step(at, Asks::default()).unwrap();
        }
        history.push(training.finish_epoch().unwrap());
    }
    let parameters = training.parameters().unwrap().clone();
    let mut plan =
        CpuPlan::<f32>::new(network.graph.clone(), Purpose::Score, latent, &[], &[0, 0, rows.len()]).unwrap();
    plan.rows_mut().count[network.ports.entities[1].space.0] = rows.len();
    let crate::batch::FeaturePort::Values(x) = network.ports.entities[1].features else { unreachable!() };
    plan.input_mut(x).unwrap().0.copy_from_slice(&rows.values);
    plan.forward(&parameters, Step { seed: 0, number: 0 });
    Trained { history, latent: plan.output().to_vec(), parameters }
}

/// Three clouds of points in six dimensions, of 20, 30 and 40, their middles each two from zero in two dimensions.
fn clouds() -> Rows {
    let (columns, of) = (6, 3);
    let classes: Vec<u32> = (0..90).map(|row| if row < 20 { 0 } else { 1 + u32::from(row >= 50) }).collect();
    let middle = |class: u32, column: usize| if column / 2 == class as usize { 2.0 } else { 0.0 };
    let value = |i: usize| middle(classes[i / columns], i % columns) + noise(i);
    Rows { columns, values: (0..90 * columns).map(value).collect(), of, classes }
}

fn distances(points: &[Vec<f64>]) -> Vec<f64> {
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let pairs = (0..points.len()).flat_map(|j| (j + 1..points.len()).map(move |k| (j, k)));
    pairs.map(|(j, k)| apart(&points[j], &points[k])).collect()
}

/// Distances between the centers, and between the classes' mean latent rows, after a training that only moves
/// latent rows and centers.
fn distances_after(center_distance: Option<CenterDistanceSpec>) -> [Vec<f64>; 2] {
    const LATENT: usize = 4;
    let (rows, weight) = (clouds(), 1.0);
    let model = Autoencoder {
        layers: vec![LATENT],
        noise: 0.0,
        reconstruction_weight: 0.0,
        center_loss: Some(CenterLossSpec { weight, rate: 0.5 }),
        center_distance,
        ..Autoencoder::default()
    };
    let spec = TrainSpec {
        batch: 30,
        epochs: 200,
        learning_rate: 0.03,
        warmup_epochs: 0.0,
        weight_decay: 0.0,
        ..TrainSpec::default()
    };
    let trained = train(&model, &rows, &spec, &Device::Cpu);
    let apart = center_distance.map_or(0.0, |apart| apart.weight);
    let scales = CenterLoss::scales(weight, apart, &rows.shares(), spec.batch);
    let centers = trained.of("centers.centers").chunks_exact(LATENT).zip(scales);
    let centers = centers.map(|(row, scale)| row.iter().map(|&v| scale * f64::from(v)).collect());
    let means = (0..rows.of as u32).map(|class| {
        let own = trained.latent.chunks_exact(LATENT).zip(&rows.classes).filter(|(_, c)| **c == class);
        let own: Vec<&[f32]> = own.map(|(row, _)| row).collect();
        let mean =
            |column: usize| own.iter().map(|row| f64::from(row[column])).sum::<f64>() / own.len() as f64;
        (0..LATENT).map(mean).collect()
    });
    [distances(&centers.collect::<Vec<_>>()), distances(&means.collect::<Vec<_>>())]
}

#[test]
fn center_loss_alone_collapses_and_center_distance_holds_centers_at_the_margin() {
    let [centers, means] = distances_after(None);
    assert!(centers.iter().chain(&means).all(|&d| d < 0.05), "centers {centers:?}, rows {means:?}");
    let margin = 5.0;
    let [centers, means] = distances_after(Some(CenterDistanceSpec { weight: 1.0, margin }));
    let near = |d: &f64| (0.75 * margin..1.25 * margin).contains(d);
    assert!(centers.iter().chain(&means).all(near), "centers {centers:?}, rows {means:?}");
}

/// Rows of rank three and a little noise.
fn low_rank() -> Rows {
    let (columns, n) = (8, 60);
    let axis = |k: usize, column: usize| noise(5000 + k * columns + column);
    let value = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let along = [3.0, 2.0, 0.5].iter().enumerate();
        along.map(|(k, wide)| wide * noise(100 * k + row) * axis(k, column)).sum::<f32>() + 0.05 * noise(i)
    };
    let mut values: Vec<f32> = (0..n * columns).map(value).collect();
    for column in 0..columns {
        let mean = values.iter().skip(column).step_by(columns).sum::<f32>() / n as f32;
        values.iter_mut().skip(column).step_by(columns).for_each(|v| *v -= mean);
    }
    Rows { columns, values, classes: vec![0; n], of: 1 }
}

/// Makes vectors orthonormal, each by those before it.
fn orthonormal(mut vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for k in 0..vectors.len() {
        for j in 0..k {
            let along: f64 = vectors[k].iter().zip(&vectors[j]).map(|(a, b)| a * b).sum();
            let before = vectors[j].clone();
            vectors[k].iter_mut().zip(before).for_each(|(a, b)| *a -= along * b);
        }
        let norm = vectors[k].iter().map(|v| v * v).sum::<f64>().sqrt();
        vectors[k].iter_mut().for_each(|v| *v /= norm);
    }
    vectors
}

/// The first `count` principal axes of rows whose columns have mean zero, by orthogonal iteration, and the part of
/// the variance along them.
fn principal_axes(rows: &Rows, count: usize) -> (Vec<Vec<f64>>, f64) {
    let columns = rows.columns;
    let covariance = |i: usize, j: usize| {
        (0..rows.len()).map(|r| f64::from(rows.row(r)[i]) * f64::from(rows.row(r)[j])).sum::<f64>()
    };
    let covariance: Vec<Vec<f64>> =
        (0..columns).map(|i| (0..columns).map(|j| covariance(i, j)).collect()).collect();
    let times = |v: &Vec<f64>| -> Vec<f64> {
        covariance.iter().map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
    };
    let start = |k: usize| (0..columns).map(|c| f64::from(noise(9000 + k * columns + c))).collect();
    let mut axes = orthonormal((0..count).map(start).collect());
    for _ in 0..500 {
        axes = orthonormal(axes.iter().map(times).collect());
    }
    let along: f64 =
        axes.iter().map(|axis| times(axis).iter().zip(axis).map(|(a, b)| a * b).sum::<f64>()).sum();
    let all: f64 = (0..columns).map(|i| covariance[i][i]).sum();
    (axes, along / all)
}

#[test]
fn a_linear_autoencoder_finds_the_subspace_of_the_first_principal_components() {
    const LATENT: usize = 2;
    let rows = low_rank();
    let model = Autoencoder {
        layers: vec![LATENT],
        activation: Activation::Identity,
        noise: 0.0,
        ..Autoencoder::default()
    };
    let spec = TrainSpec {
        batch: 60,
        epochs: 1500,
        learning_rate: 0.02,
        warmup_epochs: 0.0,
        weight_decay: 0.0,
        ..TrainSpec::default()
    };
    let trained = train(&model, &rows, &spec, &Device::Cpu);
    let (axes, variance) = principal_axes(&rows, LATENT);
    // `[columns, d]`: its columns span what can be reconstructed.
    let decoder = trained.of("decoder.0.weight");
    let column = |k: usize| decoder.iter().skip(k).step_by(LATENT).map(|&v| f64::from(v)).collect();
    let found = orthonormal((0..LATENT).map(column).collect());
    // The sine of the largest principal angle is at most the root of what is left of the axes found.
    let left: f64 = found
        .iter()
        .map(|vector| {
            let along = |axis: &Vec<f64>| axis.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>().powi(2);
            1.0 - axes.iter().map(along).sum::<f64>()
        })
        .sum();
    assert!(left.max(0.0).sqrt() < 0.02, "an angle of {:.4} rad", left.max(0.0).sqrt().asin());
    let r2 = trained.history.last().unwrap().val_r2;
    assert!((r2 - variance).abs() < 1e-3 && variance < 0.999, "R2 {r2}, of the components {variance}");
}

#[test]
fn a_device_trains_an_autoencoder_as_processors_do() {
    let rows = clouds();
    let model = Autoencoder {
        layers: vec![7, 3],
        tied: true,
        noise: 0.2,
        dropout: 0.1,
        reconstruction_weight: 0.7,
        center_loss: Some(CenterLossSpec { weight: 0.3, rate: 0.5 }),
        center_distance: Some(CenterDistanceSpec { weight: 0.5, margin: 3.0 }),
        ..Autoencoder::default()
    };
    let spec =
        TrainSpec { batch: 30, epochs: 3, learning_rate: 0.01, warmup_epochs: 0.0, ..TrainSpec::default() };
    let expected = train(&model, &rows, &spec, &Device::Cpu);
    let got = train(&model, &rows, &spec, &Device::Cuda(HostDriver::stream()));
    for (got, expected) in got.history.iter().zip(&expected.history) {
        let close = |got: f64, expected: f64| (got - expected).abs() <= 1e-4 * expected.abs();
        assert!(close(got.train_loss, expected.train_loss), "{got:?} {expected:?}");
        assert!(close(got.val_loss, expected.val_loss), "{got:?} {expected:?}");
        assert!((got.val_r2 - expected.val_r2).abs() < 1e-4, "{got:?} {expected:?}");
    }
    assert!(expected.history[2].val_loss < expected.history[0].val_loss);
    let apart = |(a, b): (&f32, &f32)| (a - b).abs();
    let apart = got.latent.iter().zip(&expected.latent).map(apart).fold(0.0, f32::max);
    assert!(apart < 0.02, "latent rows {apart} apart");
}
