use super::PretrainCorpus;
use super::run::{Latent, Samples};
use crate::metric::{knn_accuracy, knn_classes, silhouette};
use serde::Serialize;
use std::collections::BTreeMap;

/// Neighbours that vote.
const K: usize = 5;

/// `quality.json`: what an encoder is worth, without any response.
#[derive(Debug, Clone, Serialize)]
pub struct Quality {
    kind: &'static str,
    /// Columns that are read.
    columns: usize,
    /// Columns that come out.
    latent: usize,
    rows: Rows,
    studies: Vec<Study>,
    classes: Vec<Class>,
    class_origin: String,
    reconstruction: Reconstruction,
    by_study: Vec<StudyError>,
    silhouette: Silhouette,
    knn: Knn,
    /// Parts of the variance of latent rows that their first two principal components hold.
    pub pc_variance: [f64; 2],
    /// Wall time of each part.
    pub seconds: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Serialize)]
struct Rows {
    train: usize,
    val: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Study {
    name: String,
    rows: usize,
    /// Of its table.
    columns: usize,
    /// Of those, not read: another study lacks them, or the filter does not let them pass.
    dropped_columns: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Class {
    name: String,
    rows: usize,
}

/// Mean errors a value, and the part of what a row is without any encoder that is gone.
#[derive(Debug, Clone, Serialize)]
struct Reconstruction {
    train: f64,
    val: f64,
    r2_train: f64,
    r2_val: f64,
}

#[derive(Debug, Clone, Serialize)]
struct StudyError {
    name: String,
    val: f64,
    r2_val: f64,
}

/// Of latent rows by class and by study.
#[derive(Debug, Clone, Serialize)]
struct Silhouette {
    class: Option<f64>,
    study: Option<f64>,
}

/// Leave-one-out accuracies in the latent space, beside the part of rows that the largest class has.
#[derive(Debug, Clone, Serialize)]
struct Knn {
    k: usize,
    class_accuracy: Option<f64>,
    /// Of held-out rows alone, whose classes no center loss has seen.
    class_accuracy_val: Option<f64>,
    majority_share: Option<f64>,
    study_accuracy: Option<f64>,
    study_majority_share: Option<f64>,
}

impl Quality {
    /// Of encoded rows.
    pub fn of(corpus: &PretrainCorpus, samples: &Samples, latent: &Latent) -> Self {
        let (parts, classes) = (&samples.parts, &samples.classes);
        let width = samples.features.table().width();
        let (values, columns) = (&latent.values, latent.columns);
        let all = 0..samples.study.len() as u32;
        let counts = classes.counts(all.clone());
        let studies: Vec<Option<u32>> = samples.study.iter().map(|&study| Some(study)).collect();
        let errors = |rows: &[u32]| latent.errors(rows.iter().copied());
        let ((train, r2_train), (val, r2_val)) = (errors(&parts.train), errors(&parts.val));
        let by_study = samples.studies.iter().zip(0..).map(|(study, number)| {
            let own = parts.val.iter().copied().filter(|&row| samples.study[row as usize] == number);
            let (val, r2_val) = latent.errors(own);
            StudyError { name: study.name.clone(), val, r2_val }
        });
        let class_voted = knn_classes(values, columns, &classes.of, K);
        let study_voted = knn_classes(values, columns, &studies, K);
        let by_class = || counts.iter().zip(&classes.names);
        Self {
            kind: corpus.deck.model.name(),
            columns: width,
            latent: columns,
            rows: Rows { train: parts.train.len(), val: parts.val.len() },
            studies: samples
                .studies
                .iter()
                .map(|study| Study {
                    name: study.name.clone(),
                    rows: study.rows,
                    columns: study.columns,
                    dropped_columns: study.columns - width,
                })
                .collect(),
            classes: by_class().map(|(&rows, name)| Class { name: name.clone(), rows }).collect(),
            class_origin: classes.origin.clone(),
            reconstruction: Reconstruction { train, val, r2_train, r2_val },
            by_study: by_study.collect(),
            silhouette: Silhouette {
                class: silhouette(values, columns, &classes.of),
                study: silhouette(values, columns, &studies),
            },
            knn: Knn {
                k: K,
                class_accuracy: knn_accuracy(&class_voted, &classes.of, all.clone()),
                class_accuracy_val: knn_accuracy(&class_voted, &classes.of, parts.val.iter().copied()),
                majority_share: share(&counts),
                study_accuracy: knn_accuracy(&study_voted, &studies, all)
                    .filter(|_| samples.studies.len() > 1),
                study_majority_share: share(&samples.studies.iter().map(|s| s.rows).collect::<Vec<_>>()),
            },
            pc_variance: [0.0; 2],
            seconds: BTreeMap::new(),
        }
    }
}

/// The part that the largest has of all.
fn share(counts: &[usize]) -> Option<f64> {
    let all: usize = counts.iter().sum();
    counts.iter().max().filter(|_| all > 0).map(|&most| most as f64 / all as f64)
}
