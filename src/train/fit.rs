use super::early_stop::EarlyStop;
use super::lane_sum::LaneSum;
use super::optimizer::Optimizer;
use super::schedule::learning_rate;
use super::{Scorer, TrainSpec};
use crate::batch::{Assembler, Examples, Lanes, shuffle};
use crate::comm::{Communicator, TreeSum, agree};
use crate::device::sum;
use crate::feature::Features;
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::model::PairNetwork;
use crate::op::Step;
use crate::report::history::Epoch;
use crate::{Error, Result};
use std::ops::Range;
use std::time::Instant;

/// What this rank trains on.
pub struct Problem<'a> {
    /// What is trained on, for messages.
    pub name: String,
    /// The network.
    pub network: &'a PairNetwork,
    /// Scaled features of the drugs.
    pub drugs: &'a Features,
    /// Scaled features of the samples.
    pub samples: &'a Features,
    /// The cut of all training pairs.
    pub lanes: Lanes,
    /// The lanes of this rank.
    pub own: Range<usize>,
    /// Training pairs, one entry a lane of this rank.
    pub train: &'a [Examples],
    /// Validation pairs, cut the same way.
    pub validation: &'a [Examples],
    /// Standard deviation of the endpoint, to give losses in its units.
    pub deviation: f64,
}

/// A finished training.
pub struct Fitted {
    /// Parameters of the best epoch.
    pub parameters: Parameters<f32>,
    /// From one.
    pub best_epoch: usize,
    /// Every epoch.
    pub history: Vec<Epoch>,
}

/// Is told how a training goes.
pub trait Observer {
    /// After every step.
    fn step(&mut self) {}
    /// After every epoch, with the best epoch so far.
    fn epoch(&mut self, _record: &Epoch, _best: usize) {}
}

/// Sums of one lane over an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct LaneTotals {
    train_loss: f64,
    pairs: f64,
    squared_error: f64,
    truth: f64,
    truth_squared: f64,
}

/// Trains on all ranks of `comm`. Every rank ends with the same parameters,
/// which is checked every epoch. With a fixed number of lanes the result does
/// not depend on the number of ranks.
pub fn fit(
    problem: &Problem<'_>,
    spec: &TrainSpec,
    seed: u64,
    comm: &dyn Communicator,
    observer: &mut dyn Observer,
) -> Result<Fitted> {
    let network = problem.network;
    let most = problem.lanes.most_in_step();
    let capacity =
        network.ports.capacity(most, problem.drugs.rows().min(most), problem.samples.rows().min(most));
    let mut plan = CpuPlan::<f32>::new(network.graph.clone(), Purpose::Train, network.loss, &capacity)?;
    let mut assembler = Assembler::new(network.ports, problem.drugs, problem.samples);
    let mut scorer = Scorer::new(network, problem.drugs, problem.samples)?;
    let mut parameters = Parameters::<f32>::start(&network.graph, seed);
    let mut optimizer = Optimizer::new(spec, &parameters);
    let mut lane_sum = LaneSum::new(&parameters, problem.own.len());
    let mut tree_sum = TreeSum::default();
    let mut orders: Vec<Vec<u32>> = problem.train.iter().map(|lane| vec![0; lane.len()]).collect();
    let mut predicted = Vec::new();
    let mut stop = EarlyStop::new(spec.patience);
    let mut best = parameters.clone();
    let mut history: Vec<Epoch> = Vec::new();
    let steps = problem.lanes.steps();

    for epoch in 0..spec.epochs {
        let started = Instant::now();
        let mut totals = vec![LaneTotals::default(); problem.own.len()];
        for (order, lane) in orders.iter_mut().zip(problem.own.clone()) {
            shuffle(order, seed, epoch as u32, lane as u32);
        }
        let mut rate = 0.0;
        for at in 0..steps {
            let number = (epoch * steps + at) as u64;
            let step = Step { seed, number, training: true };
            let scale = 1.0 / problem.lanes.rows_in_step(at) as f32;
            for (local, lane) in problem.own.clone().enumerate() {
                let rows = &orders[local][problem.lanes.step(lane, at)];
                assembler.feed(&mut plan, &problem.train[local], rows);
                plan.forward(&parameters, step);
                totals[local].train_loss += sum(plan.output());
                plan.backward(&parameters, lane_sum.next(), scale, step);
                lane_sum.taken();
            }
            let gradients = lane_sum.finish();
            tree_sum.all_reduce(comm, gradients.values_mut());
            rate = learning_rate(spec, number, steps);
            optimizer.step(&mut parameters, gradients, rate);
            observer.step();
        }
        for (totals, lane) in totals.iter_mut().zip(problem.validation) {
            scorer.predict(&parameters, lane, &mut predicted);
            for (&truth, &predicted) in lane.truth.iter().zip(&predicted) {
                let (truth, predicted) = (f64::from(truth), f64::from(predicted));
                totals.pairs += 1.0;
                totals.squared_error += (truth - predicted).powi(2);
                totals.truth += truth;
                totals.truth_squared += truth * truth;
            }
        }
        let all = share(comm, &totals, &parameters)?;
        let record = Epoch {
            epoch: epoch as u32 + 1,
            step: ((epoch + 1) * steps) as u64,
            learning_rate: rate,
            train_loss: all.train_loss / problem.lanes.total() as f64 * problem.deviation.powi(2),
            val_loss: all.squared_error / all.pairs * problem.deviation.powi(2),
            val_r2: 1.0 - all.squared_error / (all.truth_squared - all.truth * all.truth / all.pairs),
            seconds: started.elapsed().as_secs_f64(),
        };
        if !record.train_loss.is_finite() || !record.val_loss.is_finite() {
            let what = format!(
                "{}: the loss is not finite in epoch {}: lower train.learning_rate ({})",
                problem.name, record.epoch, spec.learning_rate
            );
            return agree(comm, Err(Error::Training(what)));
        }
        history.push(record);
        if stop.improved(record.val_loss) {
            best.values_mut().copy_from_slice(parameters.values());
        }
        observer.epoch(&record, stop.best_epoch());
        if stop.exhausted() {
            break;
        }
    }
    Ok(Fitted { parameters: best, best_epoch: stop.best_epoch(), history })
}

/// Adds up the lanes of all ranks, in the order of lanes, after checking that
/// every rank holds the same parameters.
fn share(comm: &dyn Communicator, totals: &[LaneTotals], parameters: &Parameters<f32>) -> Result<LaneTotals> {
    let sum = crc32fast::hash(bytemuck::cast_slice(parameters.values()));
    let mut message = sum.to_ne_bytes().to_vec();
    message.extend_from_slice(bytemuck::cast_slice(totals));
    let all = comm.all_gather(&message);
    if let Some(rank) = all.iter().position(|m| m[..4] != all[0][..4]) {
        let what = format!(
            "rank {rank} of the group holds other parameters than rank 0; are all ranks the same machine type and build?"
        );
        return agree(comm, Err(Error::Ranks(what)));
    }
    let mut whole = LaneTotals::default();
    for message in &all {
        for lane in message[4..].chunks_exact(size_of::<LaneTotals>()) {
            let lane: LaneTotals = bytemuck::pod_read_unaligned(lane);
            whole.train_loss += lane.train_loss;
            whole.pairs += lane.pairs;
            whole.squared_error += lane.squared_error;
            whole.truth += lane.truth;
            whole.truth_squared += lane.truth_squared;
        }
    }
    Ok(whole)
}
