//! Trainings over ranks that are threads, with several buckets of gradients.

use super::{Asks, OptimizerKind, Problem, Progress, State, TrainSpec, Trainer};
use crate::batch::{EntityPort, Examples, FeaturePort, Lanes, Ports};
use crate::comm::{Communicator, Serial, threads::on_ranks};
use crate::device::Device;
use crate::device::cuda::HostDriver;
use crate::feature::{Features, ScaledFeatures};
use crate::graph::Graph;
use crate::model::{InputWidths, Loss, ModelSpec, PairNetwork, TwoTower, Validation};
use crate::op::{Activation, Gather, Linear, Rule, SquaredError, TiedLinear};
use crate::store::Entity;
use std::rc::Rc;

const DRUGS: u32 = 5;
const SAMPLES: u32 = 7;
const COLUMNS: usize = 9;
const LANES: usize = 4;
const PAIRS: usize = 48;
const STEPS: usize = 3;

fn network() -> PairNetwork {
    let (drug_tower, sample_tower) = (vec![16, 8], vec![12]);
    let spec = TwoTower { drug_tower, sample_tower, head: vec![10, 6], dropout: 0.1, ..TwoTower::default() };
    let widths = InputWidths { drug: COLUMNS, sample: COLUMNS, dose: false, bits: [false; 2] };
    ModelSpec::TwoTower(spec).build(widths, Loss::Mse).unwrap()
}

fn features() -> [ScaledFeatures; 2] {
    [(Entity::Drug, DRUGS), (Entity::Sample, SAMPLES)].map(|(entity, rows)| {
        let values = (0..rows as usize * COLUMNS).map(|i| (i as f32 * 1.7).sin()).collect();
        let features = Features::of_all(entity, COLUMNS, values, false).unwrap();
        ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); COLUMNS], f32::MAX)
    })
}

fn pair(number: u32) -> (u32, u32, f32) {
    (number % DRUGS, number * 3 % SAMPLES, (number as f32 * 0.9).cos())
}

/// The pairs of a lane.
fn lane(lane: usize, pair: impl Fn(u32) -> (u32, u32, f32)) -> Examples {
    let mut examples = Examples::default();
    for number in (0..PAIRS as u32).filter(|n| *n as usize % LANES == lane) {
        let (drug, sample, truth) = pair(number);
        examples.drug.push(drug);
        examples.sample.push(sample);
        examples.truth.push(truth);
        examples.number.push(number);
    }
    examples
}

fn spec() -> TrainSpec {
    TrainSpec { batch: PAIRS / STEPS, learning_rate: 0.01, warmup_epochs: 0.0, ..TrainSpec::default() }
}

/// Opens what a rank computes on.
type Open = fn() -> Device;

const CPU: Open = || Device::Cpu;
/// A CUDA device whose kernels run on the host.
const CUDA: Open = || Device::Cuda(HostDriver::stream());

