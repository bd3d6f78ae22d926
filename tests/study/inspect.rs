use crate::corpus::{Corpus, DRUGS, SAMPLES};
use crate::program::{arg, crossrx, fresh};
use crossrx::store::Store;
use std::collections::HashSet;

/// What `inspect` says of a store, against the corpus that it was made from.
#[test]
fn a_store_is_told_in_numbers() {
    let corpus = Corpus::two_screens();
    let store = fresh("inspect").join("small.h5");
    corpus.write(&store);
    let said = crossrx(&["inspect", arg(&store), "--verify"]).ok();
    let digest = Store::open(&store).unwrap().digest().unwrap();
    let line = |start: [&str; 2]| {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        let mut lines = said.lines().map(words).filter(|words| words.len() > 1 && words[..2] == start);
        lines.next().unwrap_or_else(|| panic!("no line {start:?} in {said}"))
    };
    let distinct = |of: &[u32]| of.iter().collect::<HashSet<_>>().len().to_string();
    let shared = |a: &[u32], b: &[u32]| {
        let of = |list: &[u32]| list.iter().copied().collect::<HashSet<u32>>();
        of(a).intersection(&of(b)).count().to_string()
    };
    assert_eq!(line(["digest", &digest])[1], digest);
    assert!(said.contains(&format!("{DRUGS} drugs, {SAMPLES} samples")), "{said}");
    for data in &corpus.datasets {
        let (drugs, pairs) = (distinct(&data.drug), data.pairs().to_string());
        assert_eq!(
            line([data.name, &drugs])[2..],
            [distinct(&data.sample), pairs.clone(), "2".into(), "-".into()]
        );
        let n = data.pairs() as f64;
        let mean = data.auc.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let sd = (data.auc.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        assert_eq!(
            line([data.name, "auc"])[2..],
            [pairs, format!("{mean:.4}"), format!("{sd:.4}"), "1".into()]
        );
    }
    let [red, blue] = &corpus.datasets[..] else { unreachable!("two screens") };
    let overlap = [shared(&red.drug, &blue.drug), shared(&red.sample, &blue.sample)];
    assert_eq!(line([blue.name, red.name])[2..], overlap);
    assert_eq!(line(["ecfp4", "drug"])[2..], [&DRUGS.to_string(), "8", "0", "bits", "1"]);
    assert!(said.contains(&format!("{} pairs", red.pairs() + blue.pairs())), "{said}");

    let json: serde_json::Value =
        serde_json::from_str(&crossrx(&["inspect", arg(&store), "--json"]).ok()).unwrap();
    assert_eq!(json["summary"]["overlaps"][0]["drugs"].to_string(), overlap[0]);
    assert_eq!(json["summary"]["datasets"][1]["pairs"].as_u64(), Some(red.pairs() as u64));
    assert_eq!(json["summary"]["digest"], digest.as_str());
    assert!(json["verified"].is_null());
}
