//! Transfer studies on what an encoder makes of samples.

use crate::corpus::{Corpus, deck};
use crate::program::{Outcome, arg, crossrx, fresh};
use crate::table::Table;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A store, a pretraining of it in `encoder`, and a deck on its latent rows.
struct Case {
    folder: PathBuf,
}

impl Case {
    fn new(name: &str, latent: &str, transfer: &str) -> Self {
        let case = Self { folder: fresh(name) };
        let store = case.at("s.h5");
        Corpus::two_screens().write(&store);
        let pretraining = case.at("pretraining.toml");
        fs::write(
            &pretraining,
            format!(
                "[store]\npath = {store:?}\n[data]\nstudies = [\"expression\"]\n\
                 [model]\nkind = \"autoencoder\"\nlayers = [8, 4]\nactivation = \"tanh\"\n\
                 [train]\nbatch = 8\nepochs = 3\n"
            ),
        )
        .unwrap();
        crossrx(&["pretrain", arg(&pretraining), "--out", arg(&case.at("encoder"))]).ok();
        let feature = format!("sample_features = [\"latent:{}\"]", arg(&case.at("encoder")));
        let text = deck(&store, transfer).replace("sample_features = [\"expression\"]", &feature);
        let splits = format!("splits = [0]\nlatent = \"{latent}\"");
        fs::write(case.at("deck.toml"), text.replace("splits = [0, 1]", &splits)).unwrap();
        case
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn transfer(&self, out: &str, set: &[&str]) -> Outcome {
        let (deck, out) = (self.at("deck.toml"), self.at(out));
        let mut args = vec!["transfer", arg(&deck), "--out", arg(&out)];
        set.iter().for_each(|set| args.extend(["--set", set]));
        crossrx(&args)
    }
}

/// Rows of a tensor in a file, by its name.
fn tensor(path: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec()
}

fn by_pair(table: &Table) -> HashMap<(&str, &str), f64> {
    let ids = table.column("improve_sample_id").into_iter().zip(table.column("improve_chem_id"));
    ids.zip(table.numbers("auc_pred")).collect()
}

#[test]
fn a_model_on_latent_rows_predicts_by_itself_what_the_study_scored() {
    for latent in ["frozen", "fine-tuned"] {
        let factors = "[transfer]\nseen_drugs = 0.6\nunseen_drugs = 0.3";
        let case = Case::new(&format!("latent-{latent}"), latent, factors);
        case.transfer("run", &[]).ok();
        let model = case.at("run/models/Red/split_0");
        assert!(fs::read_to_string(model.join("deck.toml")).unwrap().contains("[data.encoders]"));
        // The model has all that it needs of the pretraining.
        fs::rename(case.at("encoder"), case.at("elsewhere")).unwrap();
        for dataset in ["Red", "Blue"] {
            let (store, out) = (case.at("s.h5"), case.at("predicted.csv"));
            let args = ["--store", arg(&store), "--dataset", dataset, "--out", arg(&out)];
            crossrx(&[&["predict", "--model", arg(&model)], &args[..]].concat()).ok();
            let cell = format!("run/infer/Red-{dataset}/split_0/test_y_data_predicted.csv");
            let (made, scored) = (Table::read(&out), Table::read(&case.at(&cell)));
            let (made, scored) = (by_pair(&made), by_pair(&scored));
            assert!(scored.len() > 20);
            for (pair, want) in &scored {
                assert!((made[pair] - want).abs() <= 1.01e-4, "{latent} {pair:?}: {} not {want}", made[pair]);
            }
        }
    }
}

#[test]
fn a_fine_tuned_tower_starts_as_the_encoder_and_goes_on_from_there() {
    let case = Case::new("latent-start", "fine-tuned", "");
    let still = ["train.learning_rate=1e-30", "train.weight_decay=0.0", "train.epochs=1", "model.members=2"];
    case.transfer("still", &still).ok();
    case.transfer("moved", &["model.members=2"]).ok();
    let weights = |run: &str| case.at(run).join("models/Red/split_0/model.safetensors");
    for part in ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias"] {
        let fitted = tensor(&case.at("encoder/model.safetensors"), part);
        for member in ["member.0", "member.1"] {
            let name = format!("{member}.{part}");
            assert_eq!(tensor(&weights("still"), &name), fitted, "{name}");
            assert_ne!(tensor(&weights("moved"), &name), fitted, "{name}");
        }
    }
    let head = |member: &str| tensor(&weights("still"), &format!("{member}.head.out.weight"));
    assert_ne!(head("member.0"), head("member.1"), "what is not fitted is drawn for each member");
}

#[test]
fn what_is_no_encoder_of_the_samples_is_refused() {
    let case = Case::new("latent-refused", "frozen", "");
    let encoder = case.at("encoder");
    let latent = format!("latent:{}", arg(&encoder));
    case.transfer("a", &["data.sample_features=[\"latent:nowhere\"]"])
        .refused(&["nowhere", "crossrx pretrain"]);
    case.transfer(
        "b",
        &["data.latent=fine-tuned", &format!("data.sample_features=[\"{latent}\", \"expression\"]")],
    )
    .refused(&["data.sample_features", "fine-tuned"]);
    case.transfer("c", &[&format!("data.drug_features=[\"{latent}\"]")])
        .refused(&["data.drug_features", "latent"]);
    case.transfer("run", &[]).ok();
    // Another encoder in its place is another study.
    let weights = encoder.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    case.transfer("run", &[]).refused(&["data.encoders", "choose another --out"]);
    fs::remove_file(encoder.join("scaling.csv")).unwrap();
    case.transfer("d", &[]).refused(&["scaling.csv"]);
}
