use super::Outcome;
use crate::Result;
use crate::batch::{BatchComparison, Examples, Lanes};
use crate::comm::Serial;
use crate::device::Device;
use crate::device::cuda::{Precision, Stream};
use crate::feature::{Features, ScaledFeatures};
use crate::graph::compare::value;
use crate::model::{
    Autoencoder, CenterDistanceSpec, CenterLossSpec, InputWidths, Loss, ModelSpec, PairNetwork, TwoTower,
};
use crate::op::Activation;
use crate::store::Entity;
use crate::train::{Asks, OptimizerKind, Problem, TrainSpec, Trainer};
use std::rc::Rc;

const PAIRS: usize = 640;
const STEPS: usize = 10;
const ENTITIES: [usize; 2] = [41, 11];
const COLUMNS: [usize; 2] = [37, 21];
const SEED: u64 = 5;

/// What is trained.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Two towers with all there is between layers.
    Towers,
    /// No drug tower, but bits.
    Bits,
    /// A tied autoencoder with centers, which move at a rate of their own; drugs stand for classes.
    Autoencoder,
}

/// Made-up data, and a network for them.
struct MadeUp {
    network: PairNetwork,
    features: [ScaledFeatures; 2],
    lanes: Lanes,
    train: Vec<Examples>,
    entities: [Vec<u32>; 2],
}

/// What a training came to.
struct Run {
    /// Mean of each step, then of the validation pairs.
    losses: Vec<f64>,
    weights: Vec<f32>,
}

/// Batches to the bit; losses of ten steps beside those of the processors; and the same bits however often the
/// steps are taken, recorded or launched kernel by kernel.
pub(super) fn check(
    stream: &Stream,
    precisions: &[Precision],
    tell: &mut dyn FnMut(&Outcome) -> Result<()>,
) -> Result<()> {
    let cases = [
        ("one lane", Kind::Towers, 1),
        ("two lanes, bits", Kind::Bits, 2),
        ("two lanes, autoencoder", Kind::Autoencoder, 2),
    ];
    for (name, kind, lanes) in cases {
        let made_up = MadeUp::new(kind, lanes)?;
        let expected = made_up.run(&Device::Cpu, Precision::Fp32, true)?;
        for &precision in precisions {
            let case = |what: &str| format!("{what}, {name}");
            // Processors do not know another storage, so tf32 has no batches of its own.
            if precision != Precision::Tf32 {
                let found = made_up.batches(stream, precision);
                tell(&Outcome::new(case("batches of two epochs"), precision, 0.0, found))?;
            }
            let run = |stream: &Stream, look| made_up.run(&Device::Cuda(stream.clone()), precision, look);
            let first = run(stream, true);
            let losses = first.as_ref().map(|first| (expected.apart(first), "losses".into()));
            let losses = losses.map_err(|error| crate::Error::Device(error.to_string()));
            tell(&Outcome::new(case("ten steps of Adam"), precision, allowed(precision), losses))?;
            let Ok(first) = first else { continue };
            let again = run(stream, false).map(|again| first.bits_apart(&again));
            tell(&Outcome::new(case("the same steps again"), precision, 0.0, again))?;
            let single = run(&stream.unrecorded(), false).map(|single| first.bits_apart(&single));
            tell(&Outcome::new(case("the same, kernel by kernel"), precision, 0.0, single))?;
        }
    }
    Ok(())
}

/// How far losses may be apart, as a part of the largest. Adam divides a gradient by its own size, so where one
/// is near zero, rounding becomes a step of up to the learning rate, in either direction: a part of them, of weights
/// that matter least.
fn allowed(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 1e-4,
        Precision::Tf32 => 1e-2,
        Precision::Bf16 => 3e-2,
    }
}

