use super::{Corpus, Task};
use crate::checksum::checksum;
use crate::lock::Lock;
use crate::report::json;
use crate::train::{Checkpoints, Identity};
use crate::{Error, Result, atomic, baseline};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a complete study tells of itself; it is written last.
pub const RUN: &str = "run.json";
/// What a folder holds the results of.
pub const STUDY: &str = "study.json";
const JOURNAL: &str = "journal";
const CHECKPOINTS: &str = "checkpoints";
/// What trainings say while they go on; jobs may keep their own log files there, too.
const LOGS: &str = "logs";

/// Files that a run writes beside its folders; its deck, which another may be started by, is written over.
const MADE: [&str; 7] =
    ["all_scores.csv", "paired_tests.csv", "corpus.json", "truth.json", "runtime.json", RUN, "report.html"];
/// Ends of the names of its tables, behind model and metric.
const TABLES: [&str; 5] = ["_G_mean.csv", "_G_std.csv", "_Gn_mean.csv", "_Ga.csv", "_Gna.csv"];

/// What to do with a run that the folder of results holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Go on with it; without one, start.
    #[default]
    GoOn,
    /// The same, with a warning where there is none.
    Resume,
    /// Remove it and start anew.
    Fresh,
}

/// `study.json`: what a folder holds the results of. Results of another study
/// are never mixed with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Version of the program that began it.
    pub crossrx: String,
    /// Digest of the store.
    pub store: String,
    /// The keys of the deck that decide results.
    pub deck: BTreeMap<String, String>,
    /// Ranks a task, which decide results too where `train.lanes` is not fixed.
    pub ranks_per_task: usize,
    /// The jobs that have worked on it.
    jobs: Vec<Job>,
}

/// A job that has worked on a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    /// Start, UTC, ISO 8601.
    started: String,
    ranks: usize,
    /// Wall seconds; of one that was killed, up to the last word of it.
    seconds: f64,
}

/// The right of this job to work on a study, and its word of how long it did.
#[derive(Debug)]
pub struct Claim {
    _lock: Lock,
    path: PathBuf,
    study: Study,
    since: Instant,
}

impl Claim {
    /// The right of who holds `lock`, written down at `path`.
    pub fn new(lock: Lock, path: PathBuf, study: Study) -> Self {
        Self { _lock: lock, path, study, since: Instant::now() }
    }

    /// Counts this job among those that have worked on the study.
    pub fn begin(&mut self, started: &str, ranks: usize) -> Result<()> {
        self.study.jobs.push(Job { started: started.into(), ranks, seconds: 0.0 });
        json::write(&self.path, &self.study)
    }

    /// Writes down how long this job has worked so far; no work fails for it.
    pub fn keep(&mut self) {
        if let Some(job) = self.study.jobs.last_mut() {
            job.seconds = self.since.elapsed().as_secs_f64();
        }
        if let Err(error) = json::write(&self.path, &self.study) {
            log::warn!("the time of this job is not kept: {error}");
        }
    }

    /// Number of jobs, and wall seconds of all of them so far.
    pub fn jobs(&self) -> (usize, f64) {
        let earlier = self.study.jobs.iter().rev().skip(1).map(|job| job.seconds).sum::<f64>();
        (self.study.jobs.len(), earlier + self.since.elapsed().as_secs_f64())
    }
}

/// What is recorded of a finished task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its name.
    pub task: String,
    /// Wall seconds of training, of all jobs that it took.
    pub training: f64,
    /// Wall seconds of scoring.
    pub scoring: f64,
}

/// Where the results of a study stand in its folder, and which are complete:
/// a task is, when `journal/<SRC>/split_<k>.json` names it, which is written
/// once all of its results are there.
#[derive(Debug, Clone)]
pub struct Journal {
    out: PathBuf,
    /// Digest of deck and store.
    study: String,
}

impl Study {
    /// That of `corpus`, before a job has begun it.
    fn of(corpus: &Corpus) -> Result<Self> {
        Ok(Self::new(corpus.store_digest()?, corpus.deck.deciding()?, 0))
    }

    /// Of a store by its digest, and of these keys of a deck, before a job has begun it.
    pub fn new(store: &str, deck: BTreeMap<String, String>, ranks_per_task: usize) -> Self {
        let crossrx = env!("CARGO_PKG_VERSION").into();
        Self { crossrx, store: store.into(), deck, ranks_per_task, jobs: Vec::new() }
    }

    /// Of store and keys.
    pub fn digest(&self) -> String {
        let keys: String = self.deck.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        checksum(format!("{}\n{keys}", self.store).as_bytes())
    }

    /// Whether its deck has this key, which tells kinds of decks apart.
    pub fn decided_by(&self, key: &str) -> bool {
        self.deck.contains_key(key)
    }

    /// What in `self`, which a folder is of, is other than now.
    pub fn difference(&self, now: &Study) -> Option<String> {
        let unset = || "not set".to_string();
        let keys = self.deck.keys().chain(now.deck.keys());
        let mut changed = keys.filter(|key| self.deck.get(*key) != now.deck.get(*key));
        if let Some(key) = changed.next() {
            let value = |of: &Study| of.deck.get(key).cloned().unwrap_or_else(unset);
            return Some(format!("{key} was {} and is {}", value(self), value(now)));
        }
        (self.store != now.store).then(|| format!("the store was {} and is {}", self.store, now.store))
    }
}

