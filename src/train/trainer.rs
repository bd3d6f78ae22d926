use super::cpu_engine::CpuEngine;
use super::cuda::CudaEngine;
use super::engine::{Asks, Engine, EpochStep, Snapshot, Stepped};
use super::schedule::learning_rate;
use super::{Drill, State, StepTimes, TrainSpec};
use crate::batch::{Examples, Lanes};
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::feature::ScaledFeatures;
use crate::graph::{Parameters, Product};
use crate::metric::{Epoch, Moments};
use crate::model::{PairNetwork, Validation};
use crate::op::Step;
use crate::status;
use crate::{Error, Result};
use std::ops::Range;
use std::time::Duration;

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
    /// What this rank computes on.
    pub device: &'a Device,
}

impl Problem<'_> {
    /// Most distinct drugs and samples in a lane's step.
    pub(super) fn most_entities(&self) -> [usize; 2] {
        let most = self.lanes.most_in_step();
        self.features.each_ref().map(|features| features.table().rows().min(most))
    }
}

/// What one lane comes to over an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct LaneTotals {
    /// Sum of the training pairs' losses.
    train_loss: f64,
    /// Sum of the validation pairs' squared errors, or of the losses predicted.
    val_error: f64,
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
    engine: Box<dyn Engine + 'a>,
    /// Steps passed over since the start.
    skipped: usize,
    /// Epochs finished.
    epoch: usize,
}

