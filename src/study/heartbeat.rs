use crate::report::phrase::{count, duration};
use crate::train::Taken;
use std::time::{Duration, Instant};

/// When to say that work goes on.
#[derive(Debug)]
pub struct Heartbeat {
    every: Option<Duration>,
    last: Instant,
}

impl Heartbeat {
    /// At such intervals, or never.
    pub fn new(every: Option<Duration>) -> Self {
        Self { every, last: Instant::now() }
    }

    /// Whether the time has come.
    #[inline]
    pub fn due(&self, now: Instant) -> bool {
        self.every.is_some_and(|every| now.saturating_duration_since(self.last) >= every)
    }

    /// Starts the next interval.
    pub fn said(&mut self, now: Instant) {
        self.last = now;
    }
}

/// How fast a training goes.
#[derive(Debug)]
pub struct Pace {
    /// When this job began to train.
    begun: Instant,
    /// Steps that it has taken.
    steps: usize,
    /// When it was last asked, and pairs since.
    asked: Instant,
    pairs: usize,
}

impl Pace {
    /// From here on.
    pub fn new(now: Instant) -> Self {
        Self { begun: now, steps: 0, asked: now, pairs: 0 }
    }

    /// Counts a step.
    #[inline]
    pub fn count(&mut self, taken: &Taken) {
        self.steps += 1;
        self.pairs += taken.pairs;
    }

    /// Where a training of at most so many epochs is, how fast it has gone since this was last asked, and how
    /// long it takes at most at the speed of this job.
    pub fn say(&mut self, taken: &Taken, epochs: usize, now: Instant) -> String {
        let seconds = |since| now.saturating_duration_since(since).as_secs_f64();
        let Taken { epoch, at, steps, loss, .. } = *taken;
        let speed = self.pairs as f64 / seconds(self.asked).max(1e-9);
        let left = (epochs.saturating_sub(epoch) as f64 * steps as f64) + (steps - at.min(steps)) as f64;
        let left = left * seconds(self.begun) / self.steps.max(1) as f64;
        (self.asked, self.pairs) = (now, 0);
        let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.5}"));
        let (speed, left) = (thousands(speed), duration(left));
        format!("epoch {epoch}/{epochs} step {at}/{steps}{loss}, {speed} samples/s, at most {left} left")
    }
}

/// How much of a dataset has been scored by the rank that speaks.
pub fn scoring(target: &str, done: usize, all: usize) -> String {
    format!("scoring {target}, {:.0} %", 100.0 * done as f64 / all.max(1) as f64)
}

/// That there is nothing to do but wait.
pub fn waiting(tasks: usize) -> String {
    format!("waiting for {} of other groups", count(tasks, "task"))
}

/// A number with its thousands apart, as in "1,234,567".
fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_every_interval_and_never_without_one() {
        let start = Instant::now();
        let mut heart = Heartbeat::new(Some(Duration::from_secs(60)));
        assert!(!heart.due(start + Duration::from_secs(59)));
        let later = start + Duration::from_secs(61);
        assert!(heart.due(later));
        heart.said(later);
        assert!(!heart.due(later + Duration::from_secs(59)) && heart.due(later + Duration::from_secs(60)));
        assert!(!Heartbeat::new(None).due(later));
    }

    #[test]
    fn speed_is_of_the_interval_and_time_left_of_the_whole() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let step = |epoch, at| Taken { epoch, at, steps: 100, pairs: 2_000, loss: Some(0.0123456) };
        (1..=50).for_each(|at| pace.count(&step(1, at)));
        let said = pace.say(&step(1, 50), 3, start + Duration::from_secs(10));
        assert_eq!(said, "epoch 1/3 step 50/100, loss 0.01235, 10,000 samples/s, at most 50 s left");
        (51..=100).for_each(|at| pace.count(&step(1, at)));
        let said = pace.say(&Taken { loss: None, ..step(1, 100) }, 3, start + Duration::from_secs(30));
        assert_eq!(said, "epoch 1/3 step 100/100, 5,000 samples/s, at most 60 s left");
    }

    #[test]
    fn numbers_are_parted_at_thousands() {
        let said = [0.0, 999.4, 1e3, 1_234_567.0].map(thousands);
        assert_eq!(said, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(scoring("NCI60", 1, 3), "scoring NCI60, 33 %");
        assert_eq!(waiting(1), "waiting for 1 task of other groups");
    }
}
