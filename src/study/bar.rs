use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar over the tasks of a study, on rank 0 where standard error is a
/// terminal; nothing elsewhere, where the lines of the log tell.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
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

    /// Shows how many tasks have been dealt, and what is going on.
    pub fn show(&self, dealt: usize, what: String) {
        self.bar.set_position(dealt as u64);
        self.bar.set_message(what);
    }

    /// Runs `say`, which logs, with the bar out of the way.
    pub fn log(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
