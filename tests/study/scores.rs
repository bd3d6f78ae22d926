use crate::corpus::{Corpus, DRUGS, Dataset, SAMPLES, deck};
use crate::program::{arg, crossrx, fresh, on_ranks};
use crate::table::{Table, json};
use crossrx::store::SplitRows;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs the study of `corpus` on two ranks, where there are ranks.
fn study(name: &str, corpus: &Corpus, set: &[&str]) -> PathBuf {
    let folder = fresh(name);
    let (store, deck_path, out) = (folder.join("small.h5"), folder.join("deck.toml"), folder.join("run"));
    corpus.write(&store);
    fs::write(&deck_path, deck(&store, "")).unwrap();
    let mut args = vec!["transfer", arg(&deck_path), "--out", arg(&out)];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    if cfg!(feature = "mpi") { on_ranks(2, &args) } else { crossrx(&args) }.ok();
    out
}

fn table(run: &Path, source: &str, target: &str, split: usize) -> Table {
    Table::read(&run.join(format!("infer/{source}-{target}/split_{split}/test_y_data_predicted.csv")))
}

/// The mean of the training rows, and how far each drug and sample is from it.
fn mean_effects(data: &Dataset, rows: &[u32]) -> impl Fn(u32, u32) -> f64 {
    let mean_of = |of: &dyn Fn(u32) -> bool| {
        let values: Vec<f64> =
            rows.iter().filter(|&&r| of(r)).map(|&r| data.auc[r as usize].into()).collect();
        if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
    };
    let mean = mean_of(&|_| true).unwrap();
    let effect = |of: &[u32], entity: u32| mean_of(&|r| of[r as usize] == entity).map_or(0.0, |m| m - mean);
    let drug: Vec<f64> = (0..DRUGS).map(|d| effect(&data.drug, d)).collect();
    let sample: Vec<f64> = (0..SAMPLES).map(|s| effect(&data.sample, s)).collect();
    move |d, s| mean + drug[d as usize] + sample[s as usize]
}

fn r2(truth: &[f64], predicted: &[f64]) -> f64 {
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let squares = |of: &dyn Fn(usize) -> f64| (0..truth.len()).map(|i| of(i).powi(2)).sum::<f64>();
    1.0 - squares(&|i| truth[i] - predicted[i]) / squares(&|i| truth[i] - mean)
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| of(a - mean_a, b - mean_b)).sum()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

/// The mean place of each value among all, by counting.
fn ranks(values: &[f64]) -> Vec<f64> {
    let place = |v: &f64| {
        let below = values.iter().filter(|x| *x < v).count();
        let same = values.iter().filter(|x| *x == v).count();
        below as f64 + (same as f64 - 1.0) / 2.0
    };
    values.iter().map(place).collect()
}

/// Holds the five scores against those of values that were rounded to four decimals.
fn assert_scores(scores: &serde_json::Value, truth: &[f64], predicted: &[f64], place: &str) {
    let mse = truth.iter().zip(predicted).map(|(t, p)| (t - p).powi(2)).sum::<f64>() / truth.len() as f64;
    for (name, want, tolerance) in [
        ("mse", mse, 1e-2 * mse),
        ("rmse", mse.sqrt(), 5e-3 * mse.sqrt()),
        ("pcc", correlation(truth, predicted), 2e-3),
        ("scc", correlation(&ranks(truth), &ranks(predicted)), 1e-2),
        ("r2", r2(truth, predicted), 2e-3 * (1.0 + r2(truth, predicted).abs())),
    ] {
        let got = scores[name].as_f64().unwrap_or(f64::NAN);
        assert!((got - want).abs() <= tolerance, "{place} {name}: {got} is not {want}");
    }
}

