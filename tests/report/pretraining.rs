use crossrx::metric::Epoch;
use crossrx::report::history;
use crossrx::report::latent::quality_json::{
    self, Class, Neighbours, Quality, Reconstruction, Rows, Silhouette, Study, StudyReconstruction,
};
use crossrx::report::run_json::{self, RunInfo};
use std::fs;
use std::path::Path;

/// Rows of the two studies.
pub const ROWS: [usize; 2] = [80, 280];

/// A class name that would be a tag if it were not escaped.
pub const HOSTILE: &str = "<b>glioma</b> & \"others\"";

/// What a pretraining of two studies and seven classes has measured: classes
/// apart, studies in one another.
pub fn quality() -> Quality {
    let part =
        |val, r2_val| Reconstruction { train: None, val: Some(val), r2_train: None, r2_val: Some(r2_val) };
    let study = |name: &str, rows| Study { name: name.into(), rows, columns: 900, dropped_columns: 100 };
    let classes = (0..7).map(|class| Class { name: name(class), rows: of_class(class) });
    Quality {
        kind: "autoencoder".into(),
        columns: 900,
        latent: 64,
        rows: Rows { train: 324, val: 36 },
        studies: vec![study("expression", ROWS[0] as u64), study("tcga", ROWS[1] as u64)],
        classes: classes.collect(),
        class_origin: "label tumour-type, site, k-means".into(),
        loss: "mse".into(),
        reconstruction: Reconstruction { train: Some(0.25), r2_train: Some(0.75), ..part(0.375, 0.625) },
        by_study: vec![
            StudyReconstruction { name: "expression".into(), of: part(0.5, 0.5) },
            StudyReconstruction { name: "tcga".into(), of: part(0.3125, 0.6875) },
        ],
        silhouette: Silhouette {
            class: Some(0.25),
            study: Some(0.015_625),
            class_val: Some(0.125),
            study_val: Some(0.031_25),
        },
        knn: Neighbours {
            k: 5,
            class_accuracy: Some(0.875),
            class_accuracy_val: Some(0.75),
            majority_share: Some(0.25),
            study_accuracy: Some(0.8125),
            study_majority_share: Some(0.75),
        },
        pc_variance: vec![0.3, 0.125],
        seconds: [("training".to_string(), 75.0)].into(),
    }
}

/// Writes the folder of that pretraining into `dir`.
pub fn write(dir: &Path) {
    quality_json::write(&dir.join("quality.json"), &quality()).unwrap();
    fs::write(dir.join("embedding.csv"), embedding()).unwrap();
    fs::write(dir.join("deck.toml"), "[model]\nkind = \"autoencoder\" # <resolved>\n[model.center_loss]\n")
        .unwrap();
    history::write(&dir.join("history.csv"), &[epoch(1, 0.5), epoch(2, 0.375)]).unwrap();
    let info = RunInfo { model: "autoencoder".into(), wall_s: 75.0, ranks: 2, ..RunInfo::default() };
    run_json::write(&dir.join("run.json"), &info).unwrap();
}

/// A table of all rows; every seventh of the second study has no class.
pub fn embedding() -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "study", "class", "part", "pc1", "pc2", "tsne1", "tsne2"]).unwrap();
    for (study, rows) in ["expression", "tcga"].into_iter().zip(ROWS) {
        for row in 0..rows {
            let class = class_of(study, row);
            let at = class.unwrap_or(0) as f64;
            let scatter = |by: usize| (row * by % 17) as f64 / 10.0;
            let numbers = [4.0 * at + scatter(5), scatter(7), 9.0 * (at % 3.0) + scatter(3), 7.0 * at];
            let part = if row % 10 == 0 { "val" } else { "train" };
            let names =
                [format!("{study}-{row}"), study.into(), class.map(name).unwrap_or_default(), part.into()];
            table.write_record(names.into_iter().chain(numbers.map(|n| n.to_string()))).unwrap();
        }
    }
    String::from_utf8(table.into_inner().unwrap()).unwrap()
}

fn class_of(study: &str, row: usize) -> Option<usize> {
    (study == "expression" || row % 7 != 6).then_some(row % 7)
}

fn of_class(class: usize) -> u64 {
    let rows =
        |study: &'static str, n: usize| (0..n).filter(move |&r| class_of(study, r) == Some(class)).count();
    (rows("expression", ROWS[0]) + rows("tcga", ROWS[1])) as u64
}

fn name(class: usize) -> String {
    if class == 0 { HOSTILE.into() } else { format!("type-{class}") }
}

fn epoch(number: u32, val_loss: f64) -> Epoch {
    let (step, seconds) = (number as u64 * 10, 1.0);
    Epoch { epoch: number, step, learning_rate: 1e-3, train_loss: 0.25, val_loss, val_r2: 0.5, seconds }
}
