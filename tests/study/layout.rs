use crate::program::{arg, crossrx, fresh, on_ranks};
use crate::table::{Table, json};
use crate::tree::{assert_complete, assert_same, files, is_events};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const STUDIES: [&str; 4] = ["Alpha", "Beta", "Gamma", "Delta"];
const METRICS: [&str; 5] = ["mse", "rmse", "pcc", "scc", "r2"];

/// The demo, made and run once, on two ranks where there are ranks.
fn demo() -> &'static Path {
    static DEMO: OnceLock<PathBuf> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = fresh("demo");
        let store = folder.join("demo.h5");
        crossrx(&["synth", "--preset", "demo", "--seed", "1", "--out", arg(&store)]).ok();
        let deck = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/demo.toml");
        let (path, out) = (format!("store.path={}", arg(&store)), folder.join("run"));
        let args = ["transfer", arg(&deck), "--out", arg(&out), "--set", &path];
        let said = if cfg!(feature = "mpi") { on_ranks(2, &args) } else { crossrx(&args) }.ok();
        let page = format!("report: {}\n", out.join("report.html").display());
        assert!(said.starts_with("R2 of two-tower") && said.ends_with(&page), "{said}");
        folder
    })
}

fn matrix(run: &Path, name: &str) -> Vec<Vec<f64>> {
    let table = Table::read(&run.join(name));
    assert_eq!(table.header, [&["src"], &STUDIES[..]].concat(), "{name}");
    assert_eq!(table.column("src"), STUDIES, "{name}");
    let number = |cell: &String| if cell.is_empty() { f64::NAN } else { cell.parse().unwrap() };
    table.rows.iter().map(|row| row[1..].iter().map(number).collect()).collect()
}

#[test]
fn the_demo_comes_near_the_best_score_and_beats_the_mean_effects() {
    let run = &demo().join("run");
    let truth = json(&run.join("truth.json"));
    let at = |name: &str| truth["order"].as_array().unwrap().iter().position(|n| n == name).unwrap();
    let network = matrix(run, "two-tower_r2_G_mean.csv");
    let naive = matrix(run, "mean-effects_r2_G_mean.csv");
    for (i, source) in STUDIES.iter().enumerate() {
        let best = truth["best_r2"][at(source)][at(source)].as_f64().unwrap();
        let score = network[i][i];
        assert!(best - score < 0.05 && score < best + 0.03, "{source}: {score}, best {best}");
        for (j, target) in STUDIES.iter().enumerate() {
            let (score, naive) = (network[i][j], naive[i][j]);
            assert!(score > naive, "{source} to {target}: {score}, mean effects {naive}");
        }
    }
}

