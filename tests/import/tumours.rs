//! Tables of tumours: both ways round, several files, every fault, and the real ones.

use super::{Tree, gzip, shared};
use crossrx::feature::labels;
use crossrx::import::tcga::{Measure, TumourMap, add_tumours};
use crossrx::import::{MatchReport, improve};
use crossrx::store::{Entity, Store, StoreWriter, verify};
use ndarray::array;
use std::fs;
use std::path::PathBuf;

const ACC: &str = "sample\tTP53|7157\t?|100130426\tkras\tONLY\n\
    TCGA-OR-A5J1-01A-11R\t1\t5\t3\t0\n\
    TCGA-OR-A5J2-01A-11R\t0\t5\tNA\t7\n\
    TCGA-OR-A5J2-11A-11R\t9\t9\t9\t9\n";

/// Firehose's way: a gene a row, a second header, dots from R, a column of ids.
const UVM: &str = "Hybridization REF,entrez,TCGA.RZ.AB0B.01A,TCGA.V3.A9ZX.06A\n\
    gene_id,id,normalized_count,normalized_count\n\
    KRAS,3845,1023,15\n\
    ?,1,1,1\n\
    TP53,7157,,31\n";

fn map() -> TumourMap {
    TumourMap { name: "tcga".into(), label: Some("tumour-type".into()), ..TumourMap::default() }
}

fn add(tree: &Tree, files: &[(&str, &str)], map: &TumourMap) -> crossrx::Result<MatchReport> {
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let content = if name.ends_with(".gz") { gzip(text) } else { text.as_bytes().to_vec() };
            tree.write(name, content);
            tree.dir.path().join(name)
        })
        .collect();
    add_tumours(&tree.store(), &paths, map, "second")
}

