use super::Drill;
use super::divergence::diverged;
use super::lane_sum::LaneSum;
use super::optimizer::Optimizer;
use super::reduction::Reduction;
use super::schedule::learning_rate;
use super::{Scorer, State, TrainSpec};
use crate::batch::{Assembler, Examples, Lanes, Shuffle};
use crate::comm::{Communicator, agree};
use crate::device::sum;
use crate::feature::ScaledFeatures;
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::metric::{Epoch, Moments};
use crate::model::PairNetwork;
use crate::op::Step;
use crate::status;
use crate::{Error, Result};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What this rank trains on.
pub struct Problem<'a> {
    /// What is trained on, for messages.
    pub name: String,
    /// The network.
    pub network: &'a PairNetwork,
    /// Features of the drugs, then of the samples.
    pub features: &'a [ScaledFeatures; 2],
    /// The cut of all training pairs.
    pub lanes: Lanes,
    /// The lanes of this rank.
    pub own: Range<usize>,
    /// Training pairs, one entry a lane of this rank.
    pub train: &'a [Examples],
    /// Validation pairs, cut the same way.
    pub validation: &'a [Examples],
    /// Drugs and samples of the validation pairs of all ranks, ascending.
    pub validation_entities: [&'a [u32]; 2],
    /// Standard deviation of the endpoint, to give losses in its units.
    pub deviation: f64,
}

/// What a rank asks of its group at the end of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    /// To stop here.
    pub stop: bool,
    /// To write a checkpoint.
    pub checkpoint: bool,
}

/// What one lane comes to over an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct LaneTotals {
    /// Sum of the training pairs' losses.
    train_loss: f64,
    /// Sum of the validation pairs' squared errors.
    squared_error: f64,
    /// Of the validation pairs' truths.
    truth: Moments,
}

/// A training under way on all ranks of a group. Every rank holds the same
/// parameters, which is checked every epoch. With a fixed number of lanes
/// nothing depends on the number of ranks.
pub struct Trainer<'a> {
    problem: &'a Problem<'a>,
    spec: &'a TrainSpec,
    seed: u64,
    comm: &'a dyn Communicator,
    plan: CpuPlan<f32>,
    assembler: Assembler,
    scorer: Scorer,
    parameters: Parameters<f32>,
    optimizer: Optimizer,
    lane_sum: LaneSum,
    reduction: Reduction<'a>,
    /// The order of each lane of this rank in the epoch under way.
    orders: Vec<Shuffle>,
    /// Rows of the lane at hand that a step takes.
    rows: Vec<u32>,
    /// Sums of the epoch under way, one a lane of this rank.
    totals: Vec<LaneTotals>,
    /// Training pairs of all lanes in them.
    counted: usize,
    /// Sums of the losses of the step under way, one a lane of this rank.
    losses: Vec<f64>,
    /// Steps skipped since the start.
    skipped: usize,
    /// Epochs finished.
    epoch: usize,
    spent: StepTimes,
}

/// Time that steps have taken outside the network.
#[derive(Debug, Clone, Copy, Default)]
struct StepTimes {
    /// Choosing pairs, their distinct entities and features.
    assembly: Duration,
    /// Sums of gradients over lanes, and waiting for their sums over ranks.
    all_reduce: Duration,
    /// Changing the parameters.
    optimizer: Duration,
}