#[test]
fn every_file_has_its_name_and_its_header() {
    let run = &demo().join("run");
    let mut expected: Vec<PathBuf> = [
        "all_scores.csv",
        "corpus.json",
        "deck.toml",
        "paired_tests.csv",
        "report.html",
        "run.json",
        "runtime.json",
        "study.json",
        "truth.json",
    ]
    .map(PathBuf::from)
    .to_vec();
    expected.push("baseline/mean-effects/run.json".into());
    for model in ["two-tower", "mean-effects"] {
        for metric in METRICS {
            let tables = ["G_mean", "G_std", "Gn_mean", "Ga", "Gna"];
            expected.extend(tables.map(|table| PathBuf::from(format!("{model}_{metric}_{table}.csv"))));
        }
    }
    for source in STUDIES {
        let kept = ["model.safetensors", "deck.toml", "scaling.csv", "val_scores.json", "history.csv"];
        let model = PathBuf::from(format!("models/{source}/split_0"));
        expected.extend(kept.map(|name| model.join(name)));
        expected.extend(["val_y_data_predicted.csv", "trained_on.json"].map(|name| model.join(name)));
        expected.push(PathBuf::from(format!("journal/{source}/split_0.json")));
        expected.push(PathBuf::from(format!("logs/{source}/split_0/history.csv")));
        for (room, target) in ["infer", "baseline/mean-effects/infer"]
            .into_iter()
            .flat_map(|room| STUDIES.map(|target| (room, target)))
        {
            let folder = PathBuf::from(format!("{room}/{source}-{target}/split_0"));
            let files = ["test_scores.json", "strict_scores.json", "test_y_data_predicted.csv"];
            expected.extend(files.map(|name| folder.join(name)));
        }
    }
    expected.sort();
    // Their names have the time in them.
    let (events, others): (Vec<_>, Vec<_>) = files(run).into_iter().partition(|path| is_events(path));
    assert_eq!(others, expected);
    let folders: Vec<&Path> = events.iter().map(|path| path.parent().unwrap()).collect();
    let mut sources = STUDIES.map(|source| PathBuf::from(format!("logs/{source}/split_0")));
    sources.sort();
    assert_eq!(folders, sources.iter().collect::<Vec<_>>());
    assert_complete(run);

    let header = |name: &str| Table::read(&run.join(name)).header.join(",");
    let columns = "source,improve_sample_id,improve_chem_id,auc,auc_true,auc_pred";
    assert_eq!(header("infer/Alpha-Beta/split_0/test_y_data_predicted.csv"), columns);
    assert_eq!(header("models/Beta/split_0/val_y_data_predicted.csv"), columns);
    assert_eq!(header("all_scores.csv"), "met,split,value,src,trg,model");
    assert_eq!(
        header("models/Beta/split_0/history.csv"),
        "epoch,step,learning_rate,train_loss,val_loss,val_r2,seconds"
    );
    assert_eq!(header("models/Beta/split_0/scaling.csv"), "part,feature,column,mean,deviation");
    assert_eq!(header("two-tower_mse_Ga.csv"), "src,Ga");
    assert_eq!(header("two-tower_mse_Gna.csv"), "src,Gna");
    let keys = |name: &str| json(&run.join(name)).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for name in ["infer/Beta-Alpha/split_0/test_scores.json", "models/Beta/split_0/val_scores.json"] {
        let mut metrics = METRICS.map(String::from).to_vec();
        metrics.sort();
        let mut keys = keys(name);
        keys.sort();
        assert_eq!(keys, metrics);
    }
    let runtime = json(&run.join("runtime.json"));
    let wall = json(&run.join("run.json"))["wall_s"].as_f64().unwrap();
    let told = 3600.0 * runtime["hours"].as_f64().unwrap()
        + 60.0 * runtime["minutes"].as_f64().unwrap()
        + runtime["seconds"].as_f64().unwrap();
    assert!((told - wall).abs() < 1e-6 && wall > 0.0, "{runtime}");
}

#[test]
fn tables_say_what_the_scores_say() {
    let run = &demo().join("run");
    let all = Table::read(&run.join("all_scores.csv"));
    assert_eq!(all.rows.len(), 2 * 5 * 16);
    for (room, model) in [("infer", "two-tower"), ("baseline/mean-effects/infer", "mean-effects")] {
        for metric in METRICS {
            let mut g = vec![vec![0.0; 4]; 4];
            for (i, source) in STUDIES.iter().enumerate() {
                for (j, target) in STUDIES.iter().enumerate() {
                    let path = run.join(format!("{room}/{source}-{target}/split_0/test_scores.json"));
                    g[i][j] = json(&path)[metric].as_f64().unwrap();
                    let row = [metric, "0", &g[i][j].to_string(), source, target, model].map(String::from);
                    assert_eq!(all.rows.iter().filter(|r| **r == row).count(), 1, "{row:?}");
                }
            }
            let close = |name: &str, i: usize, got: f64, want: f64| {
                assert!(
                    (got - want).abs() <= 1e-12 * want.abs(),
                    "{model} {metric} {name} {i}: {got}, {want}"
                );
            };
            let read = |name: &str| matrix(run, &format!("{model}_{metric}_{name}.csv"));
            let column =
                |name: &str| Table::read(&run.join(format!("{model}_{metric}_{name}.csv"))).numbers(name);
            assert!(read("G_std").iter().flatten().all(|v| v.is_nan()), "one split has no spread");
            let (mean, gn, ga, gna) = (read("G_mean"), read("Gn_mean"), column("Ga"), column("Gna"));
            for i in 0..4 {
                let others = (0..4).filter(|&j| j != i);
                for j in 0..4 {
                    close("G", i, mean[i][j], g[i][j]);
                    close("Gn", i, gn[i][j], g[i][j] / g[i][i]);
                }
                close("Ga", i, ga[i], others.clone().map(|j| g[i][j]).sum::<f64>() / 3.0);
                close("Gna", i, gna[i], others.map(|j| g[i][j] / g[i][i]).sum::<f64>() / 3.0);
            }
        }
    }
}

