//! Nothing of a target's responses reaches what is said of it.

use crate::corpus::{Corpus, deck};
use crate::program::{arg, crossrx, fresh};
use crate::table::Table;
use std::fs;
use std::path::Path;

/// The responses at `rows` handed round among them, with another mean and spread.
fn shuffled(values: &mut [f32], rows: &[u32]) {
    let before: Vec<f32> = rows.iter().map(|&row| values[row as usize]).collect();
    let n = rows.len();
    rows.iter().enumerate().for_each(|(i, &row)| values[row as usize] = 3.0 - 2.0 * before[(7 * i + 3) % n]);
}

/// Pretrains on the store, then trains on Red and scores Red and Blue by a deck that uses all there is.
fn study(folder: &Path, corpus: &Corpus, latent: &str) {
    fs::create_dir_all(folder).unwrap();
    let (store, path, encoder) =
        (folder.join("s.h5"), folder.join("deck.toml"), folder.join("pretraining.toml"));
    corpus.write(&store);
    fs::write(
        &encoder,
        format!(
            "[store]\npath = {store:?}\n[data]\nstudies = [\"expression\"]\nclusters = 3\n\
             [model]\nkind = \"autoencoder\"\nlayers = [8, 4]\ncenter_loss = {{}}\ncenter_distance = {{}}\n\
             [train]\nbatch = 8\nepochs = 3\n"
        ),
    )
    .unwrap();
    let run = folder.join("encoder");
    crossrx(&["pretrain", arg(&encoder), "--out", arg(&run)]).ok();
    let text = deck(&store, "min_steps = 4\n[transfer]\nseen_drugs = 0.7\nunseen_drugs = 0.5\n");
    let features = match latent {
        "frozen" => format!("[\"latent:{}\", \"expression\"]", arg(&run)),
        _ => format!("[\"latent:{}\"]", arg(&run)),
    };
    let text = text.replace("sample_features = [\"expression\"]", &format!("sample_features = {features}"));
    let text = text.replace("splits = [0, 1]", &format!("splits = [0]\nlatent = \"{latent}\""));
    let text =
        text.replace("sources = [\"Red\", \"Blue\"]", "sources = [\"Red\"]\ntargets = [\"Red\", \"Blue\"]");
    fs::write(&path, text.replace("dropout = 0.2", "dropout = 0.2\nmembers = 2")).unwrap();
    crossrx(&[
        "transfer",
        arg(&path),
        "--out",
        arg(&folder.join("run")),
        "--set",
        "data.missing_features=fill",
    ])
    .ok();
}

fn predictions(folder: &Path, target: &str) -> Table {
    Table::read(&folder.join(format!("run/infer/Red-{target}/split_0/test_y_data_predicted.csv")))
}

#[test]
fn shuffled_responses_of_a_target_leave_every_prediction_as_it_is() {
    let corpus = Corpus::two_screens();
    let mut others = corpus.clone();
    let all: Vec<u32> = (0..others.datasets[1].pairs() as u32).collect();
    shuffled(&mut others.datasets[1].auc, &all);
    // Of the source itself, what is scored.
    let test = others.datasets[0].splits[0].test.clone();
    shuffled(&mut others.datasets[0].auc, &test);
    for latent in ["frozen", "fine-tuned"] {
        let folder = fresh(&format!("leak-{latent}"));
        let (as_measured, shuffled) = (folder.join("as-measured"), folder.join("shuffled"));
        study(&as_measured, &corpus, latent);
        study(&shuffled, &others, latent);
        for target in ["Red", "Blue"] {
            let (one, other) = (predictions(&as_measured, target), predictions(&shuffled, target));
            assert!(one.rows.len() > 20);
            assert_ne!(one.column("auc_true"), other.column("auc_true"), "nothing was shuffled");
            assert_eq!(one.column("auc_pred"), other.column("auc_pred"), "{latent}, {target}");
        }
        let weights = |of: &Path| fs::read(of.join("run/models/Red/split_0/model.safetensors")).unwrap();
        assert_eq!(weights(&as_measured), weights(&shuffled));
    }
}

/// The test above can fail: where what is shuffled is trained on, predictions change.
#[test]
fn shuffled_responses_of_the_training_rows_change_predictions() {
    let corpus = Corpus::two_screens();
    let mut others = corpus.clone();
    let train = others.datasets[0].splits[0].train.clone();
    shuffled(&mut others.datasets[0].auc, &train);
    let folder = fresh("leak-training");
    let (as_measured, shuffled) = (folder.join("as-measured"), folder.join("shuffled"));
    study(&as_measured, &corpus, "frozen");
    study(&shuffled, &others, "frozen");
    let of = |folder: &Path| predictions(folder, "Blue").numbers("auc_pred");
    assert_ne!(of(&as_measured), of(&shuffled));
}
