//! Made-up corpora: repeatable, exact in size, with best scores that the written values bear out.

use crossrx::metric::Scores;
use crossrx::store::{Entity, Store, StoreWriter};
use crossrx::synth::{self, Corpus, Preset};
use std::path::{Path, PathBuf};

fn written(corpus: &Corpus, folder: &Path, name: &str) -> (PathBuf, ndarray::Array2<f64>) {
    let path = folder.join(name);
    let writer = StoreWriter::create(&path, "crossrx synth").unwrap();
    let best = synth::write_into(writer, corpus).unwrap();
    (path, best)
}

#[test]
fn the_demo_is_the_same_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Corpus::new(Preset::Demo, 11);
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (path, best) = pool.install(|| written(&corpus, folder.path(), &format!("{threads}.h5")));
        (Store::open(&path).unwrap(), best)
    };
    let ((one, best_one), (three, best_three)) = (with_threads(1), with_threads(3));
    assert_eq!(best_one, best_three);
    for (entity, name) in [(Entity::Drug, "mordred"), (Entity::Sample, "expression")] {
        let (a, b) = (one.feature(entity, name).unwrap(), three.feature(entity, name).unwrap());
        assert_eq!(a.values, b.values);
        assert_eq!(a.names, b.names);
    }
    for info in one.datasets() {
        let pairs = |store: &Store| store.pairs(&info.name, "auc", 0..info.pairs).unwrap();
        assert_eq!(pairs(&one), pairs(&three));
        for &k in &info.splits {
            assert_eq!(one.split(&info.name, k).unwrap(), three.split(&info.name, k).unwrap());
        }
    }
    let (other, _) = written(&Corpus::new(Preset::Demo, 12), folder.path(), "other.h5");
    let other = Store::open(&other).unwrap().pairs("Alpha", "auc", 0..8_000).unwrap();
    assert_ne!(other, one.pairs("Alpha", "auc", 0..8_000).unwrap(), "the seed matters");
}

#[test]
fn best_scores_of_the_demo_are_those_of_the_sources_expectations() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Corpus::new(Preset::Demo, 1);
    let (path, returned) = written(&corpus, folder.path(), "demo.h5");
    let store = Store::open(&path).unwrap();
    let (order, best) = store.best_r2().unwrap().expect("a made-up corpus has its truth");
    assert_eq!(order, corpus.studies());
    assert_eq!(best, returned);
    for (target, name) in order.iter().enumerate() {
        let info = store.dataset(name).unwrap();
        assert_eq!(info.splits, [0, 1, 2]);
        let pairs = store.pairs(name, "auc", 0..info.pairs).unwrap();
        for source in 0..order.len() {
            let expected: Vec<f32> = (0..pairs.len())
                .map(|i| corpus.expected(source, pairs.drug[i], pairs.sample[i], None) as f32)
                .collect();
            let r2 = Scores::of(&pairs.value, &expected).r2;
            assert!((r2 - best[[source, target]]).abs() < 1e-6, "{source} to {target}: {r2}");
        }
        let diagonal = best[[target, target]];
        assert!((0.8..0.95).contains(&diagonal), "{name}: {diagonal}");
        assert!((0..order.len()).all(|source| best[[source, target]] <= diagonal + 1e-3));
    }
}

#[test]
fn the_ccle_preset_has_the_published_counts() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Corpus::new(Preset::Ccle, 1);
    let (path, best) = written(&corpus, folder.path(), "ccle.h5");
    let store = Store::open(&path).unwrap();
    assert_eq!((store.count(Entity::Drug), store.count(Entity::Sample)), (24, 474));
    assert_eq!(store.feature(Entity::Drug, "mordred").unwrap().values.dim(), (24, 3_820));
    assert_eq!(store.feature(Entity::Sample, "expression").unwrap().values.dim(), (474, 942));
    let info = store.dataset("CCLE").unwrap();
    assert_eq!((info.pairs, info.dose), (84_098, true));
    let pairs = store.pairs("CCLE", "growth", 0..info.pairs).unwrap();
    let mut points: Vec<_> =
        (0..pairs.len()).map(|i| (pairs.drug[i], pairs.sample[i], pairs.dose[i].to_bits())).collect();
    points.sort_unstable();
    points.dedup();
    assert_eq!(points.len(), 84_098, "no point is measured twice");
    let expected: Vec<f32> = (0..pairs.len())
        .map(|i| corpus.expected(0, pairs.drug[i], pairs.sample[i], Some(pairs.dose[i])) as f32)
        .collect();
    assert!((Scores::of(&pairs.value, &expected).r2 - best[[0, 0]]).abs() < 1e-6);
}