impl<'a> Trainer<'a> {
    /// At the start: parameters drawn, buffers laid out. Fails if there is no memory for them.
    pub fn new(
        problem: &'a Problem<'a>,
        spec: &'a TrainSpec,
        seed: u64,
        comm: &'a dyn Communicator,
    ) -> Result<Self> {
        let (network, ports) = (problem.network, problem.network.ports);
        let most = problem.lanes.most_in_step();
        let entities = problem.features.each_ref().map(|features| features.table().rows().min(most));
        let capacity = ports.capacity(most, entities);
        let parameters = Parameters::<f32>::start(&network.graph, seed)?;
        let plan = CpuPlan::new(network.graph.clone(), Purpose::Train, network.loss, &[], &capacity)?;
        let lane_sum = LaneSum::new(plan.gradients()?, problem.own.len())?;
        let reduction = Reduction::new(comm, lane_sum.buckets())?;
        let validated = problem.validation_entities.map(<[u32]>::len);
        Ok(Self {
            problem,
            spec,
            seed,
            comm,
            plan,
            assembler: Assembler::new(ports, problem.features.clone()),
            scorer: Scorer::new(network, problem.features.clone(), validated)?,
            optimizer: Optimizer::new(spec, &parameters),
            lane_sum,
            reduction,
            orders: Vec::with_capacity(problem.own.len()),
            rows: Vec::with_capacity(most),
            totals: vec![LaneTotals::default(); problem.own.len()],
            counted: 0,
            losses: vec![0.0; problem.own.len()],
            skipped: 0,
            epoch: 0,
            spent: StepTimes::default(),
            parameters,
        })
    }

    /// Goes on from a state of this training: its number of lanes is this one's.
    pub fn restore(&mut self, state: &State) {
        self.parameters.values_mut().copy_from_slice(state.weights.values());
        self.optimizer.restore(&state.memory, state.progress.optimizer_steps);
        self.epoch = state.progress.epoch;
        (self.counted, self.skipped) = (state.progress.counted, state.progress.skipped);
        for (totals, lane) in self.totals.iter_mut().zip(self.problem.own.clone()) {
            totals.train_loss = state.lane_losses[lane];
        }
    }

    /// Sum of the losses of the epoch under way, one a lane of all ranks.
    pub fn lane_losses(&self) -> Vec<f64> {
        let own: Vec<f64> = self.totals.iter().map(|totals| totals.train_loss).collect();
        let all = self.comm.all_gather(bytemuck::cast_slice(&own));
        all.iter().flat_map(|own| own.chunks_exact(8)).map(bytemuck::pod_read_unaligned).collect()
    }

    /// The optimiser.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Epochs finished.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Puts every lane in the order of the epoch under way.
    pub fn shuffle(&mut self) {
        let (seed, epoch) = (self.seed, self.epoch as u32);
        let lanes = self.problem.own.clone().zip(self.problem.train);
        self.orders.clear();
        self.orders.extend(lanes.map(|(lane, pairs)| Shuffle::new(seed, epoch, lane as u32, pairs.len())));
    }

    /// Takes step `at` of the epoch, or skips it where a loss or a gradient is
    /// not finite. Returns what any rank of the group has asked for, the same on
    /// all of them. Fails once more steps have been skipped than may be.
    pub fn step(&mut self, at: usize, asks: Asks) -> Result<Asks> {
        let lanes = self.problem.lanes;
        let number = (self.epoch * lanes.steps() + at) as u64;
        status::step(number + 1);
        Drill::at_step(number + 1)?;
        let step = Step { seed: self.seed, number };
        let scale = 1.0 / lanes.rows_in_step(at) as f32;
        let own = self.problem.own.clone();
        for (local, lane) in own.clone().enumerate() {
            let started = Instant::now();
            self.orders[local].list(lanes.step(lane, at), &mut self.rows);
            self.assembler.feed(&mut self.plan, &self.problem.train[local], &self.rows);
            self.spent.assembly += started.elapsed();
            self.plan.forward(&self.parameters, step);
            self.losses[local] = sum(self.plan.output());
            if lane + 1 < own.end {
                let gradients = self.lane_sum.next();
                self.plan.backward(&self.parameters, gradients, scale, step, &mut |_, _| ());
                let started = Instant::now();
                self.lane_sum.taken();
                self.spent.all_reduce += started.elapsed();
            }
        }
        self.backward_of_last_lane(scale, step, asks);
        let started = Instant::now();
        let reduced = self.reduction.finish(self.lane_sum.sum())?;
        let summed = Instant::now();
        self.spent.all_reduce += summed - started;
        let [stop, checkpoint, strange] = reduced.words;
        if reduced.finite && strange == 0.0 {
            self.totals.iter_mut().zip(&self.losses).for_each(|(lane, loss)| lane.train_loss += loss);
            self.counted += lanes.rows_in_step(at);
            let rate = learning_rate(self.spec, number, lanes.steps());
            self.optimizer.step(&mut self.parameters, self.lane_sum.sum(), rate);
            self.spent.optimizer += summed.elapsed();
        } else {
            self.skip(at)?;
        }
        Ok(Asks { stop: stop > 0.0, checkpoint: checkpoint > 0.0 })
    }

