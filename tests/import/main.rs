//! Imports: both generations of headers, every fault of an input named by file
//! and line, and the real IMPROVE tree where it is at hand.

mod labels;
mod tumours;

use crossrx::import::long::{self, FeatureMap, ResponseMap};
use crossrx::import::{MatchReport, improve};
use crossrx::store::{Encoding, Entity, Store, StoreWriter, verify};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A small tree with the headers of the first generation.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        tree.write(
            "x_data/cancer_gene_expression.tsv",
            "\tENSG1\tENSG2\n\t7157\t3845\nimprove_sample_id\tTP53\tKRAS\nS1\t1.5\t2\nS2\t\t4\nS3\t0.5\t6\n",
        );
        tree.write(
            "x_data/cancer_mutation_count.tsv",
            "\t7157\t3845\n\tTP53\tKRAS\n\tENSG1\tENSG2\nimprove_sample_id\t\t\nS4\t0\t1\nS1\t2\t0\n",
        );
        tree.write("x_data/drug_SMILES.tsv", "improve_chem_id\tcanSMILES\nD1\tCC\nD2\tC\"C\n");
        tree.write(
            "x_data/drug_ecfp4_nbits512.tsv",
            "improve_chem_id\te.0\te.1\te.2\nD1\t1\t0\t1\nD3\t0\t0\t1\n",
        );
        tree.write(
            "x_data/drug_mordred.tsv",
            "improve_chem_id\tABC\tgone\tok\nD1\t1.25\t\tTrue\nD2\t-3\t\tFalse\n",
        );
        tree.write("x_data/cancer_mutation_long_format.tsv", "whatever\n");
        tree.write(
            "y_data/response.tsv",
            "source\timprove_sample_id\timprove_chem_id\tstudy\tauc\tic50\n\
             A\tS1\tD1\tx\t0.5\t6\n\
             A\tS2\tD2\ty\t0.25\t\n\
             B\tS3\tD1\tx\t0.75\t\n\
             A\tS9\tD1\tx\t0.5\t6\n\
             A\tS1\tD9\tx\t0.5\t6\n\
             A\tS9\tD9\tx\t0.5\t6\n\
             A\tS4\tD3\tx\tNA\t7\n\
             B\tS1\tD1\tx\t0.125\t\n\
             A\tS3\tD2\ty\t1\t5\n",
        );
        tree.write("splits/A_all.txt", "0\n1\n3\n4\n5\n6\n8\n");
        tree.write("splits/A_split_0_train.txt", "8\n0\n3\n");
        tree.write("splits/A_split_0_val.txt", "6");
        tree.write("splits/A_split_0_test.txt", "1\r\n");
        tree.write("splits/A_split_1_train.txt", "8\n");
        tree.write("splits/C_split_0_train.txt", "8\n");
        tree
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("out/csa.h5")
    }

    fn import(&self) -> crossrx::Result<MatchReport> {
        improve::import_into(StoreWriter::create(&self.store(), "test")?, self.dir.path(), None)
    }

    fn refused(&self, words: &[&str]) {
        let error = self.import().unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !error.contains('\n'), "{error}");
        let left = fs::read_dir(self.dir.path().join("out")).map(Iterator::count).unwrap_or(0);
        assert_eq!(left, 0, "a refused import left a file");
    }
}