/// What a cell must hold, computed from the corpus alone.
#[test]
fn rows_scores_and_mean_effects_are_those_of_a_second_computation() {
    let mut corpus = Corpus::two_screens();
    let gap = corpus.datasets[1].splits[0].test[1];
    corpus.datasets[1].auc[gap as usize] = f32::NAN;
    let run = study("second-computation", &corpus, &[]);
    for source in &corpus.datasets {
        for (k, split) in source.splits.iter().enumerate() {
            let measured = |data: &Dataset, rows: Vec<u32>| -> Vec<u32> {
                rows.into_iter().filter(|&r| !data.auc[r as usize].is_nan()).collect()
            };
            let train = measured(source, split.train.clone());
            let naive = mean_effects(source, &train);
            for target in &corpus.datasets {
                let rows = if target.name == source.name {
                    measured(target, split.test.clone())
                } else {
                    measured(target, (0..target.pairs() as u32).collect())
                };
                check_cell(&run, source, k, &train, target, &rows, &naive, &corpus);
            }
            let validation = run.join(format!("models/{}/split_{k}/val_y_data_predicted.csv", source.name));
            let table = Table::read(&validation);
            check_rows(&table, source, &measured(source, split.val.clone()), &corpus);
            let scores = json(&validation.with_file_name("val_scores.json"));
            let [truth, predicted] = ["auc_true", "auc_pred"].map(|name| table.numbers(name));
            assert_scores(&scores, &truth, &predicted, source.name);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one cell of the study, all of it")]
fn check_cell(
    run: &Path,
    source: &Dataset,
    k: usize,
    train: &[u32],
    target: &Dataset,
    rows: &[u32],
    naive: &impl Fn(u32, u32) -> f64,
    corpus: &Corpus,
) {
    let cell = format!("infer/{}-{}/split_{k}", source.name, target.name);
    let predicted = table(run, source.name, target.name, k);
    check_rows(&predicted, target, rows, corpus);
    let beside = table(&run.join("baseline/mean-effects"), source.name, target.name, k);
    check_rows(&beside, target, rows, corpus);
    for (&row, got) in rows.iter().zip(beside.numbers("auc_pred")) {
        let want = naive(target.drug[row as usize], target.sample[row as usize]);
        assert!((got - want).abs() <= 5.1e-5, "{cell}: mean effects of row {row} are {got}, not {want}");
    }

    let seen = |of: &[u32]| train.iter().map(|&r| of[r as usize]).collect::<HashSet<u32>>();
    let (drugs, samples) = (seen(&source.drug), seen(&source.sample));
    let pairs: HashSet<(u32, u32)> =
        train.iter().map(|&r| (source.drug[r as usize], source.sample[r as usize])).collect();
    let of = |row: u32| (target.drug[row as usize], target.sample[row as usize]);
    type Part<'a> = (&'a str, Box<dyn Fn(u32) -> bool + 'a>);
    let parts: [Part; 4] = [
        ("unseen_pairs", Box::new(|row| !pairs.contains(&of(row)))),
        ("unseen_drugs", Box::new(|row| !drugs.contains(&of(row).0))),
        ("unseen_samples", Box::new(|row| !samples.contains(&of(row).1))),
        ("unseen_both", Box::new(|row| !drugs.contains(&of(row).0) && !samples.contains(&of(row).1))),
    ];
    let scores = json(&run.join(&cell).join("test_scores.json"));
    let strict = json(&run.join(&cell).join("strict_scores.json"));
    let truth: Vec<f64> = rows.iter().map(|&r| target.auc[r as usize].into()).collect();
    let network = predicted.numbers("auc_pred");
    assert_scores(&scores, &truth, &network, &cell);
    for (name, unseen) in &parts {
        let at: Vec<usize> = (0..rows.len()).filter(|&i| unseen(rows[i])).collect();
        assert_eq!(strict[name]["n"].as_u64(), Some(at.len() as u64), "{cell} {name}");
        if at.len() > 2 {
            let pick = |values: &[f64]| at.iter().map(|&i| values[i]).collect::<Vec<_>>();
            assert_scores(&strict[name], &pick(&truth), &pick(&network), &format!("{cell} {name}"));
        }
    }
    if source.name != target.name {
        assert!(strict["unseen_both"]["n"].as_u64() > Some(0), "{cell}: the corpus does not test this");
    }
}

/// The response columns of `rows` in their order, and truth at four decimals.
fn check_rows(table: &Table, data: &Dataset, rows: &[u32], corpus: &Corpus) {
    let columns =
        ["source", "improve_sample_id", "improve_chem_id", "site", "auc", "ic50", "auc_true", "auc_pred"];
    assert_eq!(table.header, columns);
    assert_eq!(table.rows.len(), rows.len());
    for (&row, cells) in rows.iter().zip(&table.rows) {
        let row = row as usize;
        let (sample, drug) = (data.sample[row] as usize, data.drug[row] as usize);
        assert_eq!(cells[0], data.name);
        assert_eq!([&cells[1], &cells[2]], [&corpus.sample_ids[sample], &corpus.drug_ids[drug]]);
        assert_eq!(cells[3], ["even, or so", "odd"][row % 2]);
        // The column of the endpoint is rounded like the truth.
        assert_eq!(cells[4], cells[6]);
        assert_eq!(cells[5].parse::<f32>().unwrap(), data.ic50[row]);
        let truth: f64 = cells[6].parse().unwrap();
        assert!((truth - f64::from(data.auc[row])).abs() <= 5.1e-5, "{cells:?}");
        for cell in &cells[6..] {
            let decimals = cell.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!((1..=4).contains(&decimals), "{cell} is not at four decimals");
        }
    }
}

#[test]
fn rules_keep_apart_what_they_say() {
    let corpus = Corpus::two_screens();
    let red = &corpus.datasets[0];
    for (rule, part) in
        [("random", "unseen_pairs"), ("cold-drug", "unseen_drugs"), ("cold-sample", "unseen_samples")]
    {
        let splits = format!("data.splits={{ rule = \"{rule}\", folds = 4, seed = 3 }}");
        let set = [splits.as_str(), "data.sources=[\"Red\"]", "train.epochs=1"];
        let run = study(&format!("rule-{rule}"), &corpus, &set);
        let planned = crossrx(&["transfer", arg(&run.join("deck.toml")), "--dry-run"]).ok();
        let mut tested: HashMap<(String, String), usize> = HashMap::new();
        for k in 0..4 {
            let table = table(&run, "Red", "Red", k);
            let validated = Table::read(&run.join(format!("models/Red/split_{k}/val_y_data_predicted.csv")));
            let [val, test] = [validated.rows.len(), table.rows.len()];
            let sizes = format!("{} training, {val} validation, {test} test", red.pairs() - val - test);
            assert!(planned.contains(&format!("Red split {k}: {sizes} pairs")), "{sizes}: {planned}");
            let strict = json(&run.join(format!("infer/Red-Red/split_{k}/strict_scores.json")));
            assert_eq!(strict[part]["n"].as_u64(), Some(table.rows.len() as u64), "{rule} {k}");
            for row in table.rows {
                *tested.entry((row[1].clone(), row[2].clone())).or_default() += 1;
            }
        }
        assert_eq!(tested.len(), red.pairs(), "{rule}: every pair is tested");
        assert!(tested.values().all(|&n| n == 1), "{rule}: in one fold");
    }
}

#[test]
fn doses_are_learnt_and_written() {
    let screen = Dataset::new("Red", 0..24, 0..18, 0.0).at_doses();
    let corpus = Corpus::of(vec![screen.clone()]);
    let splits = "data.splits={ rule = \"random\", folds = 5, seed = 1, only = [2] }";
    let set = ["data.sources=[\"Red\"]", splits, "train.epochs=30", "model.dropout=0.0"];
    let with = study("dose", &corpus, &set);
    let without = study("dose-unused", &corpus, &[&set[..], &["data.dose=false"]].concat());
    let [scored, blind] = [&with, &without]
        .map(|run| json(&run.join("infer/Red-Red/split_2/test_scores.json"))["r2"].as_f64().unwrap());
    assert!(scored > 0.7 && blind < 0.5, "R2 {scored} with the dose, {blind} without it");
    let table = table(&with, "Red", "Red", 2);
    let columns = "source,improve_sample_id,improve_chem_id,site,dose,auc,ic50,auc_true,auc_pred";
    assert_eq!(table.header.join(","), columns);
    let mut doses: HashMap<(&str, &str), Vec<f64>> = HashMap::new();
    let ids = table.column("improve_sample_id").into_iter().zip(table.column("improve_chem_id"));
    for (id, dose) in ids.zip(table.numbers("dose")) {
        doses.entry(id).or_default().push(dose);
    }
    assert!(doses.values().all(|d| *d == [-8.0, -7.0, -6.0]), "all doses of a pair are in one part");
    // The mean effects take the drug's mean at its dose.
    let beside =
        Table::read(&with.join("baseline/mean-effects/infer/Red-Red/split_2/test_y_data_predicted.csv"));
    let predicted = beside.numbers("auc_pred");
    assert!(predicted.chunks(3).all(|p| p[0] > p[1] + 0.1 && p[1] > p[2] + 0.2), "{predicted:?}");
}

#[test]
fn an_imported_split_is_used_as_it_is_even_where_it_is_odd() {
    let mut corpus = Corpus::two_screens();
    let n = corpus.datasets[0].pairs() as u32;
    let rows = |from: u32, to: u32| (from..to).rev().collect::<Vec<_>>();
    let odd = SplitRows { train: rows(100, n), val: vec![7], test: vec![50, 3, 99] };
    corpus.datasets[0].splits[0] = odd;
    let set = ["data.sources=[\"Red\"]", "data.targets=[\"Red\"]", "data.splits=[0]"];
    let run = study("odd-split", &corpus, &set);
    check_rows(&table(&run, "Red", "Red", 0), &corpus.datasets[0], &[50, 3, 99], &corpus);
    let scores = json(&run.join("models/Red/split_0/val_scores.json"));
    assert!(scores["mse"].is_f64() && scores["r2"].is_null() && scores["pcc"].is_null(), "{scores}");
    assert!(run.join("report.html").exists());
}
