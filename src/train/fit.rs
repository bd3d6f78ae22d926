use super::early_stop::EarlyStop;
use super::trainer::{Problem, Trainer};
use super::{Asks, Checkpoints, Progress, Snapshot, State, StateView, TrainSpec};
use crate::comm::{Communicator, agree};
use crate::graph::Parameters;
use crate::metric::Epoch;
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// A finished training.
pub struct Fitted {
    /// Parameters of the best epoch.
    pub parameters: Parameters<f32>,
    /// From one.
    pub best_epoch: usize,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// Whether it was finished before: no step was left to take.
    pub was_finished: bool,
}

/// A step that a training has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    /// Epoch, from one.
    pub epoch: usize,
    /// Steps of it so far.
    pub at: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Training pairs in the step, those of all ranks.
    pub pairs: usize,
    /// About the mean loss of the epoch so far, as far as this rank knows.
    pub loss: Option<f64>,
}

/// Is told how a training goes, and tells it to stop. What it does changes no bit of the result.
pub trait Observer {
    /// Before the first step of this job, with the epochs that earlier ones have finished and the training
    /// pairs of an epoch; not where no step is left.
    fn begin(&mut self, _history: &[Epoch], _pairs: usize) {}
    /// After every step; it must cost next to nothing.
    fn step(&mut self, _taken: &Taken) {}
    /// Before every step: whether this rank wishes to stop.
    fn stop(&mut self) -> bool {
        false
    }
    /// After every epoch, with the best epoch so far.
    fn epoch(&mut self, _record: &Epoch, _best: usize) {}
}

/// What a training has come to, beside the trainer's own state.
struct Run {
    best: Parameters<f32>,
    history: Vec<Epoch>,
    early: EarlyStop,
    /// Steps taken of the epoch under way, and their wall time.
    at: usize,
    before: Duration,
    started: Instant,
}

impl Run {
    fn seconds(&self) -> f64 {
        (self.before + self.started.elapsed()).as_secs_f64()
    }

    fn over(&self, spec: &TrainSpec) -> bool {
        self.history.len() >= spec.epochs || self.early.exhausted()
    }

    /// Takes up where `state` left off.
    fn restore(&mut self, state: State) {
        for epoch in &state.history {
            self.early.improved(epoch.val_loss);
        }
        self.best = state.best;
        self.history = state.history;
        self.at = state.progress.at;
        self.before = Duration::try_from_secs_f64(state.progress.seconds).unwrap_or_default();
    }
}

/// Trains on all ranks of `comm` until the last epoch, or until patience ends;
/// from `state` on, if there is one. `None` where it was told to stop before,
/// which leaves a checkpoint to go on from.
pub fn fit(
    problem: &Problem<'_>,
    spec: &TrainSpec,
    seed: u64,
    comm: &dyn Communicator,
    state: Option<State>,
    checkpoints: &mut Checkpoints,
    observer: &mut dyn Observer,
) -> Result<Option<Fitted>> {
    let steps = problem.lanes.steps();
    let mut training = Trainer::new(problem, spec, seed, comm)?;
    let mut run = Run {
        best: training.parameters()?.clone(),
        history: Vec::new(),
        early: EarlyStop::new(spec.patience),
        at: 0,
        before: Duration::ZERO,
        started: Instant::now(),
    };
    if let Some(state) = state {
        if state.progress.at > steps || state.progress.epoch > spec.epochs {
            let what = format!("{}: a checkpoint at step {} of {steps}", problem.name, state.progress.at);
            return Err(Error::Training(what));
        }
        training.restore(&state)?;
        run.restore(state);
    }
    let was_finished = run.over(spec);
    if !was_finished {
        observer.begin(&run.history, problem.lanes.total());
    }
    while !run.over(spec) {
        run.started = Instant::now();
        training.begin_epoch()?;
        while run.at < steps {
            let asks = Asks { stop: observer.stop(), checkpoint: comm.rank() == 0 && checkpoints.due() };
            let asked = training.step(run.at, asks)?;
            run.at += 1;
            observer.step(&Taken {
                epoch: run.history.len() + 1,
                at: run.at,
                steps,
                pairs: problem.lanes.rows_in_step(run.at - 1),
                loss: training.loss_so_far(),
            });
            if asked.stop || asked.checkpoint {
                let saved = save(spec, &mut training, &run, comm, |state| checkpoints.save(comm, state))?;
                if asked.stop && saved {
                    return Ok(None);
                }
                if asked.stop {
                    let what = format!("{}: stopped without the checkpoint warned of above", problem.name);
                    // Every rank comes to this; one says so.
                    return agree(comm, Err(Error::Training(what)));
                }
            }
        }
        let record = Epoch { seconds: run.seconds(), ..training.finish_epoch()? };
        let improved = run.early.improved(record.val_loss);
        if improved {
            run.best.values_mut().copy_from_slice(training.parameters()?.values());
        }
        observer.epoch(&record, run.early.best_epoch());
        run.history.push(record);
        (run.at, run.before, run.started) = (0, Duration::ZERO, Instant::now());
        if improved && !run.over(spec) {
            save(spec, &mut training, &run, comm, |state| checkpoints.save_best(comm, state))?;
        }
    }
    if !was_finished {
        save(spec, &mut training, &run, comm, |state| checkpoints.save(comm, state))?;
    }
    for (part, time) in training.spent().into_iter().chain([("checkpoints", checkpoints.spent())]) {
        log::debug!("{}: {:.2} s in {part}", problem.name, time.as_secs_f64());
    }
    let best_epoch = run.early.best_epoch();
    Ok(Some(Fitted { parameters: run.best, best_epoch, history: run.history, was_finished }))
}

/// Hands the state of a training to `to`, and returns what it says. Every rank calls this.
fn save(
    spec: &TrainSpec,
    training: &mut Trainer<'_>,
    run: &Run,
    comm: &dyn Communicator,
    to: impl FnOnce(&StateView<'_>) -> bool,
) -> Result<bool> {
    let epoch = training.epoch();
    training.settle()?;
    let skipped = training.skipped();
    let Snapshot { parameters, memory, optimizer_steps, lane_losses, counted } = training.snapshot()?;
    let all = comm.all_gather(bytemuck::cast_slice(&lane_losses));
    let lane_losses: Vec<f64> =
        all.iter().flat_map(|own| own.chunks_exact(8)).map(bytemuck::pod_read_unaligned).collect();
    let view = StateView {
        progress: Progress {
            lanes: lane_losses.len(),
            epoch,
            at: run.at,
            optimizer_steps,
            skipped,
            counted,
            seconds: run.seconds(),
        },
        history: &run.history,
        lane_losses: &lane_losses,
        layout: parameters.layout(),
        weights: parameters.values(),
        best: run.best.values(),
        memory,
        optimizer: spec.optimizer,
    };
    Ok(to(&view))
}
