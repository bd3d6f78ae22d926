use crossrx::metric::{Epoch, Scores};
use crossrx::report::history;
use crossrx::report::models::Models;
use crossrx::report::predictions::{Values, write_blocks};
use crossrx::report::run_json::{self, RunInfo};
use crossrx::report::runtime::{self, Runtime};
use crossrx::report::scores_json::{self, StrictScores, Subset};
use crossrx::report::tree::Run;
use std::fs;
use std::path::{Path, PathBuf};

/// Datasets of the run; one has the separator of folder names in it.
pub const NAMES: [&str; 2] = ["A", "B-2"];

/// R2 by source, target and split; one cell lacks its second split.
const R2: [[[Option<f64>; 2]; 2]; 2] =
    [[[Some(0.75), Some(0.5)], [Some(0.25), Some(0.0)]], [[Some(-0.5), None], [Some(0.625), Some(0.875)]]];

/// The same for the naive predictor, better on one cell.
const NAIVE_R2: [[[Option<f64>; 2]; 2]; 2] =
    [[[Some(0.5), Some(0.5)], [Some(0.5), Some(0.25)]], [[Some(-1.0), Some(-1.0)], [Some(0.5), Some(0.5)]]];

/// Writes the tables and the page of the run in `dir` beside it.
pub fn report(dir: &Path) -> crossrx::Result<PathBuf> {
    crossrx::report::write(&Models::of(&[Run::read(dir)?]), dir, None)
}

/// Writes the run into `dir` the way a study does.
pub fn write(dir: &Path) {
    write_model(dir, "two_tower", &R2);
    write_model(&dir.join("baseline/mean-effects"), "mean-effects", &NAIVE_R2);
    fs::write(dir.join("deck.toml"), "[data]\nendpoint = \"auc\" # <resolved>\n").unwrap();
    fs::write(dir.join("truth.json"), r#"{"order": ["A", "B-2"], "best_r2": [[0.9, 0.8], [0.7, null]]}"#)
        .unwrap();
    let parts = [("train".to_string(), 60.0), ("score".to_string(), 15.5)].into();
    runtime::write(&dir.join("runtime.json"), &Runtime::new(75.5, parts)).unwrap();
    for source in NAMES {
        for split in 0..2 {
            let folder = dir.join(format!("models/{source}/split_{split}"));
            fs::create_dir_all(&folder).unwrap();
            history::write(&folder.join("history.csv"), &[epoch(1, 0.04), epoch(2, 0.02), epoch(3, 0.03)])
                .unwrap();
        }
    }
}

/// The scores of a cell whose R2 is `r2`; the other metrics differ from it and
/// from one another.
pub fn scores(r2: f64) -> Scores {
    let mse = (1.0 - r2) / 16.0;
    Scores { mse, rmse: mse.sqrt(), pcc: (1.0 + r2) / 2.0, scc: r2 / 2.0, r2 }
}

fn write_model(dir: &Path, model: &str, r2: &[[[Option<f64>; 2]; 2]; 2]) {
    let names = NAMES.map(String::from).to_vec();
    for (source, row) in NAMES.iter().zip(r2) {
        for (target, splits) in NAMES.iter().zip(row) {
            for (split, r2) in splits.iter().enumerate() {
                if let Some(r2) = r2 {
                    write_cell(&dir.join(format!("infer/{source}-{target}/split_{split}")), *r2);
                }
            }
        }
    }
    let info = RunInfo {
        model: model.into(),
        endpoint: "auc".into(),
        crossrx: "0.1.0".into(),
        ranks: 2,
        wall_s: 75.5,
        sources: names.clone(),
        targets: names,
        splits: vec![0, 1],
        ..RunInfo::default()
    };
    run_json::write(&dir.join("run.json"), &info).unwrap();
}

fn write_cell(folder: &Path, r2: f64) {
    scores_json::write(&folder.join("test_scores.json"), &scores(r2)).unwrap();
    let part = |n| Some(Subset { n, scores: scores(r2 / 2.0) });
    let strict = StrictScores { unseen_pairs: part(3), unseen_drugs: part(2), ..StrictScores::default() };
    scores_json::write_strict(&folder.join("strict_scores.json"), &strict).unwrap();
    let drugs = ["Drug_1".to_string(), "Drug, two".to_string()];
    let truth = [0.25, 0.5, 1.0];
    let columns =
        [Values::Same("A"), Values::Coded { codes: &[0, 1, 0], names: &drugs }, Values::Number(&truth)];
    let path = folder.join("test_y_data_predicted.csv");
    write_blocks(&path, &["source", "improve_chem_id", "auc"], "auc", |table| {
        table.append(&columns, &truth, &[0.3, 0.456_78, 0.9])
    })
    .unwrap();
}

fn epoch(number: u32, val_loss: f64) -> Epoch {
    let (step, seconds) = (number as u64 * 10, 1.0);
    Epoch { epoch: number, step, learning_rate: 1e-3, train_loss: 0.05, val_loss, val_r2: 0.5, seconds }
}
