use crate::corpus::{Corpus, Dataset, deck};
use crate::program::{Outcome, arg, crossrx, fresh};
use crate::table::Table;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A study of Red and Blue, run once.
fn trained() -> &'static Path {
    static TRAINED: OnceLock<PathBuf> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = fresh("predict");
        let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
        Corpus::two_screens().write(&store);
        fs::write(&path, deck(&store, "")).unwrap();
        crossrx(&["transfer", arg(&path), "--out", arg(&folder.join("run")), "--set", "data.splits=[0]"])
            .ok();
        folder
    })
}

fn predict(store: &Path, dataset: &str, out: &Path, more: &[&str]) -> Outcome {
    let model = trained().join("run/models/Red/split_0");
    let args =
        ["predict", "--model", arg(&model), "--store", arg(store), "--dataset", dataset, "--out", arg(out)];
    crossrx(&[&args, more].concat())
}

/// Predictions by sample and drug.
fn by_pair(table: &Table) -> HashMap<(&str, &str), f64> {
    let ids = table.column("improve_sample_id").into_iter().zip(table.column("improve_chem_id"));
    ids.zip(table.numbers("auc_pred")).collect()
}

#[test]
fn the_training_store_gets_the_predictions_of_the_study() {
    let folder = trained();
    for (dataset, cell) in [("Blue", "Red-Blue"), ("Red", "Red-Red")] {
        let out = folder.join(format!("{dataset}.csv"));
        let said = predict(&folder.join("small.h5"), dataset, &out, &[]).ok();
        assert!(said.contains("left out: 0 without features of their drug, 0 without"), "{said}");
        let made = Table::read(&out);
        assert_eq!(made.header.join(","), "source,improve_sample_id,improve_chem_id,auc_true,auc_pred");
        let scored = Table::read(&folder.join(format!("run/infer/{cell}/split_0/test_y_data_predicted.csv")));
        let (made, scored) = (by_pair(&made), by_pair(&scored));
        assert!(scored.len() > 20);
        for (pair, want) in &scored {
            assert!((made[pair] - want).abs() <= 1.01e-4, "{pair:?}: {} is not {want}", made[pair]);
        }
        if dataset == "Blue" {
            assert_eq!(made.len(), scored.len());
        }
    }
}

/// Other drugs and samples under other indices, columns in another order.
#[test]
fn another_store_is_matched_by_name() {
    let mut other = Corpus::of(vec![Dataset::new("Green", 3..20, 2..20, 0.0)]);
    other.genes.reverse();
    other.drug_ids = other.drug_ids.iter().map(|id| format!("New_{id}")).collect();
    let folder = fresh("predict-other");
    let (store, out) = (folder.join("other.h5"), folder.join("green.csv"));
    other.write(&store);
    predict(&store, "Green", &out, &[]).ok();
    let green = Table::read(&out);
    assert_eq!(green.rows.len(), other.datasets[0].pairs());
    assert_eq!(green.column("source")[0], "Green");
    // Features hang on the number in an id, so the same numbers must get the same predictions.
    let red = folder.join("red.csv");
    predict(&trained().join("small.h5"), "Red", &red, &[]).ok();
    let (green, red) = (by_pair(&green), Table::read(&red));
    let red = by_pair(&red);
    let mut shared = 0;
    for ((sample, drug), got) in &green {
        if let Some(want) = red.get(&(*sample, drug.strip_prefix("New_").unwrap())) {
            shared += 1;
            assert!((got - want).abs() <= 1.01e-4, "{sample} {drug}: {got} is not {want}");
        }
    }
    assert!(shared > 100, "only {shared} pairs to compare");
}

#[test]
fn missing_columns_are_told_and_refused_above_the_limit() {
    let mut other = Corpus::two_screens();
    other.genes = vec![0, 1, 2, 4, 5, 6, 8, 9];
    let folder = fresh("predict-missing");
    let (store, out) = (folder.join("other.h5"), folder.join("red.csv"));
    other.write(&store);
    let words = ["other.h5", "/features/sample", "2 of the 10", "--max-missing 0.1", "expression:gene3"];
    predict(&store, "Red", &out, &[]).refused(&words);
    assert!(!out.exists());
    predict(&store, "Red", &out, &["--max-missing", "1.5"]).refused(&["--max-missing 1.5"]);
    let said = predict(&store, "Red", &out, &["--max-missing", "0.2"]).ok();
    let told = "sample features: 2 of 10 columns are not in the store and take their mean in training: expression:gene3, expression:gene7";
    assert!(said.contains(told), "{said}");
    assert_eq!(Table::read(&out).rows.len(), other.datasets[0].pairs());
}