impl<'a> Trainer<'a> {
    /// At the start: parameters drawn, buffers laid out. Fails if there is no memory for them.
    pub fn new(
        problem: &'a Problem<'a>,
        spec: &'a TrainSpec,
        seed: u64,
        comm: &'a dyn Communicator,
    ) -> Result<Self> {
        let engine: Box<dyn Engine + 'a> = match problem.device {
            Device::Cpu => Box::new(CpuEngine::new(problem, spec, seed, comm)?),
            Device::Cuda(stream) => Box::new(CudaEngine::new(problem, spec, seed, comm, stream)?),
        };
        Ok(Self { problem, spec, seed, comm, engine, skipped: 0, epoch: 0 })
    }

    /// Goes on from a state of this training: its number of lanes is this one's.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        (self.epoch, self.skipped) = (state.progress.epoch, state.progress.skipped);
        self.engine.restore(state)
    }

    /// Epochs finished.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Steps passed over so far.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Puts every lane in the order of the epoch under way.
    pub fn begin_epoch(&mut self) -> Result<()> {
        self.engine.begin_epoch(self.epoch)
    }

    /// Takes step `at` of the epoch, or skips it where a loss or a gradient is
    /// not finite. Returns what any rank of the group has asked for, the same on
    /// all of them. Fails once more steps have been skipped than may be.
    pub fn step(&mut self, at: usize, asks: Asks) -> Result<Asks> {
        let step = self.epoch_step(at);
        let number = step.step.number + 1;
        status::step(number);
        Drill::at_step(number)?;
        let stepped = self.engine.step(step, asks)?;
        self.note(stepped)?;
        Ok(stepped.asks)
    }

    /// Takes step `at` of the epoch with every part waited for, so that [`Self::spent`] can tell them apart.
    pub fn profile(&mut self, at: usize) -> Result<()> {
        let step = self.epoch_step(at);
        self.engine.profile(step)
    }

    fn epoch_step(&self, at: usize) -> EpochStep {
        let steps = self.problem.lanes.steps();
        let number = (self.epoch * steps + at) as u64;
        let rate = learning_rate(self.spec, number, steps);
        EpochStep { at, step: Step { seed: self.seed, number }, rate }
    }

    /// Counts steps that were passed over; every rank comes to this alike.
    fn note(&mut self, Stepped { skipped, last_skipped, .. }: Stepped) -> Result<()> {
        if skipped == 0 {
            return Ok(());
        }
        self.skipped += skipped;
        let (name, most) = (&self.problem.name, self.spec.max_skipped_steps);
        let steps = self.problem.lanes.steps() as u64;
        let place = format!("{name}: epoch {}, step {}", last_skipped / steps + 1, last_skipped % steps + 1);
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
        let diverged = self.engine.diverged()?;
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

    /// About the mean loss of the epoch under way, in the endpoint's units squared, from the lanes of this rank
    /// and without waiting: on a device it is a few steps old. `None` before there is any.
    pub fn loss_so_far(&self) -> Option<f64> {
        let (losses, counted) = self.engine.losses_so_far();
        let share = self.problem.own.len() as f64 / self.problem.lanes.count() as f64;
        (counted > 0).then(|| losses / (counted as f64 * share) * self.problem.deviation.powi(2))
    }

    /// Finishes whatever steps are still under way.
    pub fn settle(&mut self) -> Result<()> {
        let settled = self.engine.settle()?;
        self.note(settled)
    }

    /// Where this rank's training is, after all steps asked for.
    pub fn snapshot(&mut self) -> Result<Snapshot<'_>> {
        self.settle()?;
        self.engine.snapshot()
    }

    /// The parameters as they are now.
    pub fn parameters(&mut self) -> Result<&Parameters<f32>> {
        Ok(self.snapshot()?.parameters)
    }

    /// The products of every dense layer, for the last lane of the last step.
    pub fn products(&self) -> Vec<Product> {
        self.engine.products()
    }

    /// Distinct drugs and samples in the last lane of the last step.
    pub fn distinct(&self) -> [usize; 2] {
        self.engine.distinct()
    }

    /// Time of all steps by what it went to, the most first: ops by their names,
    /// and what is outside the network. Since the start or [`Self::reset_spent`].
    pub fn spent(&self) -> Vec<(&'static str, Duration)> {
        self.engine.spent()
    }

    /// The same by the parts of a step, on this rank; on a GPU of steps that were profiled, `None` where there are none.
    pub fn step_times(&self) -> Option<StepTimes> {
        self.engine.step_times()
    }

    /// Messages that a rank's gradients are cut into, each summed over ranks by itself.
    pub fn buckets(&self) -> usize {
        self.engine.buckets()
    }

    /// Starts to count time anew.
    pub fn reset_spent(&mut self) {
        self.engine.reset_spent();
    }

    /// Scores the validation pairs and adds up the epoch over all lanes. Fails
    /// where the loss or a parameter is not finite, every step was skipped, or
    /// ranks have come apart.
    pub fn finish_epoch(&mut self) -> Result<Epoch> {
        let predicted = self.engine.validate()?;
        let (comm, problem) = (self.comm, self.problem);
        let Snapshot { parameters, lane_losses, counted, .. } = self.snapshot()?;
        let mut totals = vec![LaneTotals::default(); problem.own.len()];
        totals.iter_mut().zip(&lane_losses).for_each(|(lane, &loss)| lane.train_loss = loss);
        for ((totals, lane), predicted) in totals.iter_mut().zip(problem.validation).zip(&predicted) {
            let pairs = lane.truth.iter().zip(predicted).map(|(&t, &p)| (f64::from(t), f64::from(p)));
            totals.val_error += match problem.network.validation {
                Validation::SquaredError => pairs.map(|(t, p)| (t - p) * (t - p)).sum::<f64>(),
                Validation::Loss => pairs.map(|(_, p)| p).sum(),
            };
            totals.truth.add(&lane.truth);
        }
        let all = agree(comm, sum_lanes(comm, &totals, parameters))?;
        let finite = parameters.values().iter().all(|v| v.is_finite());
        self.engine.clear_sums()?;
        self.epoch += 1;
        let steps = (self.epoch * problem.lanes.steps()) as u64;
        let variance = problem.deviation.powi(2);
        let record = Epoch {
            epoch: self.epoch as u32,
            step: steps,
            learning_rate: learning_rate(self.spec, steps - 1, problem.lanes.steps()),
            train_loss: all.train_loss / counted as f64 * variance,
            val_loss: all.val_error / all.truth.n * variance,
            val_r2: match problem.network.validation {
                Validation::SquaredError => all.truth.r2(all.val_error),
                Validation::Loss if all.truth.mean == 0.0 => f64::NAN,
                Validation::Loss => 1.0 - all.val_error / (all.truth.n * all.truth.mean),
            },
            seconds: 0.0,
        };
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
            whole.val_error += lane.val_error;
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
            vec![LaneTotals { train_loss: 1.0, val_error: 0.5, truth }]
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
                        assert_eq!((sum.train_loss, sum.val_error), (3.0, 1.5));
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
