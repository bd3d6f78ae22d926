//! Label tables: by id, by name, by prefix; every fault; and the real cell lines.

use super::{Tree, shared};
use crossrx::feature::labels;
use crossrx::import::labels::{LabelMap, add_labels};
use crossrx::import::{MatchReport, improve};
use crossrx::store::{Encoding, Entity, Store, StoreWriter, verify};
use std::fs;

fn map(columns: &[&str]) -> LabelMap {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    LabelMap { id: Some("S{n}".into()), columns, missing: vec!["NS".into()], ..LabelMap::default() }
}

fn add(tree: &Tree, rows: &str, map: &LabelMap) -> crossrx::Result<MatchReport> {
    tree.write("lines.csv", rows);
    add_labels(&tree.store(), &tree.dir.path().join("lines.csv"), map, "second")
}

const LINES: &str = "n,Site,Primary_Histology\n\
    4,skin,melanoma\n\
    1,lung,\n\
    9,bone,sarcoma\n\
    2,skin,NS\n\
    1,lung,carcinoma\n\
    3,NA,NS\n";

#[test]
fn columns_become_one_hot_bits() {
    let tree = Tree::new();
    tree.import().unwrap();
    let report = add(&tree, LINES, &map(&["Site", "Primary_Histology"])).unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    let site = store.feature(Entity::Sample, "site").unwrap();
    assert_eq!((site.info.encoding, site.names), (Encoding::Bits, vec!["lung".into(), "skin".into()]));
    assert_eq!(labels(&store, "site").unwrap().of, [Some(0), Some(1), None, Some(1)]);
    let histology = labels(&store, "primary-histology").unwrap();
    assert_eq!(histology.names, ["carcinoma", "melanoma"]);
    assert_eq!(histology.of, [Some(0), None, None, Some(1)]);
    let counts = report.labels.iter().map(|l| (l.samples, l.unlabelled)).collect::<Vec<_>>();
    assert_eq!(counts, [(3, 1), (2, 3)]);
    let text = report.to_string();
    for words in [
        "lines.csv: 5 rows by 2 columns -> labels site, primary-histology of samples",
        "1 rows left out: not in the store",
        "among others: S9",
        "site: 3 samples in 2 classes: skin 2, lung 1",
        "3 rows that joined have no label",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    drop(store);
    let again = add(&tree, LINES, &map(&["Site"])).unwrap_err().to_string();
    assert!(again.contains("/features/sample/site: is there already"), "{again}");
    add(&tree, LINES, &LabelMap { name: Some("origin".into()), ..map(&["Site"]) }).unwrap();
    assert!(labels(&Store::open(&tree.store()).unwrap(), "origin").is_ok());
}

#[test]
fn a_prefix_means_all_its_samples() {
    let tree = Tree::new();
    tree.write(
        "x_data/cancer_gene_expression.tsv",
        "improve_sample_id\tTP53\nS1\t1\nS2\t1\nS3\t1\nTCGA-OR-A5J1-01A-11R\t1\nTCGA-OR-A5J1-06A-11R\t1\n\
         TCGA-OR-A5J2-01A-11R\t1\n",
    );
    tree.import().unwrap();
    let map = LabelMap { prefix: true, columns: vec!["stage".into()], ..LabelMap::default() };
    let rows = "id,stage\nTCGA-OR-A5J1,ii\ntcga-or-a5j2-01,iv\nTCGA-OR-A5J,i\nTCGA-OR-A5J2-01A,iv\nS1,i\n";
    let report = add(&tree, rows, &map).unwrap();
    let store = Store::open(&tree.store()).unwrap();
    let of = labels(&store, "stage").unwrap();
    assert_eq!(of.names, ["i", "ii", "iv"]);
    let tumours: Vec<_> = store.ids(Entity::Sample).unwrap().into_iter().zip(of.of).collect();
    let class = |id: &str| tumours.iter().find(|(t, _)| t == id).unwrap().1;
    assert_eq!(class("TCGA-OR-A5J1-01A-11R"), Some(1));
    assert_eq!(class("TCGA-OR-A5J1-06A-11R"), Some(1));
    assert_eq!(class("TCGA-OR-A5J2-01A-11R"), Some(2));
    assert_eq!((class("S1"), class("S2")), (Some(0), None));
    assert_eq!((report.tables[0].rows, report.tables[0].unknown), (4, 1));
    drop(store);
    let clash = "id,stage\nTCGA-OR-A5J1,ii\nTCGA-OR-A5J1-06,iv\n";
    let map = LabelMap { name: Some("other".into()), ..map };
    let error = add(&tree, clash, &map).unwrap_err().to_string();
    let words =
        ["lines.csv:3: column \"stage\": \"iv\"", "\"TCGA-OR-A5J1-06A-11R\"", "which is \"ii\" on line 2"];
    assert!(words.iter().all(|w| error.contains(w)), "{error}");
}

#[test]
fn faults_of_label_tables_are_told() {
    let tree = Tree::new();
    tree.import().unwrap();
    let before = fs::read(tree.store()).unwrap();
    let named = |name: &str, columns| LabelMap { name: Some(name.into()), ..map(columns) };
    let clash = format!("{LINES}2,lung,x\n");
    let cases: &[(&str, LabelMap, &[&str])] = &[
        (
            &clash,
            map(&["Site"]),
            &["lines.csv:8: column \"Site\": \"lung\" for the sample \"S2\", which is \"skin\" on line 5"],
        ),
        (LINES, map(&["site"]), &["lines.csv:1", "no column \"site\"", "n, Site"]),
        (LINES, map(&[]), &["--column"]),
        (LINES, named("x", &["Site", "n"]), &["--name \"x\" is for one column"]),
        (LINES, named(".x", &["Site"]), &["\".x\""]),
        (LINES, map(&["Site", "Site"]), &["/features/sample/site: is there already"]),
        ("n,Site\n9,bone\n7,skin\n", map(&["Site"]), &["none of its 2 rows", "\"S9\"", "--prefix"]),
        ("n,Site\n1,\n2,NS\n", map(&["Site"]), &["column \"Site\": no row of a sample"]),
        ("n,Site\n1,bone\n,skin\n", map(&["Site"]), &["lines.csv:3: has no id"]),
        ("n,Site\n1,bone\n2\n", map(&["Site"]), &["lines.csv:3: has 1 cells"]),
        ("n,Site\n", map(&["Site"]), &["lines.csv:1: has a header and no rows"]),
        ("n,!\n1,a\n", map(&["!"]), &["\"!\"", "--name"]),
        (LINES, LabelMap { id: Some("n@name".into()), ..map(&["Site"]) }, &["\"name\""]),
        (
            LINES,
            LabelMap { id: Some("n@name".into()), prefix: true, ..map(&["Site"]) },
            &["--prefix compares ids"],
        ),
    ];
    for (rows, map, words) in cases {
        let error = add(&tree, rows, map).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{words:?}: {error}");
    }
    assert_eq!(fs::read(tree.store()).unwrap(), before, "a refused table changed the store");
}

#[test]
fn the_real_cell_lines_have_sites() {
    let Some(shared) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("csa.h5");
    let writer = StoreWriter::create(&path, "test").unwrap();
    improve::import_into(writer, &shared.join("improve/raw_data"), None).unwrap();
    let map = LabelMap {
        id: Some("COSMIC-{cosmic_id}".into()),
        columns: vec!["Site".into(), "Histology".into()],
        ..LabelMap::default()
    };
    let report = add_labels(&path, &shared.join("cells/cell_lines.tsv"), &map, "test").unwrap();
    let store = Store::open(&path).unwrap();
    verify(&store).unwrap();
    let site = labels(&store, "site").unwrap();
    assert_eq!(site.of.len(), store.count(Entity::Sample));
    assert_eq!(site.of.iter().flatten().count(), report.labels[0].samples);
    assert!(site.names.iter().any(|name| name == "lung"), "{:?}", site.names);
    assert!(report.labels[0].samples > 900 && report.labels[1].samples > 900, "{report}");
}
