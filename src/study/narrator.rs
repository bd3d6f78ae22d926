use super::Task;
use super::bar::Bar;
use super::farm::Farm;
use super::heartbeat::Pace;
use super::training_log::TrainingLog;
use crate::metric::Epoch;
use crate::train::{Observer, Taken};
use std::time::Instant;

/// Tells of one task's epochs and, in between, that it goes on; lets the farm
/// answer between steps, and passes on its word to stop.
pub struct Narrator<'a, 'f> {
    task: &'a Task,
    farm: &'a mut Farm<'f>,
    bar: &'a Bar,
    /// Most epochs.
    epochs: usize,
    /// On the rank that speaks for its group.
    log: Option<&'a mut TrainingLog>,
    pace: Pace,
}

impl<'a, 'f> Narrator<'a, 'f> {
    /// Of a task of at most so many epochs; `log` is given on the rank that speaks for its group.
    pub fn new(
        task: &'a Task,
        epochs: usize,
        farm: &'a mut Farm<'f>,
        bar: &'a Bar,
        log: Option<&'a mut TrainingLog>,
    ) -> Self {
        Self { task, farm, bar, epochs, log, pace: Pace::new(Instant::now()) }
    }
}

impl Observer for Narrator<'_, '_> {
    fn stop(&mut self) -> bool {
        self.farm.serve();
        self.farm.stop_wished()
    }

    fn begin(&mut self, history: &[Epoch], pairs: usize) {
        if let Some(log) = &mut self.log {
            log.begin(history, pairs);
        }
        self.pace = Pace::new(Instant::now());
    }

    fn step(&mut self, taken: &Taken) {
        self.pace.count(taken);
        let now = Instant::now();
        if self.farm.beat_is_due(now) {
            let said = self.pace.say(taken, self.epochs, now);
            self.farm.beat(&format!("{}: {said}", self.task), now);
        }
    }

    fn epoch(&mut self, e: &Epoch, best: usize) {
        let Some(log) = &mut self.log else { return };
        log.epoch(e);
        let what = format!("{}: epoch {}/{}", self.task, e.epoch, self.epochs);
        self.bar.show(self.farm.dealt(), what);
        self.bar.log(|| {
            log::info!(
                "{}: epoch {}/{} loss {:.5} val mse {:.5} val r2 {:.4} best {best} ({:.2} s)",
                self.task,
                e.epoch,
                self.epochs,
                e.train_loss,
                e.val_loss,
                e.val_r2,
                e.seconds
            );
        });
    }
}
