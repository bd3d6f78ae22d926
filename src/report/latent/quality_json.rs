use crate::report::json;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `quality.json`: what a pretraining has read, and how good the latent space
/// is that it has learned. What could not be measured is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// `autoencoder` or `pca`.
    pub kind: String,
    /// Columns that the encoder reads.
    pub columns: u64,
    /// Values of a latent row.
    pub latent: u64,
    /// Rows learned from and held out.
    pub rows: Rows,
    /// Studies, in the order of the deck.
    pub studies: Vec<Study>,
    /// Classes of the rows; none where no class is known.
    pub classes: Vec<Class>,
    /// `label <table>, ...`, `k-means`, both in that order, or `none`.
    pub class_origin: String,
    /// What an error is of: `mse` or `bce`.
    #[serde(default = "squared")]
    pub loss: String,
    /// Reconstruction of all rows.
    pub reconstruction: Reconstruction,
    /// Reconstruction of the rows of each study.
    pub by_study: Vec<StudyReconstruction>,
    /// Silhouettes (Rousseeuw 1987) of the latent rows.
    pub silhouette: Silhouette,
    /// Leave-one-out nearest neighbours in latent space.
    pub knn: Neighbours,
    /// Shares of the variance of the latent rows that the first two principal
    /// components hold.
    pub pc_variance: Vec<f64>,
    /// Wall seconds by part.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
}

/// Rows by part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Learned from.
    pub train: u64,
    /// Held out.
    pub val: u64,
}

/// A sample feature table that was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Name of the table.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: u64,
    /// Those of them that the encoder does not read: other studies lack them, or
    /// the filter dropped them.
    pub dropped_columns: u64,
}

/// A class of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Name of the class.
    pub name: String,
    /// Rows that have it.
    pub rows: u64,
}

/// Mean error of a row, in the loss of the deck, and the part gone of what it
/// is where every value is the training mean: of squared errors, the part of
/// the variance of the scaled columns that is reconstructed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Error on the rows learned from.
    pub train: Option<f64>,
    /// Error on the rows held out.
    pub val: Option<f64>,
    /// Part gone on the rows learned from, at most 1.
    pub r2_train: Option<f64>,
    /// Part gone on the rows held out, at most 1.
    pub r2_val: Option<f64>,
}

/// The same of the rows of one study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyReconstruction {
    /// Name of the study.
    pub name: String,
    /// As in [`Reconstruction`].
    #[serde(flatten)]
    pub of: Reconstruction,
}

/// Mean silhouettes, in [-1, 1]: 1 where groups lie far apart, 0 where they
/// lie in one another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Silhouette {
    /// Of the classes.
    pub class: Option<f64>,
    /// Of the studies.
    pub study: Option<f64>,
    /// Of the classes, among held-out rows alone.
    #[serde(default)]
    pub class_val: Option<f64>,
    /// Of the studies, among held-out rows alone.
    #[serde(default)]
    pub study_val: Option<f64>,
}

fn squared() -> String {
    "mse".into()
}

/// Shares of rows whose own group is that of most of their neighbours, beside
/// those that the largest group would give without looking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Neighbours asked.
    pub k: u64,
    /// Share of rows whose class is right.
    pub class_accuracy: Option<f64>,
    /// The same of held-out rows, whose classes an encoder has not seen.
    #[serde(default)]
    pub class_accuracy_val: Option<f64>,
    /// Share of the largest class.
    pub majority_share: Option<f64>,
    /// Share of rows whose study is right.
    pub study_accuracy: Option<f64>,
    /// Share of the largest study.
    pub study_majority_share: Option<f64>,
}

/// Writes a `quality.json`.
pub fn write(path: &Path, quality: &Quality) -> Result<()> {
    json::write(path, quality)
}

/// What to do about a file of a pretraining that is broken: a run that is
/// complete is made again only from its start.
pub(super) const AGAIN: &str = "; make it again with crossrx pretrain --fresh";

/// Reads a `quality.json`. Refuses one without a study, with two studies or two
/// classes of one name, and shares and silhouettes outside their range.
pub fn read(path: &Path) -> Result<Quality> {
    let quality: Quality = json::read(path)?;
    match quality.fault() {
        None => Ok(quality),
        Some(what) => Err(Error::run(path, format!("{what}{AGAIN}"))),
    }
}

impl Quality {
    /// Rows of all studies.
    pub fn all_rows(&self) -> u64 {
        self.studies.iter().fold(0, |sum, study| sum.saturating_add(study.rows))
    }

    /// Whether errors are cross-entropies, which no encoder brings to 0.
    pub fn is_cross_entropy(&self) -> bool {
        self.loss == "bce"
    }

    fn fault(&self) -> Option<String> {
        if self.studies.is_empty() {
            return Some("studies: there is none".into());
        }
        let names = |names: Vec<&str>, key: &str| {
            let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
            twice.map(|(_, name)| format!("{key}: {name:?} is there twice"))
        };
        let (knn, silhouette) = (&self.knn, &self.silhouette);
        let ranged = [
            ("silhouette.class", silhouette.class, -1.0),
            ("silhouette.study", silhouette.study, -1.0),
            ("silhouette.class_val", silhouette.class_val, -1.0),
            ("silhouette.study_val", silhouette.study_val, -1.0),
            ("knn.class_accuracy", knn.class_accuracy, 0.0),
            ("knn.class_accuracy_val", knn.class_accuracy_val, 0.0),
            ("knn.majority_share", knn.majority_share, 0.0),
            ("knn.study_accuracy", knn.study_accuracy, 0.0),
            ("knn.study_majority_share", knn.study_majority_share, 0.0),
        ];
        let shares = self.pc_variance.iter().map(|&share| ("pc_variance", Some(share), 0.0));
        // Sums over many rows may end a little beyond.
        let outside = |value: f64, low: f64| !(low - 1e-6..=1.0 + 1e-6).contains(&value);
        names(self.studies.iter().map(|s| s.name.as_str()).collect(), "studies")
            .or_else(|| names(self.classes.iter().map(|c| c.name.as_str()).collect(), "classes"))
            .or_else(|| {
                let mut all = ranged.into_iter().chain(shares);
                let (key, value, low) = all.find(|(_, v, low)| v.is_some_and(|v| outside(v, *low)))?;
                Some(format!("{key}: {} is not between {low} and 1", value.unwrap_or(f64::NAN)))
            })
    }
}
