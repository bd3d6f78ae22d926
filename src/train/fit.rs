use super::TrainSpec;
use super::early_stop::EarlyStop;
use super::trainer::{Asks, Problem, Trainer};
use crate::Result;
use crate::comm::Communicator;
use crate::graph::Parameters;
use crate::metric::Epoch;
use std::time::Instant;

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

/// Trains on all ranks of `comm` until the last epoch, or until patience ends.
pub fn fit(
    problem: &Problem<'_>,
    spec: &TrainSpec,
    seed: u64,
    comm: &dyn Communicator,
    observer: &mut dyn Observer,
) -> Result<Fitted> {
    let mut training = Trainer::new(problem, spec, seed, comm)?;
    let mut stop = EarlyStop::new(spec.patience);
    let mut best = training.parameters().clone();
    let mut history: Vec<Epoch> = Vec::new();
    while history.len() < spec.epochs && !stop.exhausted() {
        let started = Instant::now();
        training.shuffle();
        for at in 0..problem.lanes.steps() {
            training.step(at, Asks::default())?;
            observer.step();
        }
        let record = Epoch { seconds: started.elapsed().as_secs_f64(), ..training.finish_epoch()? };
        if stop.improved(record.val_loss) {
            best.values_mut().copy_from_slice(training.parameters().values());
        }
        observer.epoch(&record, stop.best_epoch());
        history.push(record);
    }
    for (part, time) in training.spent() {
        log::debug!("{}: {:.2} s in {part}", problem.name, time.as_secs_f64());
    }
    Ok(Fitted { parameters: best, best_epoch: stop.best_epoch(), history })
}
