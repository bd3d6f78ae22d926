//! What is written is read, and what is not there is answered.

use crate::small::{Small, info, names, strings, write_small};
use crossrx::store::{Encoding, Entity, Store, StoreSummary, StoreWriter, verify};
use ndarray::array;

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
    let Small { path, .. } = &Small::new();
    let store = Store::open(path).unwrap();
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

#[test]
fn features_may_have_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gaps.h5");
    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0", "d1"])).unwrap();
    let table = info(Entity::Drug, "x", Encoding::F32, 2, 2);
    let mut f = w.feature(table, &names(2), &[0, 1]).unwrap();
    f.append(array![[1.0, f32::NAN], [f32::NAN, f32::NAN]].view()).unwrap();
    f.finish().unwrap();
    w.finish().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(verify(&store).unwrap().feature_missing, 3);
    assert_eq!(StoreSummary::of(&store).unwrap().features[0].missing, 3);
    let values = store.feature(Entity::Drug, "x").unwrap().values;
    assert!(values[(0, 0)] == 1.0 && values.iter().filter(|v| v.is_nan()).count() == 3);
}
