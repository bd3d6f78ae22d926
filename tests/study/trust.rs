//! How far a source is trusted on another dataset, and features that some entities lack.

use crate::corpus::{Corpus, deck};
use crate::program::{arg, crossrx, fresh};
use crate::table::Table;
use crossrx::store::{Encoding, Entity, FeatureInfo, StoreWriter};
use ndarray::Array2;
use std::collections::HashSet;
use std::fs;

#[test]
fn predictions_of_another_dataset_keep_a_part_of_their_distance_from_the_mean() {
    let folder = fresh("trust");
    let (store, path) = (folder.join("s.h5"), folder.join("deck.toml"));
    let corpus = Corpus::two_screens();
    corpus.write(&store);
    fs::write(&path, deck(&store, "[transfer]\nseen_drugs = 0.75\nunseen_drugs = 0.5")).unwrap();
    let run = |out: &str, set: &[&str]| {
        let out = folder.join(out);
        let mut args = vec!["transfer", arg(&path), "--out", arg(&out), "--set", "data.splits=[0]"];
        set.iter().for_each(|set| args.extend(["--set", set]));
        crossrx(&args).ok();
        out
    };
    let trusted = run("whole", &["transfer.seen_drugs=1.0", "transfer.unseen_drugs=1.0"]);
    let drawn = run("part", &[]);
    let scaling = Table::read(&drawn.join("models/Red/split_0/scaling.csv"));
    let place = scaling.column("part").iter().position(|part| *part == "endpoint").unwrap();
    let mean = scaling.numbers("mean")[place];
    let red = &corpus.datasets[0];
    let shown: HashSet<String> = red.splits[0]
        .train
        .iter()
        .map(|&row| corpus.drug_ids[red.drug[row as usize] as usize].clone())
        .collect();
    let table = |run: &std::path::Path, target: &str| {
        Table::read(&run.join(format!("infer/Red-{target}/split_0/test_y_data_predicted.csv")))
    };
    let (whole, part) = (table(&trusted, "Blue"), table(&drawn, "Blue"));
    let (mut seen, mut unseen) = (0, 0);
    let drugs = whole.column("improve_chem_id");
    for ((drug, whole), part) in drugs.iter().zip(whole.numbers("auc_pred")).zip(part.numbers("auc_pred")) {
        let factor = if shown.contains(*drug) { 0.75 } else { 0.5 };
        *(if shown.contains(*drug) { &mut seen } else { &mut unseen }) += 1;
        assert!((part - (mean + factor * (whole - mean))).abs() <= 1.01e-4, "{drug}: {whole} became {part}");
    }
    assert!(seen > 20 && unseen > 20, "{seen} of seen drugs, {unseen} of others");
    // The source itself is trusted wholly.
    assert_eq!(table(&trusted, "Red").column("auc_pred"), table(&drawn, "Red").column("auc_pred"));
}

#[test]
fn a_table_that_some_samples_lack_is_filled_where_the_deck_says_so() {
    let folder = fresh("fill");
    let (store, path) = (folder.join("s.h5"), folder.join("deck.toml"));
    Corpus::two_screens().write(&store);
    let mut writer = StoreWriter::amend(&store, "test").unwrap();
    let rows: Vec<u32> = (0..20).collect();
    let info = FeatureInfo {
        entity: Entity::Sample,
        name: "mutation".into(),
        encoding: Encoding::F32,
        rows: rows.len(),
        columns: 2,
        units: "1".into(),
    };
    let mut feature = writer.feature(info, &["a".to_string(), "b".to_string()], &rows).unwrap();
    feature.append(Array2::from_shape_fn((20, 2), |(r, c)| ((r + c) % 3) as f32).view()).unwrap();
    feature.finish().unwrap();
    writer.finish().unwrap();
    let text = deck(&store, "").replace("[\"expression\"]", "[\"expression\", \"mutation\"]");
    fs::write(&path, text).unwrap();
    let run = |out: &str, missing: &str| {
        let (out, missing) = (folder.join(out), format!("data.missing_features={missing}"));
        let set = ["--set", "data.splits=[0]", "--set", missing.as_str()];
        crossrx(&[&["transfer", arg(&path), "--out", arg(&out)], &set[..]].concat())
    };
    run("refuse", "refuse").refused(&["mutation", "Sample_2"]);
    run("drop", "drop").ok();
    run("fill", "fill").ok();
    let pairs = |run: &str| {
        Table::read(&folder.join(run).join("infer/Red-Blue/split_0/test_y_data_predicted.csv")).rows.len()
    };
    let blue = Corpus::two_screens().datasets[1].pairs();
    assert_eq!(pairs("fill"), blue);
    assert!(pairs("drop") < blue);
    // A pair that has no table at all is refused all the same.
    let mut none = Corpus::two_screens();
    none.featured.retain(|&drug| drug != 29);
    let bare = folder.join("bare.h5");
    none.write(&bare);
    fs::write(&path, deck(&bare, "")).unwrap();
    run("none", "fill").refused(&["Drug_29", "mordred", "drop"]);
}