#[test]
fn a_model_of_doses_predicts_doses_and_refuses_to_guess_them() {
    let folder = fresh("predict-doses");
    let (store, path, run) = (folder.join("doses.h5"), folder.join("deck.toml"), folder.join("run"));
    let red = Dataset::new("Red", 0..24, 0..18, 0.0).at_doses();
    Corpus::of(vec![red.clone()]).write(&store);
    fs::write(&path, deck(&store, "")).unwrap();
    let splits = "data.splits={ rule = \"random\", folds = 5, seed = 1, only = [0] }";
    let set = ["--set", "data.sources=[\"Red\"]", "--set", splits];
    crossrx(&[&["transfer", arg(&path), "--out", arg(&run)], &set[..]].concat()).ok();
    let (model, out) = (run.join("models/Red/split_0"), folder.join("red.csv"));
    let predict = |store: &Path| {
        let args = ["--store", arg(store), "--dataset", "Red", "--out", arg(&out)];
        crossrx(&[&["predict", "--model", arg(&model)], &args[..]].concat())
    };
    predict(&store).ok();
    let made = Table::read(&out);
    assert_eq!(made.header.join(","), "source,improve_sample_id,improve_chem_id,dose,auc_true,auc_pred");
    assert_eq!(made.rows.len(), red.pairs());
    let scored = Table::read(&run.join("infer/Red-Red/split_0/test_y_data_predicted.csv"));
    let key = |table: &Table, row: usize| {
        ["improve_sample_id", "improve_chem_id", "dose"].map(|name| table.column(name)[row].to_string())
    };
    let by_dose: HashMap<_, f64> =
        (0..made.rows.len()).map(|i| key(&made, i)).zip(made.numbers("auc_pred")).collect();
    assert!(scored.rows.len() > 100);
    for (i, want) in scored.numbers("auc_pred").into_iter().enumerate() {
        let got = by_dose[&key(&scored, i)];
        assert!((got - want).abs() <= 1.01e-4, "{:?}: {got} is not {want}", key(&scored, i));
    }
    predict(&trained().join("small.h5")).refused(&["small.h5", "/datasets/Red", "has no dose"]);
}

#[test]
fn what_has_no_features_or_no_endpoint_is_told() {
    let mut other = Corpus::two_screens();
    other.featured.retain(|&drug| drug != 4 && drug != 6);
    other.datasets[0].auc[11] = f32::NAN;
    let folder = fresh("predict-lacking");
    let (store, out) = (folder.join("other.h5"), folder.join("red.csv"));
    other.write(&store);
    let red = &other.datasets[0];
    let lost = red.drug.iter().filter(|&&drug| drug == 4 || drug == 6).count();
    let said = predict(&store, "Red", &out, &[]).ok();
    let told =
        format!("{} pairs predicted; left out: {lost} without features of their drug, 0", red.pairs() - lost);
    assert!(said.contains(&told), "{said}");
    let table = Table::read(&out);
    assert_eq!(table.rows.len(), red.pairs() - lost);
    assert_eq!(table.column("auc_true").iter().filter(|cell| cell.is_empty()).count(), 1);
    assert!(table.column("auc_pred").iter().all(|cell| cell.parse::<f64>().unwrap().is_finite()));

    {
        let file = hdf5::File::open_rw(&store).unwrap();
        file.group("datasets/Blue/endpoint").unwrap().unlink("auc").unwrap();
    }
    predict(&store, "Blue", &out, &[]).ok();
    let table = Table::read(&out);
    assert!(table.column("auc_true").iter().all(|cell| cell.is_empty()));
    predict(&store, "Grey", &out, &[]).refused(&["other.h5", "\"Grey\"", "Blue, Red"]);
    assert_eq!(Table::read(&out), table, "a refused prediction keeps the old table");
}

