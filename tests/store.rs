//! A store written here: read back, amended, and refused once it is damaged.

use crossrx::store::{
    Encoding, Entity, FeatureInfo, PairBlock, SplitRows, Store, StoreSummary, StoreWriter, verify,
};
use ndarray::{Array2, array};
use std::path::Path;

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| v.to_string()).collect()
}

fn info(entity: Entity, name: &str, encoding: Encoding, rows: usize, columns: usize) -> FeatureInfo {
    FeatureInfo { entity, name: name.into(), encoding, rows, columns, units: "1".into() }
}

/// Two datasets, A with a dose, a label and two endpoints, B with one endpoint.
fn write_small(path: &Path) -> crossrx::Result<()> {
    let mut w = StoreWriter::create(path, "test")?;
    w.entities(Entity::Drug, &strings(&["d0", "d1", "Prüfstoff"]))?;
    w.entities(Entity::Sample, &strings(&["s0", "s1"]))?;
    w.text(Entity::Drug, "smiles", &strings(&["CC", "C1CC1", ""]))?;
    let mut f = w.feature(info(Entity::Drug, "ecfp4", Encoding::Bits, 2, 11), &names(11), &[2, 0])?;
    f.origin("made up")?;
    f.append(Array2::from_shape_fn((1, 11), |(_, c)| f32::from(c % 3 == 0)).view())?;
    f.append(Array2::from_shape_fn((1, 11), |(_, c)| f32::from(c == 10)).view())?;
    f.finish()?;
    let mut f = w.feature(info(Entity::Sample, "expression", Encoding::F32, 2, 3), &names(3), &[0, 1])?;
    f.append(array![[1.0, 2.5, -3.0], [0.0, 1e-3, 4.0]].view())?;
    f.finish()?;
    let endpoints = [("auc".to_string(), "1".to_string()), ("ic50".to_string(), "log10 M".to_string())];
    let mut d =
        w.dataset("A", &endpoints, true, &strings(&["site"]), &strings(&["source", "auc", "ic50"]))?;
    for start in [0u64, 3] {
        d.append(&PairBlock {
            drug: vec![0, 1, 2],
            sample: vec![0, 1, 1],
            row: vec![start, start + 1, start + 2],
            dose: vec![-6.0, -5.0, -4.0],
            endpoints: vec![vec![0.5, 0.25, f32::NAN], vec![1.0, 2.0, 3.0 + start as f32]],
            labels: vec![vec![0, 1, 1]],
        })?;
    }
    d.label_values("site", &strings(&["lung", "skin"]))?;
    d.finish()?;
    let mut d = w.dataset("B", &endpoints[..1], false, &[], &strings(&["auc"]))?;
    d.append(&PairBlock {
        drug: vec![1],
        sample: vec![0],
        row: vec![9],
        endpoints: vec![vec![0.75]],
        ..PairBlock::default()
    })?;
    d.finish()?;
    w.split("A", 0, &SplitRows { train: vec![0, 1, 2], val: vec![3], test: vec![4, 5] })?;
    w.best_r2(&strings(&["A", "B"]), array![[0.9, 0.5], [0.25, 0.8]].view())?;
    w.finish()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("column {i}")).collect()
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/small.h5");
    write_small(&path).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.provenance().command, "test");
    assert_eq!((store.count(Entity::Drug), store.count(Entity::Sample)), (3, 2));
    assert_eq!(store.ids(Entity::Drug).unwrap(), ["d0", "d1", "Prüfstoff"]);
    assert_eq!(store.texts(Entity::Drug).unwrap(), ["smiles"]);
    assert_eq!(store.text(Entity::Drug, "smiles").unwrap(), ["CC", "C1CC1", ""]);
    let bits = store.feature(Entity::Drug, "ecfp4").unwrap();
    assert_eq!(bits.entity, [2, 0]);
    assert_eq!(bits.values.row(0).to_vec(), [1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0.]);
    assert_eq!(bits.values.row(1).iter().sum::<f32>(), 1.0);
    let table = store.feature(Entity::Sample, "expression").unwrap();
    assert_eq!(table.values, array![[1.0, 2.5, -3.0], [0.0, 1e-3, 4.0]]);
    assert_eq!(table.names, names(3));

    let a = store.dataset("A").unwrap();
    assert_eq!((a.pairs, a.dose, &a.splits[..]), (6, true, &[0][..]));
    assert_eq!(a.columns, ["source", "auc", "ic50"]);
    let pairs = store.pairs("A", "ic50", 1..6).unwrap();
    assert_eq!(pairs.value, [2.0, 3.0, 1.0, 2.0, 6.0]);
    assert_eq!(pairs.dose, [-5.0, -4.0, -6.0, -5.0, -4.0]);
    let some = store.pairs_at("A", "ic50", &[5, 1, 5]).unwrap();
    assert_eq!((some.drug, some.sample), (vec![2, 1, 2], vec![1, 1, 1]));
    assert_eq!(some.value, [6.0, 2.0, 6.0]);
    assert!(store.endpoint_values("A", "auc", 2..3).unwrap()[0].is_nan());
    assert_eq!(store.rows_of_table("B", 0..1).unwrap(), [9]);
    assert_eq!(store.label("A", "site").unwrap().0, [0, 1, 1, 0, 1, 1]);
    assert_eq!(store.split("A", 0).unwrap().test, [4, 5]);
    assert_eq!(store.best_r2().unwrap().unwrap().1[(0, 1)], 0.5);

    let report = verify(&store).unwrap();
    assert_eq!((report.pairs, report.splits, report.feature_values), (7, 1, 28));
    let summary = StoreSummary::of(&store).unwrap();
    assert_eq!((summary.overlaps[0].drugs, summary.overlaps[0].samples), (1, 1));
    assert_eq!(summary.datasets[0].dose, Some((-6.0, -4.0)));
    assert_eq!(
        (summary.datasets[0].endpoints[0].measured, summary.datasets[0].endpoints[0].mean),
        (4, 0.375)
    );
    let json = serde_json::to_string(&summary).unwrap();
    let again: StoreSummary = serde_json::from_str(&json).unwrap();
    assert_eq!((again.features, again.overlaps), (summary.features, summary.overlaps));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.h5");
    write_small(&path).unwrap();
    let store = Store::open(&path).unwrap();
    for (error, there) in [
        (store.feature(Entity::Drug, "mordred").unwrap_err(), "ecfp4"),
        (store.dataset("CCLE").unwrap_err(), "A, B"),
        (store.pairs("A", "aac", 0..1).unwrap_err(), "auc, ic50"),
        (store.split("A", 3).unwrap_err(), "there is 0"),
        (store.text(Entity::Sample, "tissue").unwrap_err(), "none at all"),
        (store.pairs("A", "auc", 0..7).unwrap_err(), "0..7 of 6"),
        (store.pairs_at("A", "auc", &[6]).unwrap_err(), "row 6 of 6"),
    ] {
        let line = error.to_string();
        assert!(line.contains(there) && !line.contains('\n'), "{line}");
    }
}
