use std::time::{Duration, Instant};

/// Says how far a long write has come, one plain line every few seconds.
pub(super) struct Progress<'a> {
    what: &'a str,
    total: usize,
    said: Instant,
}

impl<'a> Progress<'a> {
    pub fn new(what: &'a str, total: usize) -> Self {
        Progress { what, total, said: Instant::now() }
    }

    pub fn at(&mut self, done: usize) {
        const EVERY: Duration = Duration::from_secs(5);
        if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            log::info!("{}: {done} of {} written", self.what, self.total);
        }
    }
}
