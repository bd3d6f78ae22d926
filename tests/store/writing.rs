//! What writers refuse, and what they leave.

use crate::small::{Small, info, names, strings};
use crossrx::store::{Encoding, Entity, PairBlock, SplitRows, Store, StoreWriter};
use ndarray::array;
use std::path::Path;

#[test]
fn writers_refuse_what_readers_would() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.h5");
    let mut w = StoreWriter::create(&path, "test").unwrap();
    let twice = w.entities(Entity::Drug, &strings(&["d0", "d1", "d0"])).unwrap_err().to_string();
    assert!(twice.contains("\"d0\" is there twice"), "{twice}");
    w.entities(Entity::Drug, &strings(&["d0", "d1"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let mut f = w.feature(info(Entity::Drug, "x", Encoding::F32, 2, 2), &names(2), &[0, 1]).unwrap();
    f.append(array![[1.0, 2.0]].view()).unwrap();
    let infinite = f.append(array![[1.0, f32::INFINITY]].view()).unwrap_err().to_string();
    assert!(infinite.contains("row 1, column 1"), "{infinite}");
    drop(f);
    let left_open = w.finish().unwrap_err().to_string();
    assert!(left_open.contains("/features/drug/x") && left_open.contains("not finished"), "{left_open}");

    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let mut f = w.feature(info(Entity::Drug, "x", Encoding::Bits, 1, 2), &names(2), &[0]).unwrap();
    let bits = f.append(array![[1.0, 0.5]].view()).unwrap_err().to_string();
    assert!(bits.contains("0.5 is neither 0 nor 1"), "{bits}");
    drop(f);
    drop(w);
    let mut w = StoreWriter::create(&path, "test").unwrap();
    w.entities(Entity::Drug, &strings(&["d0"])).unwrap();
    w.entities(Entity::Sample, &strings(&["s0"])).unwrap();
    let auc = [("auc".to_string(), "1".to_string())];
    assert!(w.dataset("a/b", &auc, false, &[], &[]).is_err());
    let mut d = w.dataset("A", &auc, false, &[], &[]).unwrap();
    let block = |drug, value| PairBlock {
        drug: vec![drug],
        sample: vec![0],
        row: vec![0],
        endpoints: vec![vec![value]],
        ..PairBlock::default()
    };
    assert!(d.append(&block(1, 0.5)).unwrap_err().to_string().contains("row 0: index 1 of 1"));
    assert!(d.append(&block(0, f32::INFINITY)).unwrap_err().to_string().contains("row 0 is inf"));
    d.append(&block(0, 0.5)).unwrap();
    d.finish().unwrap();
    let empty = SplitRows { train: vec![0], val: vec![], test: vec![0] };
    assert!(w.split("A", 0, &empty).unwrap_err().to_string().contains("part val is empty"));
    drop(w);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "an unfinished store left a file");
}

#[test]
fn a_killed_writer_leaves_nothing_under_the_final_name() {
    const FOLDER: &str = "CROSSRX_TEST_KILLED_WRITER";
    if let Ok(folder) = std::env::var(FOLDER) {
        // The child: begins a store, says so, and waits to be killed.
        let path = Path::new(&folder).join("killed.h5");
        let mut w = StoreWriter::create(&path, "test").unwrap();
        w.entities(Entity::Drug, &names(1000)).unwrap();
        std::fs::write(Path::new(&folder).join("begun"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing::a_killed_writer_leaves_nothing_under_the_final_name"])
        .env(FOLDER, dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if dir.path().join("begun").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(dir.path().join("begun").exists(), "the child never began");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path().join("killed.h5").exists());
}

#[test]
fn texts_have_a_longest_length() {
    let Small { path, .. } = &Small::new();
    let texts = |bytes: usize| ["x".repeat(bytes), String::new(), "y".into()];
    let mut w = StoreWriter::amend(path, "test").unwrap();
    w.text(Entity::Drug, "long", &texts(1 << 16)).unwrap();
    let longer = w.text(Entity::Drug, "longer", &texts((1 << 16) + 1)).unwrap_err().to_string();
    assert!(longer.contains("/drugs/text/longer") && longer.contains("the limit is 65536"), "{longer}");
    w.finish().unwrap();
    let store = Store::open(path).unwrap();
    assert_eq!(store.text(Entity::Drug, "long").unwrap(), texts(1 << 16));
}

#[cfg(unix)]
#[test]
fn a_new_store_has_the_mode_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let Small { dir, path } = &Small::new();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(path), mode(&plain));
}
