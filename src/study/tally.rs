use crate::report::phrase::{count, duration};
use std::time::Instant;

/// How far a study has come, as rank 0 of the world knows it: when each task was
/// dealt, what finished ones took, and so about how long the others will.
#[derive(Debug, Clone)]
pub struct Tally {
    tasks: Vec<Entry>,
    /// Tasks that earlier jobs have completed.
    before: usize,
    /// Groups that work at once.
    groups: usize,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Pairs, which the time goes by.
    pairs: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting,
    /// Since this second of the study.
    Dealt(f64),
    /// Took so many seconds.
    Finished(f64),
}

impl Tally {
    /// Of tasks with these numbers of pairs, dealt to `groups` groups; earlier jobs have completed `before` others.
    pub fn new(pairs: &[usize], before: usize, groups: usize) -> Self {
        let task = |&pairs: &usize| Entry { pairs: pairs as f64, state: State::Waiting };
        Self { tasks: pairs.iter().map(task).collect(), before, groups, started: Instant::now() }
    }

    /// Tasks of this job.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Seconds since the study began.
    pub fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Takes it that a task is dealt.
    pub fn deal(&mut self, number: usize, now: f64) {
        self.set(number, State::Dealt(now));
    }

    /// Takes it that a task is complete, which has taken so many seconds, those of earlier jobs among them.
    pub fn finish(&mut self, number: usize, seconds: f64) {
        self.set(number, State::Finished(seconds));
    }

    /// A number that is none of this study's is passed over: it comes in a message.
    fn set(&mut self, number: usize, state: State) {
        if let Some(task) = self.tasks.get_mut(number) {
            task.state = state;
        }
    }

    /// How many tasks are complete and, once one is, about how long the others take.
    pub fn standing(&self, now: f64) -> String {
        let finished = self.tasks.iter().filter(|task| matches!(task.state, State::Finished(_))).count();
        let (done, all) = (self.before + finished, self.before + self.tasks.len());
        let done = format!("{done} of {}", count(all, "task"));
        match self.left(now) {
            Some(left) if finished < self.tasks.len() => format!("{done}, about {} left", duration(left)),
            _ => done,
        }
    }

    /// Seconds that are left if a pair takes what it took in the tasks that are complete.
    fn left(&self, now: f64) -> Option<f64> {
        let of = |value: fn(&Entry) -> Option<f64>| self.tasks.iter().filter_map(value).sum::<f64>();
        let took = of(|task| if let State::Finished(seconds) = task.state { Some(seconds) } else { None });
        let pairs = of(|task| matches!(task.state, State::Finished(_)).then_some(task.pairs));
        let rate = (pairs > 0.0).then(|| took / pairs)?;
        let rest = |task: &Entry| match task.state {
            State::Waiting => rate * task.pairs,
            State::Dealt(since) => (rate * task.pairs - (now - since)).max(0.0),
            State::Finished(_) => 0.0,
        };
        let all = self.tasks.iter().map(rest).sum::<f64>();
        let longest = self.tasks.iter().map(rest).fold(0.0, f64::max);
        Some(longest.max(all / self.groups.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_goes_by_pairs_groups_and_what_is_under_way() {
        let mut tally = Tally::new(&[400, 200, 200, 100], 1, 2);
        assert_eq!(tally.standing(0.0), "1 of 5 tasks");
        tally.deal(0, 0.0);
        tally.deal(1, 0.0);
        tally.finish(1, 20.0);
        tally.deal(2, 20.0);
        // 0.1 s a pair: 40 - 20 of the first, 20 and 10 of the others, by two groups.
        assert_eq!(tally.standing(20.0), "2 of 5 tasks, about 25 s left");
        tally.finish(2, 20.0);
        tally.finish(3, 10.0);
        // The longest alone takes what it takes.
        assert_eq!(tally.standing(30.0), "4 of 5 tasks, about 10 s left");
        assert_eq!(tally.standing(90.0), "4 of 5 tasks, about 0.0 s left");
        tally.finish(0, 90.0);
        assert_eq!(tally.standing(90.0), "5 of 5 tasks");
        tally.finish(17, 1.0);
        assert_eq!(tally.standing(90.0), "5 of 5 tasks");
    }
}
