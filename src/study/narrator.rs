use super::Task;
use super::farm::Farm;
use super::heartbeat::Pace;
use super::training_log::TrainingLog;
use crate::metric::Epoch;
use crate::train::{Observer, Taken};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// A bar over the tasks of a study, on rank 0 where standard error is a
/// terminal; nothing elsewhere, where the lines of the log tell.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For this many tasks, if `shown`.
    pub fn new(tasks: usize, shown: bool) -> Self {
        // A dumb terminal cannot go back to the start of a line.
        let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if !(shown && able && std::io::stderr().is_terminal()) {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(tasks as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} tasks dealt  {msg}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Runs `say`, which logs, with the bar out of the way.
    pub fn log(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Tells of one task's epochs and, in between, that it goes on; lets the farm
/// answer between steps, and passes on its word to stop.
pub struct Narrator<'a, 'f> {
    task: &'a Task,
    farm: &'a mut Farm<'f>,
    progress: &'a Progress,
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
        progress: &'a Progress,
        log: Option<&'a mut TrainingLog>,
    ) -> Self {
        Self { task, farm, progress, epochs, log, pace: Pace::new(Instant::now()) }
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
        self.progress.bar.set_position(self.farm.dealt() as u64);
        self.progress.bar.set_message(format!("{}: epoch {}/{}", self.task, e.epoch, self.epochs));
        self.progress.log(|| {
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