    /// Goes backward through the last lane of this rank; each bucket of gradients goes its way over
    /// ranks as soon as it is whole, the last one with the words.
    fn backward_of_last_lane(&mut self, scale: f32, step: Step, asks: Asks) {
        let strange = self.losses.iter().filter(|loss| !loss.is_finite()).count();
        let words = [f32::from(u8::from(asks.stop)), f32::from(u8::from(asks.checkpoint)), strange as f32];
        let (mut earlier, last) = self.lane_sum.last();
        let (reduction, spent) = (&mut self.reduction, &mut self.spent.all_reduce);
        self.plan.backward(&self.parameters, last, scale, step, &mut |bucket, last| {
            let started = Instant::now();
            let values = earlier.take(last, bucket);
            if bucket + 1 < last.buckets() {
                reduction.give(bucket, values);
            } else {
                reduction.give_last(bucket, values, words);
            }
            *spent += started.elapsed();
        });
    }

    /// Passes over a step; every rank comes to this alike.
    fn skip(&mut self, at: usize) -> Result<()> {
        self.skipped += 1;
        let (name, most) = (&self.problem.name, self.spec.max_skipped_steps);
        let place = format!("{name}: epoch {}, step {}", self.epoch + 1, at + 1);
        let speaks = self.comm.rank() == 0;
        if self.skipped <= most {
            if speaks {
                log::warn!(
                    "{place}: skipped, for a loss or a gradient is not finite ({} of at most {most})",
                    self.skipped
                );
            }
            return Ok(());
        }
        let diverged = diverged(&self.parameters, self.lane_sum.sum());
        if speaks {
            diverged.iter().for_each(|parameter| log::warn!("{name}: {parameter}"));
        }
        let what = match diverged.first() {
            Some(first) => {
                format!("the gradient of layer {} is not finite, the first in forward order", first.layer())
            }
            None => "the loss is not finite, though every gradient is".into(),
        };
        agree(
            self.comm,
            Err(Error::Training(format!(
                "{place}: {what}; {most} steps had been skipped for such before (train.max_skipped_steps): lower train.learning_rate ({})",
                self.spec.learning_rate
            ))),
        )
    }

    /// The parameters as they are now.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// Steps skipped so far.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Training pairs, of all lanes, in the steps of the epoch under way that were not skipped.
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// The plan of a lane's step.
    pub fn plan(&self) -> &CpuPlan<f32> {
        &self.plan
    }

