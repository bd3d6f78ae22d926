//! Reads the tree of a run, this program's own or another's:
//!
//! ```text
//! RUN/infer/<SRC>-<TGT>/split_<k>/test_scores.json     the only files that must be there,
//!                                                       or else test_y_data_predicted.csv
//! RUN/infer/<SRC>-<TGT>/split_<k>/test_y_data_predicted.csv, strict_scores.json
//! RUN/models/<SRC>/split_<k>/history.csv
//! RUN/baseline/<name>/...                               the same again for each rival
//! RUN/run.json  deck.toml  corpus.json  truth.json  runtime.json
//! ```

mod names;

use super::corpus_json;
use super::history;
use super::json;
use super::predictions::read_sample;
use super::run_json::{self, RunInfo};
use super::runtime::{self, Runtime};
use super::scores_json::{self, StrictScores};
use super::truth_json::{self, Truth};
use crate::metric::{Epoch, Metric, Scores};
use crate::store::StoreSummary;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What one source, target and split came to.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Scores over all test pairs, absent where not scored.
    pub scores: Option<Scores>,
    /// Scores over the parts that training cannot have shown.
    pub strict: Option<StrictScores>,
    /// The table of predictions.
    pub predictions: Option<PathBuf>,
}

/// A run read into memory, all but its tables of predictions.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder.
    pub dir: PathBuf,
    /// Name of the model: `run.json`'s, or else the folder's.
    pub model: String,
    /// `run.json`; all defaults where there is none.
    pub info: RunInfo,
    /// Datasets trained on.
    pub sources: Vec<String>,
    /// Datasets scored.
    pub targets: Vec<String>,
    /// Splits met, ascending.
    pub splits: Vec<u32>,
    /// By source, target and split.
    pub cells: BTreeMap<(usize, usize), BTreeMap<u32, Cell>>,
    /// By source and split.
    pub histories: BTreeMap<(usize, u32), Vec<Epoch>>,
    /// The resolved deck, as text; of a rival without one that of the run that it ran with.
    pub deck: Option<String>,
    /// What the store holds.
    pub corpus: Option<StoreSummary>,
    /// Best possible scores.
    pub truth: Option<Truth>,
    /// Seconds by part.
    pub runtime: Option<Runtime>,
    /// Rivals that ran with it, the naive mean effects among them.
    pub baselines: Vec<Run>,
    /// What is missing or was passed over, a sentence each.
    pub notes: Vec<String>,
}

impl Run {
    /// Reads the run in `dir`. Optional files that are malformed are noted and
    /// passed over; a malformed score, or a folder without any, is an error.
    pub fn read(dir: &Path) -> Result<Run> {
        let mut run = read_one(dir)?;
        let rivals = dir.join("baseline");
        if rivals.is_dir() {
            for (name, path) in folders(&rivals)? {
                match read_one(&path) {
                    Ok(rival) => {
                        run.baselines.push(Run { deck: rival.deck.or_else(|| run.deck.clone()), ..rival })
                    }
                    Err(e) => run.notes.push(format!("Baseline {name} is left out: {e}.")),
                }
            }
        }
        Ok(run)
    }

    /// Finite values of `metric` by split for a source and target.
    pub fn values(&self, metric: Metric, source: usize, target: usize) -> Vec<(u32, f64)> {
        self.scored(metric, source, target).filter(|(_, v)| v.is_finite()).collect()
    }

    /// Values of `metric` by split for a source and target, NaN where a split
    /// was scored but the metric is not defined.
    pub fn scored(&self, metric: Metric, source: usize, target: usize) -> impl Iterator<Item = (u32, f64)> {
        let splits = self.cells.get(&(source, target)).into_iter().flatten();
        splits.filter_map(move |(&split, cell)| Some((split, metric.of(cell.scores.as_ref()?))))
    }

    /// The position of a source and a target by name.
    pub fn place(&self, source: &str, target: &str) -> Option<(usize, usize)> {
        let at = |names: &[String], name: &str| names.iter().position(|n| n == name);
        Some((at(&self.sources, source)?, at(&self.targets, target)?))
    }
}

