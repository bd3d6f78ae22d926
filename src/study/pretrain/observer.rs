use crate::metric::Epoch;
use crate::stop;
use crate::study::heartbeat::{Heartbeat, Pace};
use crate::study::training_log::TrainingLog;
use crate::train::{Observer, Taken};
use std::time::{Duration, Instant};

/// Tells of the epochs of a pretraining and, in between, that it goes on; passes on the wish to stop.
pub struct Teller {
    /// Most epochs.
    epochs: usize,
    /// On the rank that speaks.
    log: Option<TrainingLog>,
    heart: Heartbeat,
    pace: Pace,
}

impl Teller {
    /// Of a training of at most so many epochs; `log` is given on the rank that speaks, which says at intervals of
    /// `every` how it goes.
    pub fn new(epochs: usize, log: Option<TrainingLog>, every: Option<Duration>) -> Self {
        let heart = Heartbeat::new(every.filter(|_| log.is_some()));
        Self { epochs, log, heart, pace: Pace::new(Instant::now()) }
    }

    /// Brings the log up to this history: the training has ended.
    pub fn finish(&mut self, history: &[Epoch]) {
        self.log.iter_mut().for_each(|log| log.finish(history));
    }

    /// Brings the log up to the last epoch: the training has stopped.
    pub fn settle(&mut self) {
        self.log.iter_mut().for_each(TrainingLog::settle);
    }
}

impl Observer for Teller {
    fn stop(&mut self) -> bool {
        stop::wished()
    }

    fn begin(&mut self, history: &[Epoch], pairs: usize) {
        self.log.iter_mut().for_each(|log| log.begin(history, pairs));
        self.pace = Pace::new(Instant::now());
    }

    fn step(&mut self, taken: &Taken) {
        self.pace.count(taken);
        let now = Instant::now();
        if self.heart.due(now) {
            log::info!("pretraining: {}", self.pace.say(taken, self.epochs, now));
            self.heart.said(now);
        }
    }

    fn epoch(&mut self, e: &Epoch, best: usize) {
        let Some(log) = &mut self.log else { return };
        log.epoch(e);
        log::info!(
            "epoch {}/{} loss {:.5} val error {:.5} val r2 {:.4} best {best} ({:.2} s)",
            e.epoch,
            self.epochs,
            e.train_loss,
            e.val_loss,
            e.val_r2,
            e.seconds
        );
    }
}
