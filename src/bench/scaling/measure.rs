use super::{Mode, Phase};
use crate::batch::Lanes;
use crate::bench::places::Places;
use crate::bench::timing::{Quartiles, all_seconds};
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::report::phrase::count;
use crate::study::{Corpus, Task, TrainingSet};
use crate::train::{Asks, StepTimes, TrainSpec, Trainer};
use crate::{Error, Result, status};
use serde::Serialize;
use std::time::Instant;

/// A training that is measured on several numbers of ranks.
pub(super) struct Plan<'a> {
    pub corpus: &'a Corpus,
    pub task: &'a Task,
    pub mode: Mode,
    /// Steps that are timed.
    pub steps: usize,
}

/// A number of ranks, measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Ranks.
    pub ranks: usize,
    /// Lanes over all of them.
    pub lanes: usize,
    /// Most pairs of a step, over all of them.
    pub batch: usize,
    /// Most ranks that its pairs and the deck's lanes can be dealt to.
    pub most_ranks: usize,
    /// Pairs of a step, the mean of the steps that were timed.
    pub pairs: f64,
    /// Whether they have more threads, on some node, than it has processors, or share a GPU.
    pub oversubscribed: bool,
    /// Seconds of a step by the slowest rank, over steps.
    pub step: Quartiles,
    /// Pairs a second, as a part of that of one rank times the ranks.
    pub efficiency: Quartiles,
    /// Seconds of a step without what it waits for sums over ranks, on the rank that has most of it.
    pub work: f64,
    /// Bytes of a gradient.
    pub gradient_bytes: usize,
    /// Messages that it is cut into.
    pub buckets: usize,
    /// Where the time goes, by rank.
    pub phases: Vec<RankPhases>,
}

/// Where the time of one rank goes.
#[derive(Debug, Serialize)]
pub struct RankPhases {
    /// Which.
    pub rank: usize,
    /// Name of its host.
    pub host: String,
    /// Threads that it computes with.
    pub threads: usize,
    /// Seconds: of a training, a step or an epoch, as [`Phase::per`] says. Those of steps are means
    /// over the middle half of the steps, by their time, so that they add up; on a GPU, the parts are
    /// means of steps of their own, waited for after every part, and add up to more than a step.
    pub seconds: Vec<(Phase, f64)>,
}

/// Steps before the clock runs: on a GPU, enough for every size of batch to be recorded.
const WARM: [usize; 2] = [3, 32];
/// Steps that are timed together: a GPU is waited for after several.
const AT_ONCE: [usize; 2] = [1, 16];
/// Steps of a GPU that are waited for after every part.
const PROFILED: usize = 5;

/// Seconds of a step on one rank.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct StepSeconds {
    step: f64,
    assemble: f64,
    forward: f64,
    backward: f64,
    lanes: f64,
    wait: f64,
    update: f64,
    sums: f64,
}

impl StepSeconds {
    fn new(step: f64, times: StepTimes) -> Self {
        let StepTimes { assembly, forward, backward, lanes, wait, update, sums } = times;
        Self {
            step,
            assemble: assembly.as_secs_f64(),
            forward: forward.as_secs_f64(),
            backward: backward.as_secs_f64(),
            lanes: lanes.as_secs_f64(),
            wait: wait.as_secs_f64(),
            update: update.as_secs_f64(),
            sums: sums.as_secs_f64(),
        }
    }
}