    /// Time of all steps by what it went to, the most first: ops by their names,
    /// and what is outside the network. Since the start or [`Self::reset_spent`].
    pub fn spent(&self) -> Vec<(&'static str, Duration)> {
        let StepTimes { assembly, all_reduce, optimizer } = self.spent;
        let mut parts =
            vec![("batch assembly", assembly), ("all-reduce", all_reduce), ("optimiser", optimizer)];
        for (op, time) in self.plan.spent() {
            match parts.iter_mut().find(|part| part.0 == op) {
                Some(part) => part.1 += time,
                None => parts.push((op, time)),
            }
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.1));
        parts
    }

    /// Starts to count time anew, here and in the plan.
    pub fn reset_spent(&mut self) {
        self.spent = StepTimes::default();
        self.plan.reset_spent();
    }

    /// Scores the validation pairs and adds up the epoch over all lanes. Fails
    /// where the loss or a parameter is not finite, every step was skipped, or
    /// ranks have come apart.
    pub fn finish_epoch(&mut self) -> Result<Epoch> {
        self.scorer.embed(&self.parameters, self.problem.validation_entities);
        let mut predicted = Vec::new();
        for (totals, lane) in self.totals.iter_mut().zip(self.problem.validation) {
            predicted.clear();
            self.scorer.predict(&self.parameters, lane, 0..lane.len(), &mut predicted);
            let errors = lane.truth.iter().zip(&predicted).map(|(&t, &p)| f64::from(t) - f64::from(p));
            totals.squared_error += errors.map(|e| e * e).sum::<f64>();
            totals.truth.add(&lane.truth);
        }
        let all = agree(self.comm, sum_lanes(self.comm, &self.totals, &self.parameters))?;
        self.totals.fill(LaneTotals::default());
        let counted = std::mem::take(&mut self.counted);
        self.epoch += 1;
        let steps = (self.epoch * self.problem.lanes.steps()) as u64;
        let variance = self.problem.deviation.powi(2);
        let record = Epoch {
            epoch: self.epoch as u32,
            step: steps,
            learning_rate: learning_rate(self.spec, steps - 1, self.problem.lanes.steps()),
            train_loss: all.train_loss / counted as f64 * variance,
            val_loss: all.squared_error / all.truth.n * variance,
            val_r2: all.truth.r2(all.squared_error),
            seconds: 0.0,
        };
        let finite = self.parameters.values().iter().all(|v| v.is_finite());
        if finite && record.train_loss.is_finite() && record.val_loss.is_finite() {
            return Ok(record);
        }
        // Every rank holds the same numbers, so all of them come to this; one says so.
        agree(
            self.comm,
            Err(Error::Training(format!(
                "{}: the loss or a weight is not finite after epoch {}: lower train.learning_rate ({})",
                self.problem.name, record.epoch, self.spec.learning_rate
            ))),
        )
    }
}

/// Adds up the lanes of all ranks, in the order of lanes, after checking that
/// every rank holds the same parameters.
fn sum_lanes(
    comm: &dyn Communicator,
    totals: &[LaneTotals],
    parameters: &Parameters<f32>,
) -> Result<LaneTotals> {
    let sum = crc32fast::hash(bytemuck::cast_slice(parameters.values()));
    let mut message = sum.to_ne_bytes().to_vec();
    message.extend_from_slice(bytemuck::cast_slice(totals));
    let all = comm.all_gather(&message);
    if let Some(rank) = all.iter().position(|m| m[..4] != all[0][..4]) {
        return Err(Error::Ranks(format!(
            "rank {rank} of the group holds other parameters than rank 0; are all ranks the same machine type and build?"
        )));
    }
    let mut whole = LaneTotals::default();
    for message in &all {
        for lane in message[4..].chunks_exact(size_of::<LaneTotals>()) {
            let lane: LaneTotals = bytemuck::pod_read_unaligned(lane);
            whole.train_loss += lane.train_loss;
            whole.squared_error += lane.squared_error;
            whole.truth.merge(&lane.truth);
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;
    use crate::graph::Graph;
    use crate::op::{Activation, Linear};

    #[test]
    fn ranks_that_hold_other_parameters_are_told_and_others_add_up() {
        let totals = |rank: usize| {
            let mut truth = Moments::default();
            truth.add(&[rank as f32, rank as f32 + 1.0]);
            vec![LaneTotals { train_loss: 1.0, squared_error: 0.5, truth }]
        };
        for strayed in [None, Some(2)] {
            let sums = on_ranks(3, |comm| {
                let mut graph = Graph::new();
                let space = graph.space("pairs");
                let x = graph.input(space, 2);
                graph.add("l", Linear::new(2, 1, Activation::Identity), &[x]).unwrap();
                let mut parameters = Parameters::<f32>::start(&graph, 1).unwrap();
                if strayed == Some(comm.rank()) {
                    let first = &mut parameters.values_mut()[0];
                    *first = f32::from_bits(first.to_bits() ^ 1);
                }
                sum_lanes(comm, &totals(comm.rank()), &parameters)
            });
            for sum in sums {
                match strayed {
                    None => {
                        let sum = sum.unwrap();
                        assert_eq!((sum.train_loss, sum.squared_error), (3.0, 1.5));
                        assert_eq!((sum.truth.n, sum.truth.mean), (6.0, 1.5));
                    }
                    Some(rank) => {
                        assert!(sum.unwrap_err().to_string().contains(&format!("rank {rank} of the group")));
                    }
                }
            }
        }
    }
}
