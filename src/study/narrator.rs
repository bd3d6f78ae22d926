use super::Task;
use super::farm::Farm;
use crate::metric::Epoch;
use crate::train::Observer;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar over the tasks of a study, on rank 0 where standard error is a
/// terminal; nothing elsewhere, where the lines of the log tell.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For this many tasks, if `shown`.
    pub fn new(tasks: usize, shown: bool) -> Self {
        if !shown || !std::io::stderr().is_terminal() {
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

/// Tells of one task's epochs, lets the farm answer between steps, and passes on
/// its word to stop.
pub struct Narrator<'a, 'f> {
    /// What is trained.
    pub task: &'a Task,
    /// Who deals the tasks.
    pub farm: &'a mut Farm<'f>,
    /// Where to show them.
    pub progress: &'a Progress,
    /// Whether this rank speaks for its group.
    pub speaks: bool,
    /// Most epochs.
    pub epochs: usize,
}

impl Observer for Narrator<'_, '_> {
    fn stop(&mut self) -> bool {
        self.farm.serve();
        self.farm.stop_wished()
    }

    fn epoch(&mut self, e: &Epoch, best: usize) {
        if !self.speaks {
            return;
        }
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