impl Plan<'_> {
    /// The lanes of `training` pairs on so many ranks, and the pairs of a step.
    fn lanes(&self, training: usize, ranks: usize) -> Result<(Lanes, usize)> {
        let spec = &self.corpus.deck.train;
        let batch = spec.batch_of(training);
        let (lanes, batch) = match self.mode {
            Mode::Strong => (spec.lanes.unwrap_or(ranks), batch),
            Mode::Weak => (spec.lanes.unwrap_or(1).saturating_mul(ranks), batch.saturating_mul(ranks)),
        };
        // A step of all pairs does not grow with the ranks unless it is asked to.
        if self.mode == Mode::Weak && batch > training {
            return Err(Error::Ranks(format!(
                "{}: a step of {batch} pairs on {}, of {training} training pairs: lower train.batch or the ranks",
                self.task,
                count(ranks, "rank")
            )));
        }
        let lanes = Lanes::new(training, lanes, batch)?;
        lanes.of_rank(0, ranks)?;
        Ok((lanes, batch))
    }

    /// Refuses numbers of ranks that cannot be measured on `world` ranks.
    pub fn check(&self, counts: &[usize], world: usize) -> Result<()> {
        if let Some(ranks) = counts.iter().find(|&&ranks| ranks == 0 || ranks > world) {
            return Err(Error::Ranks(format!(
                "--ranks asks for {ranks} of the {world} that were started: start as many as the largest number"
            )));
        }
        let training = self.corpus.sizes(&self.task.source, self.task.split)?.train;
        counts.iter().try_for_each(|&ranks| self.lanes(training, ranks).map(drop))
    }

    /// Trains for a few steps on the ranks of `group`. Every one of them gets the same figures, but
    /// for those of efficiency.
    pub fn measure(&self, group: &dyn Communicator, places: &Places) -> Result<Measured> {
        let (corpus, ranks) = (self.corpus, group.size());
        status::begin_task(&format!("{} on {ranks} ranks", self.task));
        let started = Instant::now();
        let rows = corpus.split(&self.task.source, self.task.split)?;
        let network = corpus.network()?;
        let (lanes, batch) = self.lanes(rows.train.len(), ranks)?;
        let set = TrainingSet::read(corpus, self.task, &rows, network, lanes, group)?;
        let read = all_seconds(group, started.elapsed().as_secs_f64());

        let spec = TrainSpec { batch, ..corpus.deck.train.clone() };
        let problem = set.problem(&corpus.device);
        let mut trainer = Trainer::new(&problem, &spec, set.seed, group)?;
        trainer.begin_epoch()?;
        let on_gpu = usize::from(matches!(corpus.device, Device::Cuda(_)));
        let mut at = (0..lanes.steps()).cycle();
        let mut take = |trainer: &mut Trainer<'_>, steps: usize| -> Result<(f64, usize)> {
            let (mut pairs, started) = (0, Instant::now());
            for _ in 0..steps {
                let at = at.next().unwrap_or_default();
                pairs += lanes.rows_in_step(at);
                trainer.step(at, Asks::default())?;
            }
            if on_gpu == 1 {
                trainer.settle()?;
            }
            Ok((started.elapsed().as_secs_f64() / steps as f64, pairs))
        };
        take(&mut trainer, WARM[on_gpu])?;
        let (mut own, mut pairs) = (Vec::with_capacity(self.steps), 0);
        for _ in 0..self.steps {
            trainer.reset_spent();
            let (seconds, of_step) = take(&mut trainer, AT_ONCE[on_gpu])?;
            own.push(StepSeconds::new(seconds, trainer.step_times().unwrap_or_default()));
            pairs += of_step;
        }
        let mut profiled = Vec::new();
        for at in (0..lanes.steps()).cycle().take(PROFILED * on_gpu) {
            trainer.reset_spent();
            let started = Instant::now();
            trainer.profile(at)?;
            let seconds = started.elapsed().as_secs_f64();
            profiled.push(StepSeconds::new(seconds, trainer.step_times().unwrap_or_default()));
        }
        let started = Instant::now();
        trainer.finish_epoch()?;
        let score = all_seconds(group, started.elapsed().as_secs_f64());
        let gradient_bytes = size_of_val(trainer.parameters()?.values());
        let buckets = trainer.buckets();
        status::end_task();

        let shared = match &corpus.device {
            Device::Cpu => false,
            Device::Cuda(stream) => {
                let mut gpus = group.all_gather(agree(group, stream.identity())?.as_bytes());
                gpus.sort();
                gpus.windows(2).any(|pair| pair[0] == pair[1])
            }
        };
        let all = of_all_ranks(group, &own);
        let slowest = slowest(&all);
        let middle = middle_half(&slowest);
        // A GPU's parts are of steps of their own.
        let profiled = (on_gpu == 1).then(|| of_all_ranks(group, &profiled));
        let phases = (0..ranks).map(|rank| {
            let mut seconds = vec![(Phase::Read, read[rank])];
            match &profiled {
                None => seconds.extend(of_step(&all, rank, &middle)),
                Some(profiled) => {
                    let parts = of_step(profiled, rank, &(0..PROFILED).collect::<Vec<_>>());
                    let told = |(phase, _): &(Phase, f64)| *phase < Phase::Rest;
                    seconds.extend(parts.into_iter().filter(told));
                    seconds.push((Phase::Step, mean(&all[rank], &middle, |s| s.step)));
                }
            }
            seconds.push((Phase::Score, score[rank]));
            let place = places.rank(rank);
            RankPhases { rank, host: place.host.clone(), threads: place.threads, seconds }
        });
        let work = (0..ranks).map(|rank| match &profiled {
            None => mean(&all[rank], &middle, |s| s.step - s.wait),
            // Of a step whose parts overlap, the share of it that they have one by one.
            Some(profiled) => {
                let sum = |of: fn(&StepSeconds) -> f64| profiled[rank].iter().map(of).sum::<f64>();
                mean(&all[rank], &middle, |s| s.step) * (1.0 - sum(|s| s.wait) / sum(|s| s.step))
            }
        });
        Ok(Measured {
            ranks,
            lanes: lanes.count(),
            batch,
            most_ranks: match self.mode {
                Mode::Strong => spec.lanes.unwrap_or(batch).min(batch).min(lanes.total()),
                Mode::Weak => batch.min(lanes.total()),
            },
            pairs: pairs as f64 / (self.steps * AT_ONCE[on_gpu]) as f64,
            oversubscribed: shared || places.oversubscribed(ranks, None),
            step: Quartiles::of(&slowest),
            efficiency: Quartiles { low: 1.0, median: 1.0, high: 1.0 },
            work: work.fold(0.0, f64::max),
            gradient_bytes,
            buckets,
            phases: phases.collect(),
        })
    }
}

