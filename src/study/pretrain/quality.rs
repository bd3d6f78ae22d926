use super::PretrainCorpus;
use super::run::{Latent, Samples};
use crate::deck::PretrainModel;
use crate::metric::{knn_accuracy, knn_classes, silhouette};
use crate::model::ReconstructionLoss;
use crate::report::latent::quality_json::{
    Class, Neighbours, Quality, Reconstruction, Rows, Silhouette, Study, StudyReconstruction,
};
use std::collections::BTreeMap;

/// Neighbours that vote.
const K: usize = 5;

/// What an encoder is worth, without any response; wall times, and what the components of the latent rows hold, are
/// told by others.
pub fn quality(
    corpus: &PretrainCorpus,
    samples: &Samples,
    latent: &Latent,
    pc_variance: Vec<f64>,
    seconds: BTreeMap<String, f64>,
) -> Quality {
    let (parts, classes) = (&samples.parts, &samples.classes);
    let width = samples.features.table().width();
    let (values, columns) = (&latent.values, latent.columns);
    let all = 0..samples.study.len() as u32;
    let counts = classes.counts(all.clone());
    let study_rows: Vec<usize> = samples.studies.iter().map(|study| study.rows).collect();
    let studies: Vec<Option<u32>> = samples.study.iter().map(|&study| Some(study)).collect();
    let class_voted = knn_classes(values, columns, &classes.of, K);
    let study_voted = knn_classes(values, columns, &studies, K);
    let several = samples.studies.len() > 1;
    // Distances among held-out rows alone.
    let held_out: Vec<f32> =
        parts.val.iter().flat_map(|&row| &values[row as usize * columns..][..columns]).copied().collect();
    let among_held_out = |of: &[Option<u32>]| {
        let of: Vec<Option<u32>> = parts.val.iter().map(|&row| of[row as usize]).collect();
        silhouette(&held_out, columns, &of)
    };
    let reconstruction = |of: &dyn Fn(u32) -> bool| {
        let errors = |rows: &[u32]| latent.errors(rows.iter().copied().filter(|&row| of(row)));
        let ((train, r2_train), (val, r2_val)) = (errors(&parts.train), errors(&parts.val));
        let [train, r2_train, val, r2_val] =
            [train, r2_train, val, r2_val].map(|value| value.is_finite().then_some(value));
        Reconstruction { train, val, r2_train, r2_val }
    };
    let by_study = samples.studies.iter().zip(0..).map(|(study, number)| StudyReconstruction {
        name: study.name.clone(),
        of: reconstruction(&|row| samples.study[row as usize] == number),
    });
    let study = samples.studies.iter().map(|study| Study {
        name: study.name.clone(),
        rows: study.rows as u64,
        columns: study.columns as u64,
        dropped_columns: (study.columns - width) as u64,
    });
    let loss = match &corpus.deck.model {
        PretrainModel::Autoencoder(spec) if spec.loss == ReconstructionLoss::Bce => "bce",
        PretrainModel::Autoencoder(_) | PretrainModel::Pca(_) => "mse",
    };
    let class = counts.iter().zip(&classes.names);
    Quality {
        kind: corpus.deck.model.name().into(),
        columns: width as u64,
        latent: columns as u64,
        rows: Rows { train: parts.train.len() as u64, val: parts.val.len() as u64 },
        studies: study.collect(),
        classes: class.map(|(&rows, name)| Class { name: name.clone(), rows: rows as u64 }).collect(),
        class_origin: classes.origin.clone(),
        loss: loss.into(),
        reconstruction: reconstruction(&|_| true),
        by_study: by_study.collect(),
        silhouette: Silhouette {
            class: silhouette(values, columns, &classes.of),
            study: silhouette(values, columns, &studies),
            class_val: among_held_out(&classes.of),
            study_val: among_held_out(&studies),
        },
        knn: Neighbours {
            k: K as u64,
            class_accuracy: knn_accuracy(&class_voted, &classes.of, all.clone()),
            class_accuracy_val: knn_accuracy(&class_voted, &classes.of, parts.val.iter().copied()),
            majority_share: share(&counts),
            study_accuracy: knn_accuracy(&study_voted, &studies, all).filter(|_| several),
            study_majority_share: share(&study_rows),
        },
        pc_variance,
        seconds,
    }
}

/// The part that the largest has of all.
fn share(counts: &[usize]) -> Option<f64> {
    let all: usize = counts.iter().sum();
    counts.iter().max().filter(|_| all > 0).map(|&most| most as f64 / all as f64)
}
