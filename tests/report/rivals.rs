use crate::tree;
use crossrx::report::models::Models;
use crossrx::report::run_json::{self, RunInfo};
use crossrx::report::scores_json;
use crossrx::report::tree::Run;
use crossrx::report::write;
use std::fs;
use std::path::Path;

const DATASETS: [&str; 2] = ["A", "B"];

/// R2 of the run with learned features: 0.02 to 0.04 above the one without on
/// `A`, the same in the mean elsewhere.
fn with(source: usize, target: usize, split: u32) -> f64 {
    let wave = [0.0, 0.01, -0.01, 0.01, -0.01][split as usize];
    without(source, target, split) + if (source, target) == (0, 0) { 0.03 + wave } else { wave }
}

fn without(source: usize, target: usize, split: u32) -> f64 {
    [[0.75, 0.25], [0.0, 0.5]][source][target] + 0.001 * f64::from(split)
}

fn run(dir: &Path, model: &str, splits: u32, r2: impl Fn(usize, usize, u32) -> f64) {
    for (s, source) in DATASETS.into_iter().enumerate() {
        for (t, target) in DATASETS.into_iter().enumerate() {
            for split in 0..splits {
                let cell = dir.join(format!("infer/{source}-{target}/split_{split}/test_scores.json"));
                scores_json::write(&cell, &tree::scores(r2(s, t, split))).unwrap();
            }
        }
    }
    let info = RunInfo { model: model.into(), ..RunInfo::default() };
    run_json::write(&dir.join("run.json"), &info).unwrap();
}

/// The page and the table of tests of a run beside the same one without its
/// features and beside LightGBM, which has one split and no files but its scores.
fn report(dir: &Path) -> (String, Vec<csv::StringRecord>) {
    let folders = ["with", "without", "lightgbm"].map(|name| dir.join(name));
    run(&folders[0], "learned", 5, with);
    run(&folders[1], "plain", 5, without);
    run(&folders[1].join("baseline/mean-effects"), "mean-effects", 5, |s, t, k| without(s, t, k) - 0.25);
    run(&folders[2], "lightgbm", 1, |s, t, _| if s == t { 0.9 } else { -0.5 });
    // Splits by a rule of five folds train on three.
    let deck = "[data]\nsample_features = [\"latent:/runs/PCA\"]\nsplits = { rule = \"random\", folds = 5, seed = 1 }\n";
    fs::write(folders[0].join("deck.toml"), deck).unwrap();
    let runs = folders.map(|folder| Run::read(&folder).unwrap());
    let out = dir.join("out");
    let page = fs::read_to_string(write(&Models::of(&runs), &out, None).unwrap()).unwrap();
    let table = csv::Reader::from_path(out.join("paired_tests.csv")).unwrap();
    (page, table.into_records().map(Result::unwrap).collect())
}

#[test]
fn every_difference_is_tested_over_the_splits_that_both_have() {
    let dir = tempfile::tempdir().unwrap();
    let (_, rows) = report(dir.path());
    let of = |model: &str, rival: &str| {
        rows.iter().filter(|r| &r[2] == model && &r[3] == rival).cloned().collect::<Vec<_>>()
    };
    let counts = [
        ("learned", "plain"),
        ("learned", "lightgbm"),
        ("learned", "mean-effects"),
        ("plain", "mean-effects"),
        ("lightgbm", "mean-effects"),
    ];
    assert!(counts.iter().all(|(model, rival)| of(model, rival).len() == 4), "{rows:?}");
    assert_eq!(rows.len(), 20);
    let number = |cell: &str| cell.parse::<f64>().unwrap();
    // Differences 0.03, 0.04, 0.02, 0.04, 0.02, whose sd is 0.01; p from scipy 1.17.
    let row = &of("learned", "plain")[0];
    assert_eq!([&row[0], &row[1], &row[4]], ["A", "A", "5"]);
    let expected = [0.782, 0.752, 0.03, 0.01, T, P, T_CORRECTED, P_CORRECTED];
    for (cell, want) in (5..13).zip(expected) {
        assert!((number(&row[cell]) - want).abs() < 1e-8, "{row:?}: {want}");
    }
    let even = &of("learned", "plain")[1];
    assert!(number(&even[7]).abs() < 1e-12 && number(&even[10]) > 0.99, "{even:?}");
    let once = &of("learned", "lightgbm")[1];
    assert_eq!([&once[4], &once[8], &once[9], &once[10], &once[11], &once[12]], ["1", "", "", "", "", ""]);
    assert!((number(&once[7]) - 0.75).abs() < 1e-12);
}