impl Journal {
    /// Of the study of `corpus` in `out`. Every rank makes one.
    pub fn new(out: &Path, corpus: &Corpus) -> Result<Self> {
        Ok(Self { out: out.into(), study: Study::of(corpus)?.digest() })
    }

    /// Looks at what the folder holds, and changes nothing: `None` where that is
    /// no result of any study, an error where it is not of this one.
    fn look(&self, corpus: &Corpus) -> Result<Option<Study>> {
        let path = self.out.join(STUDY);
        let entries = match fs::read_dir(&self.out) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&self.out, "cannot read the folder", e)),
        };
        if !entries.flatten().any(|entry| is_result(&entry.file_name())) {
            return Ok(None);
        }
        if !path.exists() {
            let what = "holds another run or other files; choose another --out, or remove it";
            return Err(Error::run(&self.out, what));
        }
        let there: Study = json::read(&path)?;
        match there.difference(&Study::of(corpus)?) {
            None => Ok(Some(there)),
            Some(difference) => {
                let what = format!(
                    "holds the study of another deck or store: {difference}; choose another --out, or start over with --fresh"
                );
                Err(Error::run(&self.out, what))
            }
        }
    }

    /// Takes the folder for this study, which one job at a time may, while it
    /// holds the lock: it must be empty, or hold the same study. Called on one rank.
    pub fn claim(
        &self,
        corpus: &Corpus,
        tasks: &[Task],
        ranks_per_task: usize,
        start: Start,
    ) -> Result<Claim> {
        let (out, path) = (&self.out, self.out.join(STUDY));
        fs::create_dir_all(out).map_err(|e| Error::io(out, "cannot create the folder", e))?;
        let taken = || Error::run(out, "another job is at work in this folder");
        let lock = Lock::take(&path, true, taken)?;
        let claim = |study| Claim::new(lock, path.clone(), study);
        let now = Study { ranks_per_task, ..Study::of(corpus)? };
        if path.exists() && start == Start::Fresh {
            // Another program's file of that name does not make its folder one of ours.
            if !json::read::<Study>(&path)?.decided_by("data.sources") {
                return Err(Error::run(out, "holds a pretraining, not a study; choose another --out"));
            }
            self.clear()?;
            json::write(&path, &now)?;
            return Ok(claim(now));
        }
        sweep(out, 4)?;
        let Some(there) = self.look(corpus)? else {
            if start == Start::Resume {
                log::warn!("{}: there is nothing to resume: starting", out.display());
            }
            json::write(&path, &now)?;
            return Ok(claim(now));
        };
        if there.crossrx != now.crossrx {
            log::warn!("{}: begun by crossrx {}, this is {}", out.display(), there.crossrx, now.crossrx);
        }
        if corpus.deck.train.lanes.is_none() && there.ranks_per_task != now.ranks_per_task {
            log::warn!(
                "{}: begun with {} ranks a task, going on with {}: what is trained from here on differs from what it would have been; fix train.lanes",
                out.display(),
                there.ranks_per_task,
                now.ranks_per_task
            );
        }
        for task in tasks {
            let record = self.record_path(task);
            if is_there(&record)? && !self.has_all(corpus, task)? {
                log::warn!("{task}: results are missing that the journal names; it is run again");
                fs::remove_file(&record).map_err(|e| Error::io(&record, "cannot remove", e))?;
            }
        }
        Ok(claim(there))
    }

    /// Removes the results that the folder holds; the word of what they are is
    /// left for its successor to replace.
    fn clear(&self) -> Result<()> {
        log::warn!("{}: removing the run that it holds", self.out.display());
        for folder in [JOURNAL, CHECKPOINTS, "models", "infer", baseline::FOLDER] {
            atomic::remove_folder(&self.out.join(folder))?;
        }
        self.clear_logs()?;
        let failed = |e| Error::io(&self.out, "cannot remove the run that it holds", e);
        for entry in fs::read_dir(&self.out).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if MADE.contains(&&*name) || TABLES.iter().any(|end| name.ends_with(end)) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes the logs of trainings. What else is there is a job's, even this one's, or the user's.
    fn clear_logs(&self) -> Result<()> {
        let logs = self.out.join(LOGS);
        for source in folders(&logs)? {
            for split in folders(&source)? {
                if split.file_name().is_some_and(|name| name.to_string_lossy().starts_with("split_")) {
                    atomic::remove_folder(&split)?;
                }
            }
            // Unless it holds something else.
            let _ = fs::remove_dir(&source);
        }
        Ok(())
    }

    fn record_path(&self, task: &Task) -> PathBuf {
        self.out.join(JOURNAL).join(&task.source).join(format!("split_{}.json", task.split))
    }

    /// The numbers of the tasks that are not complete; all of them where the
    /// folder is to start over. An error where it holds something else.
    pub fn missing(&self, corpus: &Corpus, tasks: &[Task], start: Start) -> Result<Vec<usize>> {
        let anew = start == Start::Fresh && self.out.join(STUDY).exists();
        if anew || self.look(corpus)?.is_none() {
            return Ok((0..tasks.len()).collect());
        }
        let mut missing = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            if !(is_there(&self.record_path(task))? && self.has_all(corpus, task)?) {
                missing.push(number);
            }
        }
        Ok(missing)
    }

    /// Whether the model of a task is there, and the scores of every target.
    fn has_all(&self, corpus: &Corpus, task: &Task) -> Result<bool> {
        let scores = corpus.deck.data.targets.iter().flat_map(|target| self.scores_of_all(task, target));
        all_there(std::iter::once(self.model(task)).chain(scores))
    }

    /// Records that all results of a task are there.
    pub fn complete(&self, task: &Task, record: &TaskRecord) -> Result<()> {
        json::write(&self.record_path(task), record)
    }

    /// The record of a complete task.
    pub fn record(&self, task: &Task) -> Result<TaskRecord> {
        json::read(&self.record_path(task))
    }

    /// Where the model of a task goes.
    pub fn model(&self, task: &Task) -> PathBuf {
        self.out.join("models").join(&task.source).join(format!("split_{}", task.split))
    }

    /// Where the training of a task says how it goes.
    pub fn log(&self, task: &Task) -> PathBuf {
        self.out.join(LOGS).join(&task.source).join(format!("split_{}", task.split))
    }

    /// Where the scores of a target go, in this folder or below it.
    fn scores(run: &Path, task: &Task, target: &str) -> PathBuf {
        run.join("infer").join(format!("{}-{target}", task.source)).join(format!("split_{}", task.split))
    }

    /// The scores of a target: the network's, then those of each baseline.
    pub fn scores_of_all(&self, task: &Task, target: &str) -> Vec<PathBuf> {
        let baselines = baseline::NAMES.iter().map(|name| self.out.join(baseline::FOLDER).join(name));
        std::iter::once(self.out.clone())
            .chain(baselines)
            .map(|run| Self::scores(&run, task, target))
            .collect()
    }

    /// Whether all scores of a target are there.
    pub fn is_scored(&self, task: &Task, target: &str) -> Result<bool> {
        all_there(self.scores_of_all(task, target))
    }

    /// Removes what an earlier job has left of an incomplete task.
    pub fn forget(&self, task: &Task, targets: &[String]) -> Result<()> {
        for target in targets {
            self.forget_scores(task, target)?;
        }
        atomic::remove_folder(&self.model(task))
    }

    /// Removes the scores of a target.
    pub fn forget_scores(&self, task: &Task, target: &str) -> Result<()> {
        self.scores_of_all(task, target).iter().try_for_each(|folder| atomic::remove_folder(folder))
    }

    /// The checkpoints of a task.
    pub fn checkpoints(&self, corpus: &Corpus, task: &Task) -> Result<Checkpoints> {
        let folder = self.out.join(CHECKPOINTS).join(&task.source).join(format!("split_{}", task.split));
        let identity = Identity { task: task.to_string(), study: self.study.clone() };
        Ok(Checkpoints::new(folder, identity, corpus.deck.to_toml()?, &corpus.deck.checkpoint))
    }

    /// Removes the word that the study is complete, while it is not.
    pub fn reopen(&self) -> Result<()> {
        let path = self.out.join(RUN);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, "cannot remove", e)),
            _ => Ok(()),
        }
    }

    /// Removes the folder of checkpoints, which a finished study does not need.
    pub fn finish(&self) -> Result<()> {
        atomic::remove_folder(&self.out.join(CHECKPOINTS))
    }
}