impl MadeUp {
    fn new(kind: Kind, lanes: usize) -> Result<Self> {
        let bits = kind == Kind::Bits;
        let lanes = Lanes::new(PAIRS, lanes, PAIRS / STEPS)?;
        let spec = TwoTower {
            drug_tower: if bits { vec![] } else { vec![40, 24] },
            sample_tower: vec![24],
            head: vec![24, 16],
            activation: Activation::Relu,
            dropout: 0.1,
            layer_norm: !bits,
            residual: true,
            members: 2,
        };
        let autoencoder = Autoencoder {
            layers: vec![24, 8],
            tied: true,
            center_loss: Some(CenterLossSpec::default()),
            center_distance: Some(CenterDistanceSpec::default()),
            ..Autoencoder::default()
        };
        let widths = InputWidths { drug: COLUMNS[0], sample: COLUMNS[1], dose: true, bits: [bits, false] };
        let features = |entity: Entity| -> Result<ScaledFeatures> {
            let of_class = kind == Kind::Autoencoder && entity == Entity::Drug;
            let (rows, columns) =
                (ENTITIES[entity as usize], if of_class { 1 } else { COLUMNS[entity as usize] });
            let bits = bits && entity == Entity::Drug;
            let of = |i: usize| {
                let value = value(i + 5000 * entity as usize) as f32;
                if bits { f32::from(u8::from(value > 0.4)) } else { value }
            };
            let values = (0..rows * columns).map(of).collect();
            let features = Features::of_all(entity, columns, values, bits)?;
            Ok(ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); columns], f32::MAX))
        };
        let of_lane = |lane: usize| {
            let mut examples = Examples::default();
            for number in (0..PAIRS).filter(|number| number % lanes.count() == lane) {
                examples.drug.push((number * number % ENTITIES[0]) as u32);
                examples.sample.push((number * 3 % ENTITIES[1]) as u32);
                if kind != Kind::Autoencoder {
                    examples.dose.push(value(number + 20_000) as f32);
                }
                examples.truth.push((number as f32 * 0.9).cos());
                examples.number.push(number as u32);
            }
            examples
        };
        Ok(Self {
            network: match kind {
                Kind::Towers | Kind::Bits => ModelSpec::TwoTower(spec).build(widths, Loss::Mse)?,
                Kind::Autoencoder => {
                    let shares = [1.0 / ENTITIES[0] as f64; ENTITIES[0]];
                    autoencoder.build(COLUMNS[1], &shares, PAIRS / STEPS)?.network
                }
            },
            features: [features(Entity::Drug)?, features(Entity::Sample)?],
            train: (0..lanes.count()).map(of_lane).collect(),
            lanes,
            entities: ENTITIES.map(|n| (0..n as u32).collect()),
        })
    }

    /// How many batches are another than those of the processors, and what of the first.
    fn batches(&self, stream: &Stream, precision: Precision) -> Result<(f64, String)> {
        let comparison = BatchComparison {
            graph: &self.network.graph,
            loss: self.network.loss,
            ports: self.network.ports,
            features: &self.features,
            lanes: self.lanes,
            train: &self.train,
            first: 0,
            seed: SEED,
        };
        let compared = comparison.on(stream, precision)?;
        let remark = match compared.faults.first() {
            Some(fault) => fault.clone(),
            None => format!("{} batches", compared.batches),
        };
        Ok((compared.faults.len() as f64, remark))
    }

    /// Ten steps, and the validation pairs, which are those trained on. Where `look`, every step's loss is read.
    fn run(&self, device: &Device, precision: Precision, look: bool) -> Result<Run> {
        let problem = Problem {
            name: "check".into(),
            network: &self.network,
            features: &self.features,
            lanes: self.lanes,
            own: 0..self.lanes.count(),
            train: &self.train,
            validation: &self.train,
            validation_entities: self.entities.each_ref().map(Vec::as_slice),
            deviation: 1.0,
            device,
        };
        let spec = TrainSpec {
            batch: PAIRS / STEPS,
            optimizer: OptimizerKind::Adam,
            learning_rate: 3e-3,
            warmup_epochs: 0.0,
            precision,
            ..TrainSpec::default()
        };
        let mut training = Trainer::new(&problem, &spec, SEED, &Serial)?;
        training.begin_epoch()?;
        let (mut losses, mut before) = (Vec::new(), 0.0);
        for at in 0..STEPS {
            training.step(at, Asks::default())?;
            if look {
                let sum: f64 = training.snapshot()?.lane_losses.iter().sum();
                losses.push((sum - before) / spec.batch as f64);
                before = sum;
            }
        }
        let epoch = training.finish_epoch()?;
        losses.push(epoch.val_loss);
        Ok(Run { losses, weights: training.parameters()?.values().to_vec() })
    }
}

impl Run {
    /// The largest difference of two losses, as a part of the largest of these.
    fn apart(&self, other: &Self) -> f64 {
        let largest = self.losses.iter().fold(0.0, |most: f64, loss| most.max(loss.abs()));
        let apart = self.losses.iter().zip(&other.losses).map(|(a, b)| (a - b).abs() / largest);
        apart.fold(0.0, |most, one| if one.is_nan() { f64::INFINITY } else { most.max(one) })
    }

    /// How many weights have other bits, the loss of the validation pairs being one of them.
    fn bits_apart(&self, other: &Self) -> (f64, String) {
        let other_bits = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
        let weights = self.weights.iter().zip(&other.weights).filter(other_bits).count();
        let loss =
            self.losses.last().map(|loss| loss.to_bits()) != other.losses.last().map(|loss| loss.to_bits());
        ((weights + usize::from(loss)) as f64, "number of weights".into())
    }
}
