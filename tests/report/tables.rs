use crate::tree;
use crossrx::report::models::Models;
use crossrx::report::tree::Run;
use crossrx::report::{text, write, write_runs};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_table_equals_its_golden_file() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    write(dir.path()).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report");
    let files = files(&golden);
    assert_eq!(files.len(), 23);
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
    let page = fs::read_to_string(write(&model).unwrap()).unwrap();
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
    let page = fs::read_to_string(write_runs(&runs, &out, Some("Two & two")).unwrap()).unwrap();
    assert!(page.contains("<title>Two &amp; two</title>") && page.contains("two_tower (second)"));
    assert!(
        page.contains("two_tower (second): B-2 → A was not scored")
            || page.contains("B-2 → A was not scored")
    );
    let names: Vec<String> =
        Models::of(&runs).all.iter().map(|model| format!("{} {}", model.label, model.file_stem())).collect();
    let expected =
        ["two_tower two-tower", "two_tower (second) two-tower--second", "mean-effects mean-effects"];
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