/// Whether a name in a folder of results is that of one: beside locks, what a killed job has left half-written, and
/// the logs that a job or its batch system has begun before it comes here.
pub fn is_result(name: &OsStr) -> bool {
    let end = Path::new(name).extension();
    let is_log = name == LOGS || end.is_some_and(|end| end == "log" || end == "out" || end == "err");
    name != STUDY && !is_log && !name.to_string_lossy().starts_with('.')
}

/// Whether something is at `path`. What cannot be looked at is not taken for absent.
fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| Error::io(path, "cannot look at", e))
}

/// The folders in a folder, which may be absent or a file.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(path, "cannot read the folder", e);
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn all_there(paths: impl IntoIterator<Item = PathBuf>) -> Result<bool> {
    for path in paths {
        if !is_there(&path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what a killed job has left half-written in `folder`, `depth` folders deep.
pub fn sweep(folder: &Path, depth: usize) -> Result<()> {
    let failed = |e| Error::io(folder, "cannot clear of what a killed job has left", e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, is_folder) = (entry.path(), entry.file_type().map_err(failed)?.is_dir());
        match (entry.file_name().to_string_lossy().starts_with(".partial-"), is_folder) {
            (true, true) => fs::remove_dir_all(&path).map_err(failed)?,
            (true, false) => fs::remove_file(&path).map_err(failed)?,
            (false, true) if depth > 0 => sweep(&path, depth - 1)?,
            _ => {}
        }
    }
    Ok(())
}
