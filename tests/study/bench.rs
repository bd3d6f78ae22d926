use crate::program::{arg, crossrx, fresh, has_ranks, on_ranks};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn figures(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn steps_are_timed_beside_their_floor_and_by_phase() {
    let folder = fresh("bench-step");
    let path = folder.join("step.json");
    let args = ["bench", "step", "--case", "compound-gene", "--seconds", "0.3", "--json", arg(&path)];
    let check = |said: &str, ranks: u64| {
        assert!(said.contains("compound-gene: 4096 pairs a step in 2 lanes"), "{said}");
        let list = figures(&path);
        assert_eq!(list.as_array().map(Vec::len), Some(1));
        let of = |key: &str| list[0][key].as_f64().unwrap();
        assert_eq!(list[0]["case"], "compound-gene");
        assert_eq!(list[0]["ranks"], ranks);
        assert!(of("samples_per_s") > 0.0 && of("floor_samples_per_s") > 0.0);
        let ratio = of("samples_per_s") / of("floor_samples_per_s");
        assert!((of("ratio") - ratio).abs() < 1e-9 * ratio);
        // Half of the batch each: of 2,000 drugs drawn evenly, n (1 - (1 - 1/n)^2048), and of one half of 978 samples.
        let distinct = |i: usize| list[0]["distinct"][i].as_f64().unwrap();
        assert!((distinct(0) - 1282.0).abs() < 60.0 && (distinct(1) - 481.0).abs() < 20.0);
        let phases = list[0]["phases"].as_object().unwrap();
        for phase in
            ["matrix products", "products with bits", "fuse", "optimiser", "all-reduce", "batch assembly"]
        {
            assert!(phases[phase].as_f64().unwrap() >= 0.0, "{phase}");
        }
    };
    check(&crossrx(&[&args[..], &["--lanes", "2"]].concat()).ok(), 1);
    if has_ranks() {
        check(&on_ranks(2, &args).ok(), 2);
    }
    crossrx(&["bench", "step", "--case", "three-tower"]).refused(&["three-tower", "--case"]);
}

#[test]
fn sums_over_ranks_are_timed_beside_the_librarys_own() {
    crossrx(&["bench", "all-reduce", "--seconds", "0.1"]).refused(&["two or more"]);
    if !has_ranks() {
        return;
    }
    let path = fresh("bench-all-reduce").join("sum.json");
    for ranks in [2, 3] {
        let args = ["bench", "all-reduce", "--mebibytes", "2", "--seconds", "0.2", "--json", arg(&path)];
        let said = on_ranks(ranks, &args).ok();
        assert!(said.contains(&format!("2 MiB over {ranks} ranks")), "{said}");
        let figures = figures(&path);
        let of = |key: &str| figures[key].as_f64().unwrap();
        assert!(of("rounds") >= 1.0 && of("library_ms") > 0.0);
        assert!((of("ratio") * of("library_ms") / of("tree_sum_ms") - 1.0).abs() < 1e-9);
    }
}

#[test]
fn scoring_is_timed() {
    let path = fresh("bench-score").join("score.json");
    let said =
        crossrx(&["bench", "score", "--case", "two-tower-256", "--pairs", "5000", "--json", arg(&path)]).ok();
    assert!(said.contains("5000 pairs scored"), "{said}");
    let figures = figures(&path);
    let of = |key: &str| figures[key].as_f64().unwrap();
    assert!((of("pairs_per_s") * of("seconds") - 5000.0).abs() < 1.0 && of("embed_s") <= of("seconds"));
}
