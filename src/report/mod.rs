//! What is made from a finished run: one file an output.
//!
//! A run tree (`models/`, `infer/<SRC>-<TGT>/split_<k>/`) is read by `crate::report::tree`;
//! the tables of the IMPROVE cross-study analysis, `runtime.json` and
//! `report.html` are written from it. The files of a single task
//! (`scores_json`, `predictions`, `history`) are written here too, so that
//! what is written and what is read stay side by side.

/// `all_scores.csv`: every score, a row each.
pub mod all_scores;
/// `corpus.json`: what the store of a run held.
pub mod corpus_json;
pub mod deck_toml;
/// The matrices G, Ga, Gn and Gna of the cross-study analysis.
pub mod generalization;
/// `history.csv`: a training, a row an epoch.
pub mod history;
pub mod html;
/// JSON files of a run.
pub mod json;
pub mod latent;
/// `<model>_<met>_G_mean.csv` and its companions.
pub mod matrices;
/// Runs and their rivals, set side by side.
pub mod models;
/// `paired_tests.csv`: whether two models differ, told from the splits that both have.
pub mod paired_tests;
pub mod phrase;
pub mod predictions;
/// `run.json`: what was run.
pub mod run_json;
/// `runtime.json`: how long it took.
pub mod runtime;
/// `test_scores.json`, `val_scores.json` and `strict_scores.json`.
pub mod scores_json;
/// Event files of TensorBoard.
pub mod tensorboard;
/// The R2 matrices as text for a terminal.
pub mod text;
pub mod tree;
/// `truth.json`: the best scores that are possible, of made-up corpora.
pub mod truth_json;
/// A model held against the naive predictor.
pub mod verdict;

use crate::Result;
use std::path::{Path, PathBuf};

/// Writes `all_scores.csv`, the generalization matrices, `paired_tests.csv` and
/// `report.html` of `models` into the folder `out`, and returns the path of the page; `title`
/// replaces the page's own title. Refuses runs of different endpoints before
/// anything is written.
pub fn write(models: &models::Models, out: &Path, title: Option<&str>) -> Result<PathBuf> {
    models.check()?;
    all_scores::write(&out.join("all_scores.csv"), models)?;
    matrices::write(out, models)?;
    paired_tests::write(&out.join("paired_tests.csv"), models)?;
    let page = out.join("report.html");
    html::write(&page, models, title)?;
    Ok(page)
}
