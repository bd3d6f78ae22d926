//! A small store, and what a program does with one.

use crossrx::store::{
    Encoding, Entity, FeatureInfo, PairBlock, SplitRows, Store, StoreSummary, StoreWriter, verify,
};
use ndarray::{Array2, array};
use std::path::{Path, PathBuf};

/// A small store in a folder of its own.
pub struct Small {
    pub dir: tempfile::TempDir,
    pub path: PathBuf,
}

impl Small {
    pub fn new() -> Small {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.h5");
        write_small(&path).unwrap();
        Small { dir, path }
    }
}

pub fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| v.to_string()).collect()
}

pub fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("column {i}")).collect()
}

pub fn info(entity: Entity, name: &str, encoding: Encoding, rows: usize, columns: usize) -> FeatureInfo {
    FeatureInfo { entity, name: name.into(), encoding, rows, columns, units: "1".into() }
}

/// Two datasets, A with a dose, a label and two endpoints, B with one endpoint.
pub fn write_small(path: &Path) -> crossrx::Result<()> {
    let mut w = StoreWriter::replace(path, "test")?;
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

/// Everything that a program would do with a store.
pub fn use_all(path: &Path) -> crossrx::Result<()> {
    let store = Store::open(path)?;
    verify(&store)?;
    StoreSummary::of(&store)?;
    for entity in Entity::ALL {
        for feature in store.features(entity) {
            store.feature(entity, &feature.name)?;
        }
    }
    for dataset in store.datasets() {
        for (endpoint, _) in &dataset.endpoints {
            let last = dataset.pairs as u32 - 1;
            store.pairs_at(&dataset.name, endpoint, &[last, 0])?;
        }
    }
    Ok(())
}

/// What a sound store gives, to compare a damaged one with, however it is stored.
pub fn content(path: &Path) -> Vec<String> {
    let store = Store::open(path).unwrap();
    let summary = StoreSummary { digest: String::new(), ..StoreSummary::of(&store).unwrap() };
    let mut all = vec![format!("{summary:?}")];
    for entity in Entity::ALL {
        all.extend(store.ids(entity).unwrap());
        for feature in store.features(entity) {
            all.push(format!("{:?}", store.feature(entity, &feature.name).unwrap()));
        }
    }
    for dataset in store.datasets() {
        for (endpoint, _) in &dataset.endpoints {
            all.push(format!("{:?}", store.pairs(&dataset.name, endpoint, 0..dataset.pairs).unwrap()));
        }
        for &k in &dataset.splits {
            all.push(format!("{:?}", store.split(&dataset.name, k).unwrap()));
        }
    }
    all
}