fn read_one(dir: &Path) -> Result<Run> {
    let infer = dir.join("infer");
    if !infer.is_dir() {
        return Err(Error::run(dir, "holds no run: there is no folder infer/ in it"));
    }
    let mut notes = Vec::new();
    let info = optional(&dir.join("run.json"), &mut notes, run_json::read).unwrap_or_default();
    let models = dir.join("models");
    let trained = if models.is_dir() { folders(&models)? } else { Vec::new() };
    let pairs = folders(&infer)?;
    let resolved = names::resolve(&infer, &pairs, &info, &trained)?;
    let sources = names::ordered(&info.sources, resolved.iter().map(|(source, _)| source));
    let targets = names::ordered(&info.targets, resolved.iter().map(|(_, target)| target));
    let mut run = Run {
        dir: dir.into(),
        model: name_of(dir, &info),
        deck: optional(&dir.join("deck.toml"), &mut notes, json::read_text),
        corpus: optional(&dir.join("corpus.json"), &mut notes, corpus_json::read),
        truth: optional(&dir.join("truth.json"), &mut notes, truth_json::read),
        runtime: optional(&dir.join("runtime.json"), &mut notes, runtime::read),
        info,
        sources,
        targets,
        splits: Vec::new(),
        cells: BTreeMap::new(),
        histories: BTreeMap::new(),
        baselines: Vec::new(),
        notes,
    };
    for ((_, path), (source, target)) in pairs.iter().zip(&resolved) {
        let Some(place) = run.place(source, target) else { continue };
        for (split, folder) in splits(path, &mut run.notes)? {
            let cell = read_cell(&folder, &run.info.endpoint, &mut run.notes)?;
            run.cells.entry(place).or_default().insert(split, cell);
        }
    }
    for (name, path) in &trained {
        let Some(source) = run.sources.iter().position(|s| s == name) else { continue };
        for (split, folder) in splits(path, &mut run.notes)? {
            if let Some(rows) = optional(&folder.join("history.csv"), &mut run.notes, history::read) {
                run.histories.insert((source, split), rows);
            }
        }
    }
    let met = run.cells.values().flat_map(BTreeMap::keys);
    run.splits = met.chain(&run.info.splits).copied().collect();
    run.splits.sort_unstable();
    run.splits.dedup();
    if !run.cells.values().flat_map(BTreeMap::values).any(|cell| cell.scores.is_some()) {
        return Err(Error::run(&infer, "no <SOURCE>-<TARGET>/split_<k>/test_scores.json in it"));
    }
    run.notes.extend(missing(&run));
    Ok(run)
}

fn read_cell(folder: &Path, endpoint: &str, notes: &mut Vec<String>) -> Result<Cell> {
    let scores = folder.join("test_scores.json");
    let predictions = folder.join("test_y_data_predicted.csv");
    let mut cell = Cell {
        scores: scores.exists().then(|| scores_json::read(&scores)).transpose()?,
        strict: optional(&folder.join("strict_scores.json"), notes, scores_json::read_strict),
        predictions: predictions.exists().then_some(predictions),
    };
    if let (None, Some(table)) = (cell.scores, &cell.predictions) {
        let endpoint = Some(endpoint).filter(|name| !name.is_empty());
        let sample = read_sample(table, endpoint, usize::MAX)?;
        notes.push(format!("{} was missing: scored from the predictions beside it.", scores.display()));
        notes.extend(sample.without_prediction(table));
        let (truth, predicted): (Vec<f32>, Vec<f32>) = sample.points.into_iter().unzip();
        cell.scores = Some(Scores::of(&truth, &predicted));
    }
    Ok(cell)
}

fn missing(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    for (s, source) in run.sources.iter().enumerate() {
        for (t, target) in run.targets.iter().enumerate() {
            let cells = run.cells.get(&(s, t));
            let scored = |k: &&u32| cells.and_then(|c| c.get(k)).is_some_and(|c| c.scores.is_some());
            let gaps: Vec<String> = run.splits.iter().filter(|k| !scored(k)).map(u32::to_string).collect();
            if gaps.len() == run.splits.len() {
                notes.push(format!("{}: {source} → {target} was not scored.", run.model));
            } else if !gaps.is_empty() {
                notes.push(format!("{}: {source} → {target} lacks split {}.", run.model, gaps.join(", ")));
            }
            let undefined = run.scored(Metric::R2, s, t).filter(|(_, r2)| !r2.is_finite());
            let undefined: Vec<String> = undefined.map(|(split, _)| split.to_string()).collect();
            if !undefined.is_empty() {
                notes.push(format!(
                    "{}: {source} → {target}: R2 undefined on split {}.",
                    run.model,
                    undefined.join(", ")
                ));
            }
        }
    }
    notes
}

fn optional<T>(path: &Path, notes: &mut Vec<String>, read: impl FnOnce(&Path) -> Result<T>) -> Option<T> {
    if !path.exists() {
        return None;
    }
    read(path).map_err(|e| notes.push(format!("Passed over: {e}."))).ok()
}

fn name_of(dir: &Path, info: &RunInfo) -> String {
    if !info.model.is_empty() {
        return info.model.clone();
    }
    let full = dir.canonicalize().unwrap_or_else(|_| dir.into());
    full.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
}

fn splits(path: &Path, notes: &mut Vec<String>) -> Result<Vec<(u32, PathBuf)>> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (name, folder) in folders(path)? {
        match name.strip_prefix("split_").and_then(|k| k.parse().ok()) {
            Some(k) if found.iter().any(|(met, _)| *met == k) => {
                return Err(Error::run(
                    &folder,
                    format!("split {k} is there twice: remove one of the folders"),
                ));
            }
            Some(k) => found.push((k, folder)),
            None => notes.push(format!("Passed over: {} is not named split_<k>.", folder.display())),
        }
    }
    Ok(found)
}

/// The folders in `path` by name, sorted; drafts of unfinished work and hidden
/// ones left out.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |e| Error::io(path, "cannot list the folder", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let folder = entry.map_err(failed)?.path();
        let Some(name) = folder.file_name().and_then(|n| n.to_str()) else {
            return Err(Error::run(&folder, "the name of this folder is not UTF-8"));
        };
        if !name.starts_with('.') && folder.is_dir() {
            found.push((name.to_string(), folder.clone()));
        }
    }
    found.sort();
    Ok(found)
}