const T: f64 = 6.708203932499369;
const P: f64 = 0.0025702607653999305;
const T_CORRECTED: f64 = 4.107919181288746;
const P_CORRECTED: f64 = 0.01475720575467504;

#[test]
fn the_page_counts_cells_won_and_marks_what_is_significant() {
    let dir = tempfile::tempdir().unwrap();
    let (page, _) = report(dir.path());
    for said in [
        "Beside <b>plain</b>, <b>learned</b> is better in <b>",
        "1 difference is significant (p &lt; 0.05, corrected)",
        "Beside <b>lightgbm</b>, <b>learned</b> is better in <b>2 of 4</b> cells; with one split there is no test.",
        "best of them, cell by cell",
        "<th>sample features</th>",
        "<td>latent:PCA</td>",
        "(colours as in the matrices above)",
        "holds for other training rows of the source, not for other pairs of the target",
        "id=\"cell-best-rival-0-0\" data-src=\"A\" data-trg=\"A\" data-value=\"0.9\"",
        "<small class=\"name\" title=\"lightgbm\">lightgbm</small>",
        "id=\"cell-against-best-0-1\"",
    ] {
        assert!(page.contains(said), "the page lacks {said:?}");
    }
    let cell = |id: &str| page.split(&format!("id=\"{id}\"")).nth(1).unwrap().split("</td>").next().unwrap();
    assert!(
        cell("cell-against-1-0-0").contains("+0.030<b>*</b><small>± 0.010"),
        "{}",
        cell("cell-against-1-0-0")
    );
    assert!(!cell("cell-against-1-0-1").contains("<b>*</b>"));
    assert!(cell("cell-best-rival-0-1").contains("plain"));
}

#[test]
fn why_nothing_is_tested_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let said = |splits: u32, r2: fn(usize, usize, u32) -> f64| {
        let folders = ["a", "b"].map(|name| dir.path().join(name));
        run(&folders[0], "one", splits, r2);
        run(&folders[1], "other", splits, without);
        let runs = folders.map(|folder| Run::read(&folder).unwrap());
        let page = fs::read_to_string(write(&Models::of(&runs), dir.path(), None).unwrap()).unwrap();
        runs.iter().for_each(|run| fs::remove_dir_all(&run.dir).unwrap());
        page.split("<p class=\"beside\">").nth(1).unwrap().split("</p>").next().unwrap().to_string()
    };
    assert!(said(3, without).ends_with("<b>0 of 4</b> cells; all scores are the same."));
    assert!(said(1, |s, t, k| without(s, t, k) + 0.1).ends_with("; with one split there is no test."));
    let undefined = |s, t, k| if k == 0 { f64::NAN } else { without(s, t, k) + 0.1 };
    assert!(said(2, undefined).ends_with("; no cell can be tested."), "{}", said(2, undefined));
}

#[test]
fn a_run_beside_its_naive_predictor_alone_has_no_such_section() {
    let dir = tempfile::tempdir().unwrap();
    tree::write(dir.path());
    let page = fs::read_to_string(tree::report(dir.path()).unwrap()).unwrap();
    assert!(!page.contains("Against the rivals") && page.contains("cell-difference-0-1-0-0"));
}
