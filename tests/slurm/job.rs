use crate::cluster::{Cluster, say};
use crate::poll::wait_or_tell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Other work on the machine slows a job down; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A job that was submitted.
pub struct Job<'a> {
    cluster: &'a Cluster,
    /// Its number, for an element of an array with that of the element.
    id: String,
    since: Instant,
    /// What has been seen of it: seconds, state, nodes and restarts.
    seen: RefCell<Vec<(f64, String)>>,
}

impl<'a> Job<'a> {
    /// Submits by `sbatch` with these words.
    pub fn submit(cluster: &'a Cluster, words: &[&str]) -> Self {
        let id = cluster.command("sbatch", &[&["--parsable"], words].concat());
        Self::of(cluster, id.trim())
    }

    /// The job of this number.
    pub fn of(cluster: &'a Cluster, id: &str) -> Self {
        Self { cluster, id: id.into(), since: Instant::now(), seen: RefCell::default() }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// What Slurm knows of it now.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let text = self.cluster.command("scontrol", &["show", "job", &self.id]);
        let mut facts = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            // A path has a line for itself, and may have spaces.
            let words = if line.starts_with("StdOut=") { vec![line] } else { line.split(' ').collect() };
            let pairs = words.into_iter().filter_map(|word| word.split_once('='));
            facts.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let state = format!(
            "{} nodes={} restarts={} exit={}",
            facts["JobState"], facts["NodeList"], facts["Restarts"], facts["ExitCode"]
        );
        let mut seen = self.seen.borrow_mut();
        if seen.last().is_none_or(|(_, last)| *last != state) {
            seen.push((self.since.elapsed().as_secs_f64(), state));
        }
        facts
    }

    pub fn state(&self) -> String {
        self.facts()["JobState"].clone()
    }

    /// The nodes it has now, as `n[1-2]`.
    pub fn nodes(&self) -> String {
        self.facts()["NodeList"].clone()
    }

    pub fn restarts(&self) -> u32 {
        self.facts()["Restarts"].parse().unwrap()
    }

    /// What it has said until now, in all of its starts.
    pub fn log(&self) -> String {
        let facts = self.facts();
        let path = PathBuf::from(&facts["StdOut"]);
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Asserts that so many lines of its log have the words.
    pub fn said(&self, words: &str, times: usize) {
        let lines = self.log().lines().filter(|line| line.contains(words)).count();
        assert_eq!(lines, times, "lines with {words:?}\n{}", self.told());
    }

    /// Waits until its log has the words.
    pub fn says(&self, words: &str) {
        self.waits(&format!("{words:?} in the log"), |job| job.log().contains(words));
    }

    /// Waits until it is in this state.
    pub fn becomes(&self, state: &str) {
        self.waits(state, |job| job.state() == state);
    }

    /// Waits until something holds of it, as long as it is not over.
    pub fn waits(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let what = format!("job {}: {what}", self.id);
        let look = || {
            let state = self.state();
            let over = ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"].contains(&&*state);
            let held = holds(self);
            assert!(held || !over, "waited for {what}; it is {state}\n{}", self.told());
            held.then_some(())
        };
        wait_or_tell(&what, LIMIT, look, || self.told());
    }

    /// What has been seen of it, and its log without the lines of most epochs.
    fn told(&self) -> String {
        let log = self.log();
        let epoch = |line: &str| line.contains(": epoch ") && !line.contains("00/");
        let lines: Vec<&str> = log.lines().filter(|line| !epoch(line)).collect();
        format!("{:?}\n{}", self.seen.borrow(), lines.join("\n"))
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        for (seconds, state) in self.seen.borrow().iter() {
            say(&format!("  job {} after {seconds:5.1} s: {state}", self.id));
        }
    }
}