#[test]
fn the_report_of_a_run_tree_has_the_same_tables() {
    let run = demo().join("run");
    let out = fresh("demo-report");
    crossrx(&["report", arg(&run), "--out", arg(&out)]).ok();
    let tables = files(&out);
    assert_eq!(tables.len(), 3 + 2 * 5 * 5);
    for table in tables.iter().filter(|t| t.extension().is_some_and(|e| e == "csv")) {
        assert_eq!(fs::read(out.join(table)).unwrap(), fs::read(run.join(table)).unwrap(), "{table:?}");
    }
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("Alpha"));
}

#[test]
fn the_resolved_deck_runs_again_to_the_same_end() {
    let folder = demo();
    let again = fresh("demo-again").join("run");
    let deck = folder.join("run/deck.toml");
    let args = ["transfer", arg(&deck), "--out", arg(&again)];
    if cfg!(feature = "mpi") { on_ranks(2, &args) } else { crossrx(&args) }.ok();
    assert_same(&folder.join("run"), &again);
    let read = |run: &Path| fs::read_to_string(run.join("deck.toml")).unwrap();
    assert_eq!(read(&folder.join("run")), read(&again));
}

#[test]
fn a_dry_run_tells_the_plan_and_writes_nothing() {
    let folder = demo();
    let work = fresh("demo-dry-run");
    let deck = folder.join("run/deck.toml");
    let out = work.join("out");
    let args = ["transfer", arg(&deck), "--dry-run", "--out", arg(&out), "--set", "data.splits=[0, 2]"];
    let said = if cfg!(feature = "mpi") { on_ranks(3, &args) } else { crossrx(&args) }.ok();
    for words in [
        "8 tasks on",
        "Beta split 2:",
        "4 targets each",
        "memory of the rank that needs most:",
        "memory of this node:",
        "time: about",
        " parameters\n",
    ] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
    }
    assert!(cfg!(not(feature = "mpi")) || said.contains("on 3 groups of 1 rank"), "{said}");
    assert!(files(&work).is_empty());
    for set in ["train.epochs=9000000000000000000", "train.batch=9000000000000000000"] {
        let said = crossrx(&["transfer", arg(&deck), "--dry-run", "--set", set]).ok();
        assert!(said.contains("memory of the rank"), "{set}: {said}");
    }
    let refused = crossrx(&["transfer", arg(&deck), "--dry-run", "--set", "data.splits=[9]"]);
    refused.refused(&["data.splits", "no split 9"]);
}

#[test]
fn overrides_end_up_in_every_resolved_deck() {
    let folder = demo();
    let out = fresh("demo-overrides").join("run");
    let deck = folder.join("run/deck.toml");
    let set = ["train.epochs=1", "data.sources=[\"Delta\"]", "data.targets=[\"Alpha\"]", "model.head=[5]"];
    let mut args = vec!["transfer", arg(&deck), "--out", arg(&out)];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    crossrx(&args).ok();
    for name in ["deck.toml", "models/Delta/split_0/deck.toml"] {
        let deck: toml::Table = fs::read_to_string(out.join(name)).unwrap().parse().unwrap();
        assert_eq!(deck["train"]["epochs"].as_integer(), Some(1), "{name}");
        assert_eq!(deck["train"]["beta2"].as_float(), Some(0.999), "{name}: defaults are written");
        assert_eq!(deck["model"]["head"].as_array().unwrap().len(), 1, "{name}");
        assert_eq!(deck["data"]["targets"][0].as_str(), Some("Alpha"), "{name}");
    }
    assert_eq!(Table::read(&out.join("models/Delta/split_0/history.csv")).rows.len(), 1);
    let cells: Vec<_> = fs::read_dir(out.join("infer")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(cells, ["Delta-Alpha"]);
    assert_eq!(json(&out.join("run.json"))["targets"], Value::from(vec!["Alpha"]));
}