#[test]
fn an_improve_tree_joins_and_says_what_did_not() {
    let tree = Tree::new();
    let report = tree.import().unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    assert_eq!(store.ids(Entity::Sample).unwrap(), ["S1", "S2", "S3", "S4"]);
    assert_eq!(store.ids(Entity::Drug).unwrap(), ["D1", "D2", "D3"]);
    assert_eq!(store.text(Entity::Drug, "canSMILES").unwrap(), ["CC", "C\"C", ""]);

    let expression = store.feature(Entity::Sample, "expression").unwrap();
    assert_eq!(expression.names, ["TP53", "KRAS"]);
    assert_eq!(expression.entity, [0, 1, 2]);
    assert!(expression.values[(1, 0)].is_nan() && expression.values[(1, 1)] == 4.0);
    assert_eq!((report.tables[0].missing, report.tables[0].new_ids), (1, 3));
    assert_eq!(report.tables[1].new_ids, 1);
    let mutation = store.feature(Entity::Sample, "mutation").unwrap();
    assert_eq!((mutation.names, mutation.entity), (expression.names, vec![3, 0]));
    let ecfp4 = store.feature(Entity::Drug, "ecfp4").unwrap();
    assert_eq!((ecfp4.info.encoding, ecfp4.entity), (Encoding::Bits, vec![0, 2]));
    let mordred = store.feature(Entity::Drug, "mordred").unwrap();
    assert_eq!(mordred.names, ["ABC", "ok"]);
    assert_eq!(mordred.values.row(0).to_vec(), [1.25, 1.0]);

    let a = store.dataset("A").unwrap();
    assert_eq!((a.pairs, a.labels.as_slice()), (4, &["study".to_string()][..]));
    assert_eq!(a.columns[3..], ["study", "auc", "ic50"]);
    assert_eq!(store.rows_of_table("A", 0..4).unwrap(), [0, 1, 6, 8]);
    let auc = store.pairs("A", "auc", 0..4).unwrap();
    assert_eq!((auc.drug, auc.sample), (vec![0, 1, 2, 1], vec![0, 1, 3, 2]));
    assert!(auc.value[2].is_nan() && auc.value[3] == 1.0);
    let (codes, values) = store.label("A", "study").unwrap();
    assert_eq!((codes, values), (vec![0, 1, 0, 1], vec!["x".to_string(), "y".to_string()]));
    assert_eq!(store.dataset("B").unwrap().endpoints, [("auc".to_string(), "1".to_string())]);
    assert_eq!(store.endpoint_values("B", "auc", 0..2).unwrap(), [0.75, 0.125]);
    let split = store.split("A", 0).unwrap();
    assert_eq!((split.train, split.val, split.test), (vec![3, 0], vec![2], vec![1]));

    let found = &report.responses[0];
    assert_eq!((found.rows, found.joined), (7, 4));
    assert_eq!((found.unknown_sample, found.unknown_drug, found.unknown_both), (1, 1, 1));
    assert_eq!(found.missing, [("auc".to_string(), 1), ("ic50".to_string(), 1)]);
    assert_eq!((report.splits[0].rows, report.splits[0].dropped), (4, 1));
    let text = report.to_string();
    for words in [
        "A: 4 of 7 rows joined",
        "1 rows left out: unknown sample",
        "1 joined rows have no ic50",
        "lacks the endpoint",
        "1 columns without any value left out",
        "1 entries left out",
        "split 1 of A lacks",
        "no source \"C\"",
        "long_format",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn faults_in_a_tree_name_file_and_line() {
    let header = "source\timprove_sample_id\timprove_chem_id\tauc\n";
    let cases: &[(&str, String, &[&str])] = &[
        ("y_data/response.tsv", format!("{header}A\tS1\tD1\tinf\n"), &["response.tsv:2", "auc", "infinite"]),
        ("y_data/response.tsv", format!("{header}A\tS1\tD1\t1\nA\tS1\n"), &["response.tsv:3", "2 cells"]),
        (
            "y_data/response.tsv",
            format!("{header}A\tS1\tD1\t1\nA\tS1\tD1\tlow\n"),
            &["response.tsv:3", "\"low\""],
        ),
        ("y_data/response.tsv", format!("{header}\tS1\tD1\t1\n"), &["response.tsv:2", "no dataset"]),
        (
            "y_data/response.tsv",
            format!("{header}A\tS9\tD1\t1\n"),
            &["response.tsv", "no row joined", "none of its rows joined (1 rows", "S9"],
        ),
        ("y_data/response.tsv", header.into(), &["response.tsv"]),
        ("y_data/response.tsv", String::new(), &["response.tsv:1", "empty"]),
        (
            "y_data/response.tsv",
            "source\timprove_sample_id\tauc\n".into(),
            &["no column \"improve_chem_id\""],
        ),
        (
            "y_data/response.tsv",
            "source\timprove_sample_id\timprove_chem_id\tdose\tauc\nA\tS1\tD1\t1\t1\n".into(),
            &["--dose dose:uM"],
        ),
        (
            "x_data/drug_mordred.tsv",
            "improve_chem_id\tABC\nD1\t1\nD1\t2\n".into(),
            &["drug_mordred.tsv:3", "\"D1\"", "line 2"],
        ),
        (
            "x_data/drug_mordred.tsv",
            "improve_chem_id\tABC\tB\tC\nD1\t1\t2\toops\n".into(),
            &["drug_mordred.tsv:2", "oops"],
        ),
        (
            "x_data/drug_mordred.tsv",
            "improve_chem_id\tABC\nD1\t1e60\n".into(),
            &["drug_mordred.tsv:2", "too large"],
        ),
        ("x_data/drug_mordred.tsv", "improve_chem_id\tABC\n\t1\n".into(), &["drug_mordred.tsv:2", "no id"]),
        ("x_data/drug_mordred.tsv", "improve_chem_id\tABC\n".into(), &["no rows"]),
        (
            "splits/A_split_0_test.txt",
            "1\n9\n".into(),
            &["A_split_0_test.txt:2", "row 9 is out of range", "9 rows"],
        ),
        ("splits/A_split_0_test.txt", "2\n".into(), &["A_split_0_test.txt:1", "row 2", "belongs to B"]),
        ("splits/A_split_0_test.txt", "one\n".into(), &["A_split_0_test.txt:1", "\"one\""]),
        (
            "splits/A_split_0_test.txt",
            "1\n\n0\n".into(),
            &["A_split_0_test.txt:3: row 0 is on line 2 of A_split_0_train.txt already"],
        ),
        (
            "splits/A_split_0_train.txt",
            "3\n8\n0\n3\n".into(),
            &["A_split_0_train.txt:4: row 3 is on line 1 of A_split_0_train.txt already"],
        ),
        ("splits/A_split_0_test.txt", "\n".into(), &["/datasets/A/split/0", "part test is empty"]),
        ("splits/A_split_00_test.txt", "1\n".into(), &["A_split_0", "A_split_00_test.txt", "both"]),
        (
            "x_data/drug_mordred.tsv",
            "drug_id\tABC\nD1\t1\n".into(),
            &["drug_mordred.tsv:1", "no column \"improve_chem_id\""],
        ),
        (
            "x_data/cancer_rppa.tsv",
            "CancID\tTP53\nS1\t1\n".into(),
            &["cancer_rppa.tsv:1", "\"CancID\"", "improve_sample_id"],
        ),
        (
            "x_data/drug_mordred.tsv",
            "improve_chem_id\tABC\nD1\t1\nD2\t\"2\nD3\t3\n".into(),
            &["drug_mordred.tsv:3", "quote", "never closed"],
        ),
        ("y_data/response.tsv", format!("{header}../A\tS1\tD1\t1\n"), &["response.tsv:2", "\"../A\""]),
        (
            "y_data/response.tsv",
            format!("{header}{}\tS1\tD1\t1\n", "x".repeat(101)),
            &["response.tsv:2", "longer than 100 bytes"],
        ),
    ];
    for (file, text, words) in cases {
        let tree = Tree::new();
        tree.write(file, text);
        tree.refused(words);
    }
    let tree = Tree::new();
    fs::remove_file(tree.dir.path().join("y_data/response.tsv")).unwrap();
    tree.refused(&["response.tsv", "No such file"]);
    let tree = Tree::new();
    tree.write("x_data/drug_SMILES.tsv", b"improve_chem_id\tcanSMILES\nD1\t\xff\xfe\n");
    tree.refused(&["drug_SMILES.tsv:2", "UTF-8"]);
}

#[test]
fn what_cannot_be_used_is_left_out_and_told() {
    let tree = Tree::new();
    // C joins nothing, D has no value; of A's split 2 the test part joins nothing.
    let mut rows = String::from(
        "source\timprove_sample_id\timprove_chem_id\tstudy/site\t\tauc\tmixed\tmany\n\
         A\tS1\tD1\tx\t1\t0.5\t1\tm\n\
         A\tS2\tD2\ty\t2\t0.25\tlow\tm\n\
         A\tS3\tD1\ty\t2\t0.25\t3\tm\n\
         A\tS9\tD2\ty\t2\t0.25\t\tm\n\
         A\t\tD2\ty\t2\t0.25\t\tm\n\
         C\tS9\tD1\tx\t3\t0.5\t\tm\n\
         D\tS1\tD1\tx\t3\t\t\tm\n",
    );
    for row in 0..65_537 {
        rows += &format!("E\tS1\tD1\tx\t3\t0.5\t\tm{row}\n");
    }
    tree.write("y_data/response.tsv", rows);
    fs::remove_dir_all(tree.dir.path().join("splits")).unwrap();
    for (part, row) in
        [("0_train", 0), ("0_val", 1), ("0_test", 2), ("2_train", 0), ("2_val", 1), ("2_test", 3)]
    {
        tree.write(&format!("splits/A_split_{part}.txt"), row.to_string());
    }
    for part in ["train", "val", "test"] {
        tree.write(&format!("splits/C_split_0_{part}.txt"), "5");
    }
    tree.write("splits/README.md", "about");
    tree.write("x_data/drug_info.tsv", "improve_chem_id\tdrug/name\t\tdrug_name\nD1\ta\tb\tc\n");
    let report = tree.import().unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    let datasets: Vec<_> = store.datasets().iter().map(|d| d.name.as_str()).collect();
    assert_eq!(datasets, ["A", "E"]);
    assert_eq!(store.dataset("A").unwrap().splits, [0]);
    assert_eq!(store.dataset("A").unwrap().labels, ["many", "mixed", "study_site"]);
    assert_eq!(store.dataset("E").unwrap().labels, ["mixed", "study_site"]);
    assert_eq!(store.texts(Entity::Drug).unwrap(), ["canSMILES", "drug_name", "drug_name.2"]);
    let a = &report.responses[0];
    assert_eq!((a.joined, a.unknown_sample, a.missing_id), (3, 1, 1));
    let text = report.to_string();
    for words in [
        "C: 0 of 1 rows joined\n  this dataset is left out: none of its rows joined",
        "D: 0 of 1 rows joined\n  this dataset is left out: no row has a value of any endpoint",
        "1 rows left out: no sample or no drug named",
        "column many left out: more than 65,536",
        "split 2 left out: none of the rows of one of its parts joined",
        "C: 1 splits left out with their dataset",
        "column 5 has no name",
        "column \"mixed\" has text on line 3",
        "splits/README.md",
        "1 columns without a name left out",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn endpoints_that_no_joined_row_has_are_left_out() {
    let tree = Tree::new();
    tree.write(
        "y_data/response.tsv",
        "source\timprove_sample_id\timprove_chem_id\tauc\tic50\n\
         A\tS1\tD1\t0.5\t\n\
         A\tS9\tD1\t0.5\t6\n\
         B\tS2\tD2\t\t\n\
         B\tS9\tD2\t1\t\n\
         A\tS2\tD1\t\tnan\n\
         A\tS3\tD1\t1\t\n",
    );
    fs::remove_dir_all(tree.dir.path().join("splits")).unwrap();
    for (file, row) in [("A_split_0_train", 0), ("A_split_0_val", 4), ("A_split_0_test", 5)] {
        tree.write(&format!("splits/{file}.txt"), row.to_string());
    }
    for part in ["train", "val", "test"] {
        tree.write(&format!("splits/B_split_0_{part}.txt"), "2");
    }
    let report = tree.import().unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    assert_eq!(store.datasets().len(), 1);
    assert_eq!(store.dataset("A").unwrap().endpoints, [("auc".to_string(), "1".to_string())]);
    assert_eq!(store.dataset("A").unwrap().splits, [0]);
    assert_eq!(report.responses[0].missing, [("auc".to_string(), 1), ("ic50".to_string(), 3)]);
    let text = report.to_string();
    for words in [
        "3 joined rows have no ic50, so this dataset lacks the endpoint",
        "B: 1 of 2 rows joined\n  this dataset is left out: no row that joined has a value",
        "B: 1 splits left out with their dataset",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn an_import_replaces_nothing() {
    let tree = Tree::new();
    tree.import().unwrap();
    let before = fs::read(tree.store()).unwrap();
    assert!(tree.import().unwrap_err().to_string().contains("--force"));
    assert_eq!(fs::read(tree.store()).unwrap(), before);
    let writer = StoreWriter::replace(&tree.store(), "again").unwrap();
    improve::import_into(writer, tree.dir.path(), None).unwrap();
    assert_eq!(Store::open(&tree.store()).unwrap().provenance().command, "again");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap()
}

#[test]
fn long_tables_join_by_template_and_by_name() {
    let tree = Tree::new();
    tree.write(
        "x_data/drug_info.tsv",
        "improve_chem_id\tdrug_name\nD1\tPD-0332991\nD2\tLapatinib\nD3\tlapatinib!\n",
    );
    tree.import().unwrap();
    let rows = "name,number,um,alive,lab,set\n\
                pd 0332991,1,10,0.5,x,one\n\
                \"Pd,0332991\",2,100,0.25,y,two\n\
                PD0332991,1,1,0.125,x,one\n\
                Lapatinib,1,1,0.5,x,one\n\
                Erlotinib,1,1,0.5,x,one\n\
                PD0332991,,1,0.5,x,one\n\
                PD0332991,3,0,0.5,x,one\n\
                PD0332991,3,,0.5,x,two\n\
                PD0332991,3,1000,,z,one\n";
    tree.write("dose.csv.gz", gzip(rows));
    let table = tree.dir.path().join("dose.csv.gz");
    let map = ResponseMap {
        dataset: "{set}-dose".into(),
        drug: "name@drug_name".into(),
        sample: "S{number}".into(),
        dose: Some("um:uM".into()),
        endpoints: vec!["growth=alive:fraction".into()],
        labels: vec!["lab".into()],
    };
    let report = long::add_response(&tree.store(), &table, &map, "second").unwrap();
    let store = Store::open(&tree.store()).unwrap();
    verify(&store).unwrap();
    let one = store.dataset("one-dose").unwrap();
    assert_eq!(one.endpoints, [("growth".to_string(), "fraction".to_string())]);
    let pairs = store.pairs("one-dose", "growth", 0..3).unwrap();
    assert_eq!(pairs.dose, [-5.0, -6.0, -3.0]);
    assert_eq!((pairs.drug, pairs.sample), (vec![0, 0, 0], vec![0, 0, 2]));
    assert!(pairs.value[2].is_nan());
    assert_eq!(store.pairs("two-dose", "growth", 0..1).unwrap().dose, [-4.0]);
    assert_eq!(store.dataset("A").unwrap().pairs, 4);
    let found = &report.responses[0];
    let counts =
        (found.rows, found.joined, found.unknown_drug, found.missing_id, found.ambiguous, found.no_dose);
    assert_eq!(counts, (7, 3, 1, 1, 1, 1));
    assert_eq!(found.missing, [("growth".to_string(), 1)]);
    assert_eq!(found.examples, ["Lapatinib", "Erlotinib"]);
    drop(store);

    let before = fs::read(tree.store()).unwrap();
    let again = long::add_response(&tree.store(), &table, &map, "third").unwrap_err().to_string();
    assert!(again.contains("/datasets/one-dose: is there already"), "{again}");
    for (change, words) in [
        (ResponseMap { dose: Some("um:ug".into()), ..map.clone() }, "use M, mM, uM"),
        (
            ResponseMap { dose: Some("conc:uM".into()), ..map.clone() },
            "there is name, number, um, alive, lab, set",
        ),
        (ResponseMap { drug: "name@title".into(), ..map.clone() }, "there is canSMILES, drug_name"),
        (ResponseMap { sample: "S{number".into(), ..map.clone() }, "not closed"),
    ] {
        let error = long::add_response(&tree.store(), &table, &change, "x").unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let cut = gzip(rows);
    tree.write("cut.csv.gz", &cut[..cut.len() / 2]);
    let error =
        long::add_response(&tree.store(), &tree.dir.path().join("cut.csv.gz"), &map, "x").unwrap_err();
    assert!(error.to_string().contains("cut.csv.gz"), "{error}");
    assert_eq!(fs::read(tree.store()).unwrap(), before, "a refused table changed the store");
}

#[test]
fn feature_tables_join_and_count_strangers() {
    let tree = Tree::new();
    tree.import().unwrap();
    tree.write("f.csv", "tissue,n,seg1,seg2,seg3\nlung,1,0.5,1,2\nskin,9,1,2,3\nskin,4,3,2,1\n");
    let map = FeatureMap {
        entity: Entity::Sample,
        name: "segments".into(),
        units: "copies".into(),
        id: Some("S{n}".into()),
        ignore: vec!["tissue".into()],
    };
    let report = long::add_features(&tree.store(), &tree.dir.path().join("f.csv"), &map, "second").unwrap();
    assert_eq!((report.tables[0].rows, report.tables[0].unknown), (2, 1));
    assert_eq!(report.tables[0].examples, ["S9"]);
    let table = Store::open(&tree.store()).unwrap().feature(Entity::Sample, "segments").unwrap();
    assert_eq!((table.entity, table.info.units.as_str()), (vec![0, 3], "copies"));
    assert_eq!(table.values.row(1).to_vec(), [3.0, 2.0, 1.0]);
}

#[test]
fn words_for_no_value_are_not_names() {
    let tree = Tree::new();
    tree.write("x_data/drug_info.tsv", "improve_chem_id\tdrug_name\nD1\tNA\nD2\tnan\nD3\tNilotinib\n");
    tree.import().unwrap();
    let store = Store::open(&tree.store()).unwrap();
    assert_eq!(store.text(Entity::Drug, "drug_name").unwrap(), ["", "", "Nilotinib"]);
    drop(store);
    tree.write("dose.csv", "name,sample,alive\nNA,S1,0.5\nnilotinib,S1,0.5\n");
    let map = ResponseMap {
        dataset: "X".into(),
        drug: "name@drug_name".into(),
        sample: "sample".into(),
        endpoints: vec!["alive".into()],
        ..ResponseMap::default()
    };
    let report =
        long::add_response(&tree.store(), &tree.dir.path().join("dose.csv"), &map, "second").unwrap();
    assert_eq!((report.responses[0].joined, report.responses[0].unknown_drug), (1, 1));
}

#[test]
fn rows_of_one_entity_are_refused_and_ambiguous_ones_counted() {
    let tree = Tree::new();
    tree.write("x_data/drug_info.tsv", "improve_chem_id\tdrug_name\nD1\tPD-0332991\nD2\tLap\nD3\tlap!\n");
    tree.import().unwrap();
    let map = FeatureMap {
        entity: Entity::Drug,
        name: "weight".into(),
        units: "g/mol".into(),
        id: Some("drug@drug_name".into()),
        ignore: Vec::new(),
    };
    let add = |rows: &str| {
        tree.write("t.csv", rows);
        long::add_features(&tree.store(), &tree.dir.path().join("t.csv"), &map, "second")
    };
    for rows in ["drug,w\nPD-0332991,1\npd 0332991,2\n", "drug,target\nPD-0332991,CDK4\npd 0332991,CDK6\n"] {
        let error = add(rows).unwrap_err().to_string();
        let words = ["t.csv", "\"PD-0332991\" and \"pd 0332991\"", "the drug \"D1\""];
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
    }
    let report = add("drug,w\nPD-0332991,1\nLAP,2\nelse,3\n").unwrap();
    let found = &report.tables[0];
    assert_eq!((found.rows, found.ambiguous, found.unknown), (1, 1, 1));
    assert_eq!(found.examples, ["LAP", "else"]);
    let text = report.to_string();
    assert!(text.contains("1 rows left out: could be several drugs"), "{text}");
}

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("CROSSRX_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not println!, which a test that passes does not show.
    let _ = writeln!(std::io::stderr(), "skipped: {} is not there", folder.display());
    None
}

#[test]
fn the_real_tree_and_the_dose_table_join() {
    let Some(shared) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("csa.h5");
    let writer = StoreWriter::create(&path, "test").unwrap();
    let report = improve::import_into(writer, &shared.join("improve/raw_data"), None).unwrap();
    let joined: Vec<_> = report.responses.iter().map(|r| (r.dataset.as_str(), r.joined)).collect();
    assert_eq!(joined, [("CCLE", 8411), ("CTRPv2", 174_523), ("GDSCv1", 184_485), ("gCSI", 4809)]);
    let map = ResponseMap {
        dataset: "CCLE-dose".into(),
        drug: "drug_name@drug_name".into(),
        sample: "COSMIC-{cosmic_id}".into(),
        dose: Some("conc_uM:uM".into()),
        endpoints: vec!["viability".into()],
        labels: Vec::new(),
    };
    let dose = shared.join("dose/dose_response_ccle.tsv.gz");
    let report = long::add_response(&path, &dose, &map, "test").unwrap();
    assert_eq!((report.responses[0].rows, report.responses[0].joined), (93_251, 67_191));
    let store = Store::open(&path).unwrap();
    let counts = verify(&store).unwrap();
    assert_eq!((counts.pairs, counts.splits), (372_228 + 67_191, 40));
    for (entity, name, rows, columns) in [
        (Entity::Sample, "expression", 954, 2228),
        (Entity::Sample, "mutation", 951, 270),
        (Entity::Drug, "ecfp4", 622, 512),
        (Entity::Drug, "mordred", 622, 711),
    ] {
        let info = store.features(entity).iter().find(|f| f.name == name).unwrap();
        assert_eq!((info.rows, info.columns), (rows, columns), "{name}");
    }
}

#[test]
fn a_long_table_gives_the_same_on_any_threads_and_zipped() {
    let tree = Tree::new();
    let mut rows = String::from("source\tsample\tdrug\tsite\tauc\n");
    let mut expected = [Vec::new(), Vec::new()];
    for i in 0..50_000usize {
        // Two datasets by turns, rows that join neither way, texts that first come late, blank lines.
        let sample = if i % 11 == 3 { "S9" } else { ["S1", "S2", "S3"][i / 7 % 3] };
        let (source, value) = (i / 5 % 2, (i % 997) as f32 / 8.0);
        rows +=
            &format!("{}\t{sample}\tD{}\t\"site {}\"\t{value}\n", ["A", "B"][source], 1 + i % 3, i / 9_000);
        if i % 4_096 == 17 {
            rows += "\n";
        }
        if sample != "S9" {
            expected[source].push((i as u64, value, format!("site {}", i / 9_000)));
        }
    }
    tree.write("long.tsv", &rows);
    tree.write("long.tsv.gz", gzip(&rows));
    let map = ResponseMap {
        dataset: "{source}".into(),
        drug: "drug".into(),
        sample: "sample".into(),
        endpoints: vec!["auc".into()],
        labels: vec!["site".into()],
        ..ResponseMap::default()
    };
    for (table, threads) in [("long.tsv", 1), ("long.tsv", 3), ("long.tsv.gz", 3)] {
        tree.write(
            "y_data/response.tsv",
            "source\timprove_sample_id\timprove_chem_id\tauc\nC\tS1\tD1\t0.5\nC\tS1\tD1\t1\nC\tS1\tD1\t1\n",
        );
        let _ = fs::remove_dir_all(tree.dir.path().join("splits"));
        let _ = fs::remove_file(tree.store());
        tree.import().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let path = tree.dir.path().join(table);
        let report = pool.install(|| long::add_response(&tree.store(), &path, &map, "x")).unwrap();
        let store = Store::open(&tree.store()).unwrap();
        verify(&store).unwrap();
        for (name, expected) in ["A", "B"].iter().zip(&expected) {
            let n = store.dataset(name).unwrap().pairs;
            let (codes, texts) = store.label(name, "site").unwrap();
            assert_eq!(texts, (0..6).map(|i| format!("site {i}")).collect::<Vec<_>>(), "in their order");
            let found: Vec<(u64, f32, String)> = store
                .rows_of_table(name, 0..n)
                .unwrap()
                .into_iter()
                .zip(store.pairs(name, "auc", 0..n).unwrap().value)
                .zip(codes)
                .map(|((row, value), code)| (row, value, texts[usize::from(code)].clone()))
                .collect();
            assert!(found == *expected, "{table} on {threads} threads: {name}");
        }
        let lost: Vec<u64> = report.responses.iter().map(|r| r.unknown_sample).collect();
        assert_eq!(lost.iter().sum::<u64>(), (0..50_000).filter(|i| i % 11 == 3).count() as u64);
        assert_eq!(report.responses[0].examples, ["S9"]);
    }
}