/// [`train`] of the network of this module.
fn with_trainer<R>(
    open: Open,
    comm: &dyn Communicator,
    spec: &TrainSpec,
    pair_of: impl Fn(u32) -> (u32, u32, f32),
    work: impl FnOnce(&mut Trainer<'_>) -> R,
) -> R {
    train(&network(), open, comm, spec, pair_of, work)
}

/// Runs `work` on a training of four lanes on this rank, its training pairs as given.
fn train<R>(
    network: &PairNetwork,
    open: Open,
    comm: &dyn Communicator,
    spec: &TrainSpec,
    pair_of: impl Fn(u32) -> (u32, u32, f32),
    work: impl FnOnce(&mut Trainer<'_>) -> R,
) -> R {
    let lanes = Lanes::new(PAIRS, LANES, spec.batch).unwrap();
    let own = lanes.of_rank(comm.rank(), comm.size()).unwrap();
    let train: Vec<Examples> = own.clone().map(|number| lane(number, &pair_of)).collect();
    let validation: Vec<Examples> = own.clone().map(|number| lane(number, pair)).collect();
    let entities = [DRUGS, SAMPLES].map(|n| (0..n).collect::<Vec<u32>>());
    let problem = Problem {
        name: "check".into(),
        network,
        features: &features(),
        lanes,
        own,
        train: &train,
        validation: &validation,
        validation_entities: [&entities[0], &entities[1]],
        deviation: 1.0,
        device: &open(),
    };
    work(&mut Trainer::new(&problem, spec, 5, comm).unwrap())
}

/// Two epochs: parameters and training losses.
fn two_epochs(training: &mut Trainer<'_>) -> (Vec<f32>, [f64; 2]) {
    let losses = [0, 1].map(|_| {
        training.begin_epoch().unwrap();
        (0..STEPS).for_each(|at| assert_eq!(training.step(at, Asks::default()).unwrap(), Asks::default()));
        training.finish_epoch().unwrap().train_loss
    });
    (training.parameters().unwrap().values().to_vec(), losses)
}

#[test]
fn ranks_that_send_buckets_end_with_the_bits_of_one_rank() {
    assert!(crate::graph::Gradients::<f32>::zeros(&network().graph).unwrap().buckets() > 3);
    let (adam, sgd) = (OptimizerKind::AdamW, OptimizerKind::Sgd);
    for (open, optimizer) in [(CPU, adam), (CPU, sgd), (CUDA, adam), (CUDA, sgd)] {
        let spec = TrainSpec { optimizer, ..spec() };
        let alone = with_trainer(open, &Serial, &spec, pair, two_epochs);
        assert!(alone.1[1] < alone.1[0], "nothing was learnt: {:?}", alone.1);
        for ranks in [2, 4] {
            for one in on_ranks(ranks, |comm| with_trainer(open, comm, &spec, pair, two_epochs)) {
                assert!(one == alone, "{optimizer:?} on {ranks} ranks");
            }
        }
    }
}

/// A sample goes through an encoder and back through its transpose; the last layer has a rate of its own, and
/// nothing reads drugs.
fn tied_network() -> PairNetwork {
    let mut graph = Graph::new();
    let [pairs, drugs, samples] = ["pairs", "drugs", "samples"].map(|name| graph.space(name));
    let entities = [drugs, samples].map(|space| {
        let (map, features) = (graph.map(pairs, space), graph.input(space, COLUMNS));
        EntityPort { space, map, features: FeaturePort::Values(features) }
    });
    let FeaturePort::Values(features) = entities[1].features else { unreachable!() };
    let latent = graph.add("encoder", Linear::new(COLUMNS, 5, Activation::Tanh), &[features]).unwrap();
    let decoder = TiedLinear::new(COLUMNS, Activation::Identity);
    let again = graph.add_tied("decoder", decoder, &[latent], latent).unwrap();
    let gathered = graph.add("gather", Gather { map: entities[1].map }, &[again]).unwrap();
    let out = Linear::new(COLUMNS, 1, Activation::Identity);
    let prediction = graph.add("out", out, &[gathered]).unwrap();
    graph.set_rule("out.weight", Rule::Descent { rate: 0.02 });
    let truth = graph.input(pairs, 1);
    let loss = graph.add("loss", SquaredError, &[prediction, truth]).unwrap();
    let ports = Ports { pairs, entities, dose: None, truth };
    PairNetwork {
        graph: graph.into(),
        ports,
        prediction,
        loss,
        validation: Validation::SquaredError,
        fitted: None,
    }
}

#[test]
fn a_shared_weight_is_trained_to_the_same_bits_on_any_ranks_and_a_device_follows() {
    let network = tied_network();
    let layout = crate::graph::Parameters::<f32>::zeros(&network.graph).unwrap();
    let names: Vec<&str> = layout.layout().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["encoder.weight", "encoder.bias", "decoder.bias", "out.weight", "out.bias"]);
    let alone = [CPU, CUDA].map(|open| {
        let alone = train(&network, open, &Serial, &spec(), pair, two_epochs);
        assert!(alone.1[1] < alone.1[0], "nothing was learnt: {:?}", alone.1);
        for ranks in [2, 4] {
            let on = |comm: &dyn Communicator| train(&tied_network(), open, comm, &spec(), pair, two_epochs);
            assert!(on_ranks(ranks, |comm| on(comm)).iter().all(|one| *one == alone), "{ranks} ranks");
        }
        alone
    });
    for (cpu, cuda) in alone[0].1.iter().zip(alone[1].1) {
        assert!((cpu - cuda).abs() <= 1e-5 * cpu, "losses {cpu} and {cuda}");
    }
}

#[test]
fn a_device_follows_the_loss_curve_of_processors() {
    for optimizer in [OptimizerKind::Adam, OptimizerKind::AdamW, OptimizerKind::Sgd] {
        let spec = TrainSpec { optimizer, weight_decay: 0.1, ..spec() };
        let curve = |open: Open| {
            with_trainer(open, &Serial, &spec, pair, |training| {
                let epochs = [(); 4].map(|()| {
                    training.begin_epoch().unwrap();
                    (0..STEPS).for_each(|at| _ = training.step(at, Asks::default()).unwrap());
                    training.finish_epoch().unwrap()
                });
                (epochs, training.parameters().unwrap().values().to_vec())
            })
        };
        let ((expected, weights), (got, on_device)) = (curve(CPU), curve(CUDA));
        for (got, expected) in got.iter().zip(&expected) {
            let close = |got: f64, expected: f64| (got - expected).abs() <= 1e-5 * expected.abs();
            assert!(close(got.train_loss, expected.train_loss), "{optimizer:?}: {got:?} {expected:?}");
            assert!(close(got.val_loss, expected.val_loss), "{optimizer:?}: {got:?} {expected:?}");
            assert_eq!((got.step, got.learning_rate), (expected.step, expected.learning_rate));
        }
        let apart = weights.iter().zip(&on_device).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Adam turns rounding of a gradient near zero into a step of its own size.
        assert!(apart < 2e-3, "{optimizer:?}: weights {apart} apart");
    }
}

#[test]
fn what_one_rank_asks_for_all_ranks_hear_at_that_step() {
    [CPU, CUDA].into_iter().for_each(what_one_rank);
}

fn what_one_rank(open: Open) {
    let heard = on_ranks(4, |comm| {
        with_trainer(open, comm, &spec(), pair, |training| {
            training.begin_epoch().unwrap();
            let asks = |at| Asks {
                stop: at == 1 && comm.rank() == 2,
                checkpoint: at == 1 && comm.rank() != 1 || at == 2 && comm.rank() == 0,
            };
            [0, 1, 2].map(|at| training.step(at, asks(at)).unwrap())
        })
    });
    let asks = |stop, checkpoint| Asks { stop, checkpoint };
    assert_eq!(heard, [[Asks::default(), asks(true, true), asks(false, true)]; 4]);
}

/// All pairs alike, but the truth of one is not a number.
fn poisoned(number: u32) -> (u32, u32, f32) {
    (1, 2, if number == 42 { f32::NAN } else { 0.5 })
}

#[test]
fn a_step_that_is_not_finite_is_skipped_on_all_ranks_and_not_counted() {
    [CPU, CUDA].into_iter().for_each(a_step_that);
}

fn a_step_that(open: Open) {
    // So slow that every pair's loss stays what it is: only skipped steps can change the mean.
    let spec = TrainSpec { learning_rate: 1e-30, weight_decay: 0.0, max_skipped_steps: 2, ..spec() };
    let run = |comm: &dyn Communicator, pair_of: fn(u32) -> (u32, u32, f32)| {
        with_trainer(open, comm, &spec, pair_of, |training| {
            let (_, losses) = two_epochs(training);
            (losses, training.skipped())
        })
    };
    let (clean, none) = run(&Serial, |_| (1, 2, 0.5));
    let (alone, skipped) = run(&Serial, poisoned);
    assert_eq!((none, skipped), (0, 2), "one step of each epoch");
    // Dropout is drawn a pair: the means differ by the pairs that were left out, not by their part of all,
    // which is a third.
    for (alone, clean) in alone.iter().zip(clean) {
        assert!((alone / clean - 1.0).abs() < 0.2, "{alone} where {clean} was expected");
    }
    assert_eq!(on_ranks(4, |comm| run(comm, poisoned)), [(alone, 2); 4]);
}

#[test]
fn a_skipped_step_leaves_weights_alone_and_those_after_it_go_on() {
    [CPU, CUDA].into_iter().for_each(a_skipped_step);
}

fn a_skipped_step(open: Open) {
    let moved = on_ranks(2, |comm| {
        with_trainer(open, comm, &spec(), poisoned, |training| {
            training.begin_epoch().unwrap();
            let step = |at| {
                let (before, skipped) =
                    (training.parameters().unwrap().values().to_vec(), training.skipped());
                training.step(at, Asks::default()).unwrap();
                let finite = training.parameters().unwrap().values().iter().all(|v| v.is_finite());
                assert!(finite, "weights are spoilt");
                (training.skipped() > skipped, before != training.parameters().unwrap().values())
            };
            [0, 1, 2].map(step)
        })
    });
    assert_eq!(moved[0], moved[1]);
    assert_eq!(moved[0].iter().filter(|(skipped, _)| *skipped).count(), 1);
    assert!(moved[0].iter().all(|(skipped, moved)| skipped != moved), "{moved:?}");
}

#[test]
fn too_many_skipped_steps_end_the_training_on_every_rank() {
    for (open, max_skipped_steps) in [(CPU, 0), (CPU, 3), (CUDA, 0), (CUDA, 3)] {
        let optimizer = OptimizerKind::Sgd;
        let spec = TrainSpec { learning_rate: 1e30, optimizer, max_skipped_steps, ..spec() };
        let steps = on_ranks(2, |comm| {
            with_trainer(open, comm, &spec, pair, |training| {
                training.begin_epoch().unwrap();
                let taken = (0..30).position(|at| training.step(at % STEPS, Asks::default()).is_err());
                (taken, training.skipped())
            })
        });
        // The first step is taken; its weights give no finite number any more. A device tells every few steps.
        if matches!(open(), Device::Cpu) {
            assert_eq!(steps, [(Some(max_skipped_steps + 1), max_skipped_steps + 1); 2]);
        } else {
            assert!(steps[0] == steps[1] && steps[0].0.is_some_and(|at| at <= 8), "{steps:?}");
            assert!(steps[0].1 > max_skipped_steps, "{steps:?}");
        }
    }
}

#[test]
fn a_training_restored_after_a_skipped_step_ends_as_the_one_that_went_on() {
    [(CPU, CPU), (CUDA, CUDA), (CPU, CUDA), (CUDA, CPU)].into_iter().for_each(a_training_restored);
}

/// Begun on one device and gone on with on the same or another: the state is of both.
fn a_training_restored((open, other): (Open, Open)) {
    let spec = TrainSpec { max_skipped_steps: 3, ..spec() };
    let end = |training: &mut Trainer<'_>| {
        training.step(2, Asks::default()).unwrap();
        let loss = training.finish_epoch().unwrap().train_loss;
        (training.skipped(), loss, training.parameters().unwrap().values().to_vec())
    };
    let (state, whole) = with_trainer(open, &Serial, &spec, poisoned, |training| {
        // The first epoch skips a step; of the second, two are taken.
        two_steps_of_the_second_epoch(training);
        let losses = |training: &mut Trainer<'_>| training.snapshot().unwrap().lane_losses;
        let lane_losses = losses(training);
        let snapshot = training.snapshot().unwrap();
        let weights = snapshot.parameters.clone();
        let kept = |values: &[f32]| {
            let mut copy = weights.zeros_like();
            copy.values_mut().copy_from_slice(values);
            copy
        };
        let memory = snapshot.memory.into_iter().map(kept).collect();
        let (optimizer_steps, counted) = (snapshot.optimizer_steps, snapshot.counted);
        let state = State {
            progress: Progress {
                lanes: LANES,
                epoch: training.epoch(),
                at: 2,
                optimizer_steps,
                skipped: training.skipped(),
                counted,
                seconds: 0.0,
            },
            history: Vec::new(),
            lane_losses,
            memory,
            best: weights.clone(),
            weights,
        };
        (state, end(training))
    });
    assert!(state.progress.skipped >= 1 && state.progress.counted >= PAIRS / STEPS);
    let restored = with_trainer(other, &Serial, &spec, poisoned, |training| {
        training.restore(&state).unwrap();
        training.begin_epoch().unwrap();
        end(training)
    });
    if std::mem::discriminant(&open()) == std::mem::discriminant(&other()) {
        assert!(restored == whole, "{:?} and {:?}", (restored.0, restored.1), (whole.0, whole.1));
    } else {
        assert!(restored.0 == whole.0 && (restored.1 / whole.1 - 1.0).abs() < 1e-5);
        let apart = restored.2.iter().zip(&whole.2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 2e-3, "weights {apart} apart");
    }
}

fn two_steps_of_the_second_epoch(training: &mut Trainer<'_>) {
    training.begin_epoch().unwrap();
    (0..STEPS).for_each(|at| assert_eq!(training.step(at, Asks::default()).unwrap(), Asks::default()));
    training.finish_epoch().unwrap();
    training.begin_epoch().unwrap();
    (0..2).for_each(|at| assert_eq!(training.step(at, Asks::default()).unwrap(), Asks::default()));
}