/// The steps of every rank, by rank.
fn of_all_ranks(group: &dyn Communicator, own: &[StepSeconds]) -> Vec<Vec<StepSeconds>> {
    let all = group.all_gather(bytemuck::cast_slice(own));
    let steps = |own: &Vec<u8>| {
        own.chunks_exact(size_of::<StepSeconds>()).map(bytemuck::pod_read_unaligned).collect()
    };
    all.iter().map(steps).collect()
}

/// Seconds of every step by the rank that took longest.
fn slowest(all: &[Vec<StepSeconds>]) -> Vec<f64> {
    let steps = all.iter().map(Vec::len).min().unwrap_or(0);
    (0..steps).map(|at| all.iter().map(|own| own[at].step).fold(0.0, f64::max)).collect()
}

/// The steps whose time is in the middle half of all.
fn middle_half(slowest: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..slowest.len()).collect();
    order.sort_by(|&a, &b| slowest[a].total_cmp(&slowest[b]));
    let cut = order.len() / 4;
    order[cut..order.len() - cut].to_vec()
}

fn mean(own: &[StepSeconds], steps: &[usize], of: impl Fn(&StepSeconds) -> f64) -> f64 {
    steps.iter().map(|&at| of(&own[at])).sum::<f64>() / steps.len().max(1) as f64
}

/// The phases of `rank` in the steps `middle`.
fn of_step(all: &[Vec<StepSeconds>], rank: usize, middle: &[usize]) -> Vec<(Phase, f64)> {
    let own = &all[rank];
    let mean = |of: &dyn Fn(&StepSeconds) -> f64| mean(own, middle, of);
    let step = mean(&|s| s.step);
    // The last rank to come waits for the sum alone.
    let least = |at: &usize| all.iter().map(|own| own[*at].wait).fold(f64::INFINITY, f64::min);
    let sum = middle.iter().map(least).sum::<f64>() / middle.len().max(1) as f64;
    let mut seconds = vec![
        (Phase::Assemble, mean(&|s| s.assemble)),
        (Phase::Forward, mean(&|s| s.forward)),
        (Phase::Backward, mean(&|s| s.backward)),
        (Phase::Reduce, mean(&|s| s.lanes) + sum),
        (Phase::Wait, mean(&|s| s.wait) - sum),
        (Phase::Update, mean(&|s| s.update)),
    ];
    let rest = step - seconds.iter().map(|(_, seconds)| seconds).sum::<f64>();
    seconds.extend([(Phase::Rest, rest.max(0.0)), (Phase::Step, step), (Phase::Sums, mean(&|s| s.sums))]);
    seconds
}

impl Measured {
    /// Mean over ranks of the seconds of a phase; `None` where the device does not tell it apart.
    pub fn phase(&self, phase: Phase) -> Option<f64> {
        let of = |rank: &RankPhases| Some(rank.seconds.iter().find(|(named, _)| *named == phase)?.1);
        let all: Vec<f64> = self.phases.iter().filter_map(of).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }
}

/// Holds every number of ranks against one: pairs a second a rank, as a part of what one rank does alone.
/// With equal pairs that is T(1) / (r T(r)) strong and T(1) / T(r) weak.
pub(super) fn set_efficiencies(measured: &mut [Measured]) {
    let Some(one) = measured.iter().find(|of| of.ranks == 1) else { return };
    let alone = one.pairs / one.step.median;
    for of in measured {
        let at = |seconds: f64| of.pairs / seconds / (of.ranks as f64 * alone);
        of.efficiency =
            Quartiles { low: at(of.step.high), median: at(of.step.median), high: at(of.step.low) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: f64, wait: f64) -> StepSeconds {
        StepSeconds { step, wait, forward: 1.0, backward: 2.0, ..StepSeconds::default() }
    }

    #[test]
    fn the_least_wait_is_the_sum_and_the_rest_is_for_others() {
        let all = [vec![step(5.0, 1.5), step(6.0, 0.5)], vec![step(5.0, 0.5), step(6.0, 2.5)]];
        let of = |rank, phase| {
            let seconds = of_step(&all, rank, &[0, 1]);
            seconds.iter().find(|(named, _)| *named == phase).unwrap().1
        };
        assert_eq!([of(0, Phase::Reduce), of(1, Phase::Reduce)], [0.5, 0.5]);
        assert_eq!([of(0, Phase::Wait), of(1, Phase::Wait)], [0.5, 1.0]);
        for rank in 0..2 {
            let parts: f64 = Phase::OF_STEP.iter().map(|&phase| of(rank, phase)).sum();
            assert!((parts - of(rank, Phase::Step)).abs() < 1e-12);
        }
    }

    #[test]
    fn steps_that_are_out_of_line_are_left_out() {
        assert_eq!(middle_half(&[9.0, 1.0, 2.0, 3.0, 4.0, 99.0, 0.1, 5.0]), [2, 3, 4, 7]);
        assert_eq!(middle_half(&[1.0]), [0]);
    }
}