#[test]
fn tumours_of_both_layouts_are_stacked() {
    let tree = Tree::new();
    tree.import().unwrap();
    let files = [("tcga_ACC_rsem.tsv.gz", ACC), ("tcga_UVM_rsem.csv", UVM)];
    let report = add(&tree, &files, &map()).unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    let tumours = ["TCGA-OR-A5J1-01A-11R", "TCGA-OR-A5J2-01A-11R", "TCGA-RZ-AB0B-01A", "TCGA-V3-A9ZX-06A"];
    assert_eq!(store.ids(Entity::Sample).unwrap()[4..], tumours);
    let table = store.feature(Entity::Sample, "tcga").unwrap();
    assert_eq!((table.names, table.entity), (vec!["TP53".into(), "KRAS".into()], vec![4, 5, 6, 7]));
    assert_eq!(table.info.units, "log2(RSEM + 1)");
    let filled = table.values.mapv(|v| if v.is_nan() { -1.0 } else { v });
    assert_eq!(filled, array![[1.0, 2.0], [0.0, -1.0], [-1.0, 10.0], [5.0, 4.0]]);
    let of = labels(&store, "tumour-type").unwrap();
    assert_eq!(of.names, ["ACC", "UVM"]);
    assert_eq!(of.of, [None, None, None, None, Some(0), Some(0), Some(1), Some(1)]);

    let genes = report.genes.as_ref().unwrap();
    assert_eq!((genes.columns, genes.matched, genes.partial, genes.unknown), (2, 2, 1, 1));
    let text = report.to_string();
    for words in [
        "tcga_ACC_rsem.tsv.gz: 2 tumours by 4 genes",
        "1 samples left out: normal tissue",
        "1 columns left out: neither genes nor tumours",
        "2 of the 2 columns of expression are among the genes",
        "1 genes left out: without a symbol",
        "1 genes left out: not in every table, as ONLY",
        "tcga_ACC_rsem.tsv.gz, tcga_UVM_rsem.csv: 4 rows by 2 columns -> tcga (sample, f32)",
        "4 ids are new",
        "2 cells hold no value",
        "tumour-type: 4 samples in 2 classes: ACC 2, UVM 2",
        "note: tcga_ACC_rsem.tsv.gz: no value is above 63",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn a_tumour_of_the_store_keeps_its_index() {
    let tree = Tree::new();
    tree.import().unwrap();
    add(&tree, &[("tcga_ACC_rsem.tsv", ACC)], &map()).unwrap();
    let again = add(&tree, &[("tcga_ACC_rsem.tsv", ACC)], &map()).unwrap_err().to_string();
    assert!(again.contains("/features/sample/tcga: is there already"), "{again}");
    let other = TumourMap {
        name: "tpm".into(),
        all_genes: true,
        measure: Measure::Log2,
        label: None,
        ..TumourMap::default()
    };
    let rows = "\tONLY\tTP53\nTCGA-OR-A5J2-01A-11R\t-3\t1\nTCGA-OR-A5J9-01A\t2\t50\n";
    let report = add(&tree, &[("x.tsv", rows)], &other).unwrap();
    assert_eq!(report.tables[0].new_ids, 1);
    assert!(report.to_string().contains("x.tsv: values above 40"), "{report}");
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    let table = store.feature(Entity::Sample, "tpm").unwrap();
    assert_eq!((table.names, table.entity), (vec!["TP53".into(), "ONLY".into()], vec![5, 6]));
    assert_eq!(table.values, array![[1.0, -3.0], [50.0, 2.0]]);
}

#[test]
fn a_store_without_expression_keeps_all_genes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, table) = (dir.path().join("s.h5"), dir.path().join("tcga-x.csv"));
    StoreWriter::create(&store, "test").unwrap().finish().unwrap();
    fs::write(&table, "b,B,A,A,empty\nTCGA-OR-A5J1,3,1,2,\n").unwrap();
    let report = add_tumours(&store, &[table], &map(), "x").unwrap();
    let store = Store::open(&store).unwrap();
    assert_eq!(store.feature(Entity::Sample, "tcga").unwrap().names, ["B"]);
    assert_eq!(labels(&store, "tumour-type").unwrap().names, ["x"]);
    let text = report.to_string();
    for words in ["1 genes left out: more than once in a table, as A", "1 genes left out: no tumour has"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn more_tumours_than_a_block_arrive_in_order() {
    let tree = Tree::new();
    tree.import().unwrap();
    let ids: Vec<String> = (0..300).map(|i| format!("TCGA-OR-{i:04}-01A")).collect();
    let mut rows = String::from("id\tKRAS\tTP53\n");
    let mut header = String::from("gene");
    let (mut kras, mut tp53) = (String::from("KRAS"), String::from("TP53"));
    for (i, id) in ids.iter().enumerate() {
        rows += &format!("{id}\t{i}\t{}\n", 2 * i);
        let id = id.replace("OR", "UV");
        header += &format!("\t{id}");
        kras += &format!("\t{i}");
        tp53 += &format!("\t{}", 2 * i);
    }
    let columns = format!("{header}\n{kras}\n{tp53}\n");
    let files = [("tcga_ACC.tsv", rows.as_str()), ("tcga_UVM.tsv", columns.as_str())];
    let map = TumourMap { measure: Measure::Log2, ..map() };
    add(&tree, &files, &map).unwrap();
    let store = Store::open(&tree.store()).unwrap();
    let table = store.feature(Entity::Sample, "tcga").unwrap();
    assert_eq!(table.info.rows, 600);
    for (row, values) in table.values.rows().into_iter().enumerate() {
        let i = (row % 300) as f32;
        assert_eq!(values.to_vec(), [2.0 * i, i], "row {row}");
    }
}

#[test]
fn faults_of_tumour_tables_name_file_and_place() {
    let one = "s\tTP53\tKRAS\nTCGA-OR-A5J1-01\t1\t2\n";
    let twice = "s\tTP53\nTCGA-OR-A5J1-01\t1\nTCGA-OR-A5J2-01\t1\nTCGA.OR.A5J1.01\t1\n";
    let columns_twice = "g\tTCGA-OR-A5J1-01\tTCGA-OR-A5J1-01\nTP53\t1\t2\n";
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case] = &[
        (&[("a.tsv", twice)], &["a.tsv", "TCGA-OR-A5J1-01 on line 4 is on line 2 already"]),
        (&[("a.tsv", columns_twice)], &["a.tsv", "in column 3 is in column 2 already"]),
        (&[("a.tsv", one), ("b.tsv", one)], &["b.tsv: ", "on line 2 is on line 2 of ", "a.tsv already"]),
        (
            &[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-01\t-1\n")],
            &["a.tsv:2: column \"TP53\": \"-1\"", "negative", "--measure log2"],
        ),
        (&[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-01\tinf\n")], &["a.tsv:2: column \"TP53\"", "infinite"]),
        (&[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-01\tlow\n")], &["a.tsv:2: column \"TP53\"", "not a number"]),
        (
            &[("a.tsv", "g\tTCGA-OR-A5J1-01\nKRAS\t1\nTP53\t-2\n")],
            &["a.tsv:3: column \"TCGA-OR-A5J1-01\"", "negative"],
        ),
        (&[("a.tsv", "s\tTP53\tKRAS\nTCGA-OR-A5J1-01\t1\n")], &["a.tsv:2: has 2 cells, the header has 3"]),
        (&[("a.tsv", "TP53\tKRAS\nTCGA-OR-A5J1-01\t1\t1\n")], &["a.tsv:2: has 3 cells, the header has 2"]),
        (&[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-01\t1\nMCF7\t1\n")], &["a.tsv:3: begins with \"MCF7\""]),
        (&[("a.tsv", "s\tTP53\nMCF7\t1\n")], &["a.tsv:1: neither the header nor the first column"]),
        (&[("a.tsv", "s\tTP53\n")], &["a.tsv:1: has a header and no rows"]),
        (&[("a.tsv", "g\tTCGA-OR-A5J1-01\n")], &["a.tsv:1: holds no genes"]),
        (&[("a.tsv", "s\nTCGA-OR-A5J1-01\n")], &["a.tsv:1: holds no genes"]),
        (&[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-11A\t1\n")], &["a.tsv:1: holds no tumours"]),
        (&[("a.tsv", "")], &["a.tsv:1: the table is empty"]),
        (
            &[("a.tsv", "s\tENSG1\nTCGA-OR-A5J1-01\t1\n")],
            &["a.tsv: none of the genes", "\"ENSG1\"", "columns of expression", "--all-genes"],
        ),
        (&[("a.tsv", "s\tTP53\tTP53\nTCGA-OR-A5J1-01\t1\t1\n")], &["a.tsv: none of the genes"]),
        (&[("a.tsv", "s\tTP53\nTCGA-OR-A5J1-01\t\n")], &["a.tsv: none of the genes"]),
        (&[("a.tsv", one), ("b.tsv", "s\tEGFR\nTCGA-OR-A5J2-01\t1\n")], &["a.tsv: none of the genes"]),
    ];
    let tree = Tree::new();
    tree.import().unwrap();
    let before = fs::read(tree.store()).unwrap();
    let refused = |error: crossrx::Error, words: &[&str]| {
        let error = error.to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{words:?}: {error}");
    };
    for (files, words) in cases {
        refused(add(&tree, files, &map()).unwrap_err(), words);
    }
    let absent = TumourMap { genes_of: Some("rna".into()), ..map() };
    refused(add(&tree, &[("a.tsv", one)], &absent).unwrap_err(), &["\"rna\"", "expression"]);
    let slash = TumourMap { name: "a/b".into(), ..map() };
    refused(add(&tree, &[("a.tsv", one)], &slash).unwrap_err(), &["\"a/b\""]);
    let taken = TumourMap { label: Some("tcga".into()), ..map() };
    refused(add(&tree, &[("a.tsv", one)], &taken).unwrap_err(), &["/features/sample/tcga", "already"]);

    let path = tree.dir.path().join("cut.tsv.gz");
    let noise: String = (0..5_000).map(|i| format!("TCGA-OR-{i:04}-01\t{}\n", i * i % 7919)).collect();
    let whole = gzip(&format!("s\tTP53\n{noise}"));
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused(
        add_tumours(&tree.store(), std::slice::from_ref(&path), &map(), "x").unwrap_err(),
        &["cut.tsv.gz"],
    );
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 0xff;
    fs::write(&path, &bent).unwrap();
    refused(
        add_tumours(&tree.store(), std::slice::from_ref(&path), &map(), "x").unwrap_err(),
        &["cut.tsv.gz"],
    );
    let same = [path.clone(), tree.dir.path().join(".").join("cut.tsv.gz")];
    refused(add_tumours(&tree.store(), &same, &map(), "x").unwrap_err(), &["cut.tsv.gz: is named twice"]);
    let gone = tree.dir.path().join("gone.tsv");
    refused(add_tumours(&tree.store(), &[gone], &map(), "x").unwrap_err(), &["gone.tsv", "No such file"]);
    assert_eq!(fs::read(tree.store()).unwrap(), before, "a refused table changed the store");
}

#[test]
fn the_real_tumours_share_genes_with_the_cell_lines() {
    let Some(shared) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("csa.h5");
    let writer = StoreWriter::create(&path, "test").unwrap();
    improve::import_into(writer, &shared.join("improve/raw_data"), None).unwrap();
    let files = ["ACC", "UCS", "UVM"].map(|p| shared.join(format!("tcga/tcga_{p}_rsem.tsv.gz")));
    let report = add_tumours(&path, &files, &map(), "test").unwrap();
    let genes = report.genes.as_ref().unwrap();
    assert_eq!((genes.columns, genes.matched, genes.twins.len()), (2228, 2203, 0));
    let store = Store::open(&path).unwrap();
    verify(&store).unwrap();
    let table = store.feature(Entity::Sample, "tcga").unwrap();
    assert_eq!(table.values.dim(), (216, 2203));
    let expression = store.feature(Entity::Sample, "expression").unwrap();
    assert!(table.names.iter().all(|name| expression.names.contains(name)));
    let of = labels(&store, "tumour-type").unwrap();
    let count = |class| of.of.iter().filter(|c| **c == Some(class)).count();
    assert_eq!((of.names.join(" "), [count(0), count(1), count(2)]), ("ACC UCS UVM".into(), [79, 57, 80]));
}
