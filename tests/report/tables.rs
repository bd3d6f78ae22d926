use crate::tree;
use crossrx::report::models::Models;
use crossrx::report::tree::Run;
use crossrx::report::{text, write};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_table_equals_its_golden_file() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    tree::report(dir.path()).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report");
    let files = files(&golden);
    assert_eq!(files.len(), 57);
    let made = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let made: BTreeSet<String> = made.filter(|name| name.ends_with(".csv")).collect();
    let mut named = BTreeSet::from(["all_scores.csv", "paired_tests.csv"].map(String::from));
    for model in ["two-tower", "mean-effects"] {
        for metric in ["mse", "rmse", "pcc", "scc", "r2"] {
            named.extend(
                ["G_mean", "G_std", "Gn_mean", "Ga", "Gna"]
                    .map(|what| format!("{model}_{metric}_{what}.csv")),
            );
        }
    }
    assert_eq!(made, named);
    for expected in files {
        let made = dir.path().join(expected.strip_prefix(&golden).unwrap());
        let read =
            |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(read(&made), read(&expected), "{}", made.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_text_shows_both_matrices_and_where_the_model_loses() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let expected = "\
R2 of two_tower, mean of 2 splits    R2 of mean-effects, mean of 2 splits
src        A      B-2                src        A      B-2
A     0.625    0.125*                A     0.500    0.375
B-2  -0.500    0.750                 B-2  -1.000    0.500
two_tower beats mean-effects on 2 of 2 datasets and on 1 of 2 transfers; * marks where it does not.
";
    assert_eq!(text::matrix(&Models::of(&[Run::read(dir.path()).unwrap()])), expected);
}

#[test]
fn a_tree_without_run_json_is_read_by_its_folders() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("LGBM");
    tree::write(&model);
    for file in ["run.json", "deck.toml", "truth.json", "runtime.json"] {
        fs::remove_file(model.join(file)).unwrap();
    }
    fs::remove_dir_all(model.join("baseline")).unwrap();
    let cell = model.join("infer/A-A/split_0");
    fs::write(cell.join("test_scores.json"), r#"{"mse": 0.5, "r2": NaN, "val_loss": 0.5}"#).unwrap();
    fs::remove_file(model.join("infer/A-B-2/split_1/test_scores.json")).unwrap();
    let run = Run::read(&model).unwrap();
    assert_eq!((run.model.as_str(), run.sources.join(" "), run.splits.len()), ("LGBM", "A B-2".into(), 2));
    let page = fs::read_to_string(tree::report(&model).unwrap()).unwrap();
    assert!(page.contains("with no naive predictor beside it"));
    assert!(page.contains("scored from the predictions beside it"));
    let scores = fs::read_to_string(model.join("all_scores.csv")).unwrap();
    assert!(scores.contains("mse,0,0.5,A,A,LGBM\n") && !scores.contains("r2,0,NaN"), "{scores}");
    // 1 - 0.0143688 / 0.2916667, from the three rows of predictions.
    let line = scores.lines().find(|l| l.starts_with("r2,1,") && l.contains(",A,B-2,")).unwrap();
    let r2: f64 = line.split(',').nth(2).unwrap().parse().unwrap();
    assert!((r2 - 0.950_735).abs() < 1e-5, "{line}");
}

#[test]
fn models_stand_side_by_side_under_distinct_names() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    tree::write(&first);
    tree::write(&second);
    fs::remove_dir_all(second.join("infer/B-2-A")).unwrap();
    let runs = [Run::read(&first).unwrap(), Run::read(&second).unwrap()];
    let out = dir.path().join("both");
    let page = fs::read_to_string(write(&Models::of(&runs), &out, Some("Two & two")).unwrap()).unwrap();
    assert!(page.contains("<title>Two &amp; two</title>") && page.contains("two_tower (second)"));
    let [of_second, of_naive] =
        ["cell-r2-1-0-0", "cell-r2-2-0-0"].map(|id| page.find(&format!("id=\"{id}\"")).unwrap());
    let first_grid = page.find("<div class=\"grid\">").unwrap();
    let second_grid = first_grid + 1 + page[first_grid + 1..].find("<div class=\"grid\">").unwrap();
    assert!(
        first_grid < of_second && of_second < second_grid && second_grid < of_naive,
        "models side by side"
    );
    assert!(page.contains("B-2 → A was not scored"));
    let names: Vec<String> =
        Models::of(&runs).all.iter().map(|model| format!("{} {}", model.label, model.file_stem())).collect();
    let expected = [
        "two_tower (first) two-tower--first",
        "two_tower (second) two-tower--second",
        "mean-effects mean-effects",
    ];
    assert_eq!(names, expected);
    let scores = fs::read_to_string(out.join("all_scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 1 + 5 * (7 + 6 + 8));
    assert!(out.join("two-tower--second_r2_G_mean.csv").exists());
}

#[test]
fn what_is_broken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |what: &str| {
        let message = Run::read(dir.path()).unwrap_err().to_string();
        assert!(message.contains(what) && !message.contains('\n'), "{message}");
    };
    refused("no folder infer/");
    fs::create_dir_all(dir.path().join("infer/A-A/split_0")).unwrap();
    refused("test_scores.json");
    let scores = dir.path().join("infer/A-A/split_0/test_scores.json");
    fs::write(&scores, "{\"r2\": 0.5").unwrap();
    refused("infer/A-A/split_0/test_scores.json");
    fs::write(&scores, "{\"r2\": 0.5}").unwrap();
    fs::write(dir.path().join("run.json"), "[").unwrap();
    fs::create_dir_all(dir.path().join("models/A/split_0")).unwrap();
    fs::write(dir.path().join("models/A/split_0/history.csv"), "epoch\n1\n").unwrap();
    fs::create_dir_all(dir.path().join("infer/A-A/split_x")).unwrap();
    let notes = Run::read(dir.path()).unwrap().notes.join("\n");
    assert!(["run.json", "history.csv:1", "split_x"].iter().all(|name| notes.contains(name)), "{notes}");
    fs::create_dir_all(dir.path().join("infer/X-Y-Z/split_0")).unwrap();
    refused("infer/X-Y-Z");
}

#[test]
fn a_model_that_diverged_has_lost_and_its_split_is_named() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let cell = dir.path().join("infer/A-A/split_1");
    fs::write(cell.join("test_scores.json"), r#"{"mse": null, "r2": NaN}"#).unwrap();
    let runs = [Run::read(dir.path()).unwrap()];
    assert!(runs[0].notes.iter().any(|n| n == "two_tower: A → A: R2 undefined on split 1."));
    let text = text::matrix(&Models::of(&runs));
    assert!(text.contains("A     0.750*") && text.contains("on 1 of 2 datasets"), "{text}");
    fs::write(dir.path().join("infer/A-A/split_0/test_scores.json"), r#"{"r2": NaN}"#).unwrap();
    let runs = [Run::read(dir.path()).unwrap()];
    assert!(text::matrix(&Models::of(&runs)).contains("A         -*"));
    let page = fs::read_to_string(tree::report(dir.path()).unwrap()).unwrap();
    assert!(page.contains("A itself (– against 0.500; R² undefined on split 0, 1)"));
    assert!(page.contains("class=\"gap behind\" title=\"not defined\""));
}

#[test]
fn predictions_alone_are_scored_by_the_endpoint_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let cell = dir.path().join("infer/A-A/split_0");
    fs::remove_file(cell.join("test_scores.json")).unwrap();
    let table = "ic50_true,ic50_pred,auc_true,auc_pred\n9,1,0.5,0.5\n8,2,1,1\n7,3,0.25,inf\n";
    fs::write(cell.join("test_y_data_predicted.csv"), table).unwrap();
    let run = Run::read(dir.path()).unwrap();
    assert_eq!(run.cells[&(0, 0)][&0].scores.unwrap().r2, 1.0);
    assert!(
        run.notes.iter().any(|n| n.ends_with("1 of 3 rows have no finite prediction.")),
        "{:?}",
        run.notes
    );
}

#[test]
fn runs_that_cannot_stand_side_by_side_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    for run in [&first, &second] {
        tree::write(run);
    }
    fs::remove_dir_all(second.join("baseline")).unwrap();
    let runs = || [Run::read(&first).unwrap(), Run::read(&second).unwrap()];
    let mut other = runs();
    other[1].info.endpoint = "ic50".into();
    let out = dir.path().join("out");
    let message = write(&Models::of(&other), &out, None).unwrap_err().to_string();
    assert!(
        message.contains("'auc'") && message.contains("'ic50'") && message.contains("second"),
        "{message}"
    );
    assert!(!out.exists() && Models::of(&other).all[1].naive.is_none());
    let mut fewer = runs();
    fewer[1].splits = vec![0];
    assert_eq!(Models::of(&fewer).all[1].naive, Some(2));
    fewer[1].splits = vec![7];
    assert_eq!(Models::of(&fewer).all[1].naive, None);
    assert_eq!(Models::of(&runs()).all[1].naive, Some(2));
    fs::create_dir_all(second.join("infer/A-A/split_01")).unwrap();
    assert!(Run::read(&second).unwrap_err().to_string().contains("split 1 is there twice"));
}

#[test]
fn file_stems_are_distinct_and_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let mut runs = [(); 4].map(|()| Run::read(dir.path()).unwrap());
    for (run, name) in runs.iter_mut().zip(["a_b", "a-b", "__", "a b"]) {
        run.model = name.into();
    }
    let models = Models::of(&runs);
    let stems: Vec<&str> = models.all.iter().map(|m| m.file_stem()).collect();
    assert_eq!(stems, ["a-b", "a-b-2", "model", "a-b-3", "mean-effects"]);
}
