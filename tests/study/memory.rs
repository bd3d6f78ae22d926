use crate::program::{arg, fresh, has_ranks, on_ranks};
use crate::table::json;
use crossrx::store::{Encoding, Entity, FeatureInfo, PairBlock, StoreWriter};
use ndarray::Array2;
use std::fs;
use std::path::Path;

const DRUGS: u32 = 2000;
const SAMPLES: u32 = 20;
const DOSES: u32 = 10;
const COLUMNS: usize = 6000;

/// Bytes of the drugs' features, in MiB.
const FEATURES: f64 = (DRUGS as usize * COLUMNS * 4) as f64 / (1 << 20) as f64;

/// What was held may be this much less, or more, than the account says.
const FACTOR: f64 = 1.25;

/// A screen with features wide enough to tell one copy from two.
fn write(path: &Path) -> crossrx::Result<()> {
    let mut w = StoreWriter::create(path, "test")?;
    let ids = |name: &str, n: u32| (0..n).map(|i| format!("{name}_{i}")).collect::<Vec<_>>();
    w.entities(Entity::Drug, &ids("Drug", DRUGS))?;
    w.entities(Entity::Sample, &ids("Sample", SAMPLES))?;
    for (entity, name, rows, columns) in
        [(Entity::Drug, "mordred", DRUGS, COLUMNS), (Entity::Sample, "expression", SAMPLES, 4)]
    {
        let (units, encoding) = ("1".to_string(), Encoding::F32);
        let info = FeatureInfo { entity, name: name.into(), encoding, rows: rows as usize, columns, units };
        let names = ids("c", columns as u32);
        let mut table = w.feature(info, &names, &(0..rows).collect::<Vec<_>>())?;
        let value = |(r, c): (usize, usize)| ((r * 31 + c * 17) % 97) as f32;
        table.append(Array2::from_shape_fn((rows as usize, columns), value).view())?;
        table.finish()?;
    }
    let endpoints = [("auc".to_string(), "1".to_string())];
    let mut screen = w.dataset("Wide", &endpoints, true, &[], &["auc".to_string()])?;
    let pairs = 0..DRUGS * SAMPLES * DOSES;
    let of = |place: fn(u32) -> u32| pairs.clone().map(place).collect::<Vec<_>>();
    screen.append(&PairBlock {
        drug: of(|i| i / (SAMPLES * DOSES)),
        sample: of(|i| i / DOSES % SAMPLES),
        row: pairs.clone().map(u64::from).collect(),
        dose: pairs.clone().map(|i| -9.0 + (i % DOSES) as f32).collect(),
        endpoints: vec![pairs.clone().map(|i| (i * 7 % 101) as f32).collect()],
        labels: Vec::new(),
    })?;
    screen.finish()?;
    w.finish()
}

#[test]
fn what_ranks_hold_is_what_the_account_says_and_features_are_held_once() {
    if !has_ranks() {
        return;
    }
    let folder = fresh("memory");
    let store = folder.join("wide.h5");
    write(&store).unwrap();
    let deck = folder.join("deck.toml");
    let text = format!(
        "[store]\npath = {store:?}\n\
         [data]\nendpoint = \"auc\"\nsources = [\"Wide\"]\n\
         splits = {{ rule = \"random\", folds = 5, seed = 1, only = [0] }}\n\
         drug_features = [\"mordred\"]\nsample_features = [\"expression\"]\n\
         [model]\nkind = \"two-tower\"\ndrug_tower = [8]\nsample_tower = [8]\nhead = [8]\n\
         [train]\nbatch = 2048\nepochs = 1\n"
    );
    fs::write(&deck, text).unwrap();

    let said = on_ranks(2, &["transfer", arg(&deck), "--dry-run"]).ok();
    for words in [format!("features {FEATURES:.0}"), format!("which hold {FEATURES:.0} MiB of features once")]
    {
        assert!(said.contains(&words), "{words}: {said}");
    }
    let out = folder.join("out");
    let outcome = on_ranks(2, &["transfer", arg(&deck), "--out", arg(&out)]);
    assert_eq!(outcome.stderr.matches("peak memory: ").count(), 1, "{}", outcome.stderr);
    outcome.ok();
    let run = json(&out.join("run.json"));
    let of = |key: &str| run[key].as_f64().unwrap_or_else(|| panic!("{key} of {run}"));
    for [measured, account] in
        [["peak_memory_mib", "estimated_memory_mib"], ["peak_node_memory_mib", "estimated_node_memory_mib"]]
    {
        let ratio = of(measured) / of(account);
        assert!((1.0 / FACTOR..FACTOR).contains(&ratio), "{measured} is {ratio:.2} of {account}: {run}");
    }
    let (rank, node) = (of("peak_memory_mib"), of("peak_node_memory_mib"));
    assert!(rank > FEATURES && node < 2.0 * rank - 0.9 * FEATURES, "{rank} a rank, {node} a node");
    let beside = json(&out.join("baseline/mean-effects/run.json"));
    assert_eq!(beside["peak_memory_mib"].as_f64(), Some(0.0));
}