#[test]
fn models_that_are_cut_short_or_of_another_shape_are_refused_by_file() {
    let folder = fresh("predict-models");
    let model = folder.join("model");
    let sound = trained().join("run/models/Red/split_0");
    let store = trained().join("small.h5");
    let refused = |spoil: &dyn Fn(&Path), words: &[&str]| {
        let _ = fs::remove_dir_all(&model);
        fs::create_dir(&model).unwrap();
        for name in ["model.safetensors", "deck.toml", "scaling.csv"] {
            fs::copy(sound.join(name), model.join(name)).unwrap();
        }
        spoil(&model);
        let out = folder.join("out.csv");
        let args = [
            "predict",
            "--model",
            arg(&model),
            "--store",
            arg(&store),
            "--dataset",
            "Red",
            "--out",
            arg(&out),
        ];
        crossrx(&args).refused(words);
        assert!(!out.exists());
    };
    let change = |name: &'static str, change: &'static dyn Fn(String) -> String| {
        move |model: &Path| {
            let path = model.join(name);
            let text = fs::read_to_string(&path).unwrap();
            let changed = change(text.clone());
            assert_ne!(text, changed);
            fs::write(path, changed).unwrap();
        }
    };
    let weights = |model: &Path| fs::read(model.join("model.safetensors")).unwrap();
    refused(
        &|model| fs::remove_file(model.join("model.safetensors")).unwrap(),
        &["model", "model.safetensors"],
    );
    refused(&|model| fs::remove_file(model.join("scaling.csv")).unwrap(), &["scaling.csv"]);
    let cut = |model: &Path| fs::write(model.join("model.safetensors"), &weights(model)[..200]).unwrap();
    refused(&cut, &["model.safetensors"]);
    let wider = change("deck.toml", &|text| text.replace("head = [16, 8]", "head = [17, 8]"));
    refused(&wider, &["model.safetensors"]);
    let fewer = change("scaling.csv", &|text| {
        text.lines().filter(|l| !l.contains("gene3")).map(|l| format!("{l}\n")).collect()
    });
    refused(&fewer, &["model.safetensors"]);
    let other = change("deck.toml", &|text| text.replace("endpoint = \"auc\"", "endpoint = \"ic50\""));
    refused(&other, &["scaling.csv", "'auc'", "'ic50'"]);
    let words = change("scaling.csv", &|text| text.replacen("gene3,", "gene3,much", 1));
    refused(&words, &["scaling.csv:"]);
    let nan = |model: &Path| {
        let mut bytes = weights(model);
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(model.join("model.safetensors"), bytes).unwrap();
    };
    refused(&nan, &["model.safetensors", "not finite"]);
}

/// Fingerprints alone, fed as bits: trained, saved, read back, and matched by name.
#[test]
fn a_model_on_bits_predicts_what_its_study_did() {
    let folder = fresh("predict-bits");
    let (store, path, run) = (folder.join("small.h5"), folder.join("deck.toml"), folder.join("run"));
    Corpus::two_screens().write(&store);
    fs::write(&path, deck(&store, "")).unwrap();
    let set = ["data.drug_features=[\"ecfp4\"]", "data.drug_bits=true", "data.splits=[0]"];
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let args = ["train", arg(&path), "--source", "Red", "--split", "0", "--out", arg(&run)];
    crossrx(&[&args[..], &set].concat()).ok();
    let model = run.join("models/Red/split_0");
    assert!(fs::read_to_string(model.join("deck.toml")).unwrap().contains("drug_bits = true"));
    let losses = Table::read(&model.join("history.csv")).numbers("train_loss");
    assert!(losses.last() < losses.first(), "nothing was learnt: {losses:?}");
    let out = folder.join("blue.csv");
    let args = ["predict", "--model", arg(&model), "--store", arg(&store), "--dataset", "Blue"];
    crossrx(&[&args[..], &["--out", arg(&out)]].concat()).ok();
    let made = Table::read(&out);
    let scored = Table::read(&run.join("infer/Red-Blue/split_0/test_y_data_predicted.csv"));
    let (made, scored) = (by_pair(&made), by_pair(&scored));
    assert_eq!(made.len(), scored.len());
    for (pair, want) in &scored {
        assert!((made[pair] - want).abs() <= 1.01e-4, "{pair:?}: {} is not {want}", made[pair]);
    }
    // Numbers cannot be fed as bits.
    let refused = ["--set", "data.drug_features=[\"mordred\"]", "--set", "data.drug_bits=true"];
    let out = folder.join("no");
    let args = ["train", arg(&path), "--source", "Red", "--split", "0", "--out", arg(&out)];
    crossrx(&[&args[..], &refused].concat()).refused(&["only zeros and ones can be bits"]);
}
