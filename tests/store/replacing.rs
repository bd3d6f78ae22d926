//! Stores that are replaced, amended, or left alone.

use crate::small::{Small, strings, write_small};
use crossrx::store::{Entity, SplitRows, Store, StoreWriter, verify};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;

#[test]
fn nothing_that_is_there_is_replaced_unasked() {
    let Small { dir, path, .. } = &Small::new();
    let refused = |writer: crossrx::Result<StoreWriter>| writer.err().unwrap().to_string();
    assert!(refused(StoreWriter::create(path, "test")).contains("--force"));
    // One that appears while another is written is kept, too.
    let other = dir.path().join("other.h5");
    let w = StoreWriter::create(&other, "test").unwrap();
    std::fs::write(&other, "precious").unwrap();
    assert!(w.finish().unwrap_err().to_string().contains("is there already"));
    assert!(refused(StoreWriter::replace(&other, "test")).contains("is not a store"));
    assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "a draft was left");
}

#[test]
fn two_amendments_do_not_lose_each_other() {
    let Small { dir, path, .. } = &Small::new();
    let mut first = StoreWriter::amend(path, "first").unwrap();
    let second = StoreWriter::amend(path, "second").err().unwrap().to_string();
    assert!(second.contains("another process is adding to it") && !second.contains('\n'), "{second}");
    first.entities(Entity::Drug, &strings(&["new"])).unwrap();
    first.finish().unwrap();
    assert_eq!(Store::open(path).unwrap().count(Entity::Drug), 4);
    // Replaced by someone who knows of no lock.
    let late = StoreWriter::amend(path, "late").unwrap();
    let other = dir.path().join("other.h5");
    write_small(&other).unwrap();
    std::fs::rename(&other, path).unwrap();
    assert!(late.finish().unwrap_err().to_string().contains("changed by another program"));
    assert_eq!(Store::open(path).unwrap().count(Entity::Drug), 3);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a lock or a draft was left");
}

#[cfg(unix)]
#[test]
fn a_store_is_amended_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("sub/small.h5"), dir.path().join("link.h5"));
    write_small(&path).unwrap();
    std::os::unix::fs::symlink("sub/small.h5", &link).unwrap();
    let mut w = StoreWriter::amend(&link, "second").unwrap();
    w.entities(Entity::Drug, &strings(&["new"])).unwrap();
    assert!(StoreWriter::amend(&path, "third").err().unwrap().to_string().contains("another process"));
    w.finish().unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(Store::open(&path).unwrap().count(Entity::Drug), 4);
}

#[test]
fn a_long_history_keeps_its_latest_commands() {
    let Small { path, .. } = &Small::new();
    for k in 0..3 {
        let command = format!("command {k} {}", "x".repeat(30_000));
        StoreWriter::amend(path, &command).unwrap().finish().unwrap();
    }
    let history = Store::open(path).unwrap().provenance().command.clone();
    assert!(history.starts_with("command 1 x") && history.contains("\ncommand 2 x"), "{history:.60}");
    StoreWriter::replace(path, &"y".repeat(100_000)).unwrap().finish().unwrap();
    assert_eq!(Store::open(path).unwrap().provenance().command.len(), 1 << 16);
}

#[test]
fn amending_keeps_indices_and_a_failed_amendment_keeps_the_store() {
    let Small { path, .. } = &Small::new();
    let before = std::fs::read(path).unwrap();
    let mut w = StoreWriter::amend(path, "second").unwrap();
    assert!(w.entities(Entity::Drug, &strings(&["d1"])).is_err());
    drop(w);
    assert_eq!(std::fs::read(path).unwrap(), before);
    #[cfg(unix)]
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut w = StoreWriter::amend(path, "second").unwrap();
    w.entities(Entity::Drug, &strings(&["a drug with a longer id than before"])).unwrap();
    assert!(w.dataset("A", &[("auc".into(), "1".into())], false, &[], &[]).is_err());
    w.split("B", 7, &SplitRows { train: vec![0], val: vec![0], test: vec![0] }).unwrap_err();
    w.split("A", 7, &SplitRows { train: vec![5], val: vec![0], test: vec![1] }).unwrap();
    w.finish().unwrap();
    let store = Store::open(path).unwrap();
    assert_eq!(store.provenance().command, "test\nsecond");
    #[cfg(unix)]
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(
        store.ids(Entity::Drug).unwrap()[1..],
        ["d1", "Prüfstoff", "a drug with a longer id than before"]
    );
    assert_eq!(store.text(Entity::Drug, "smiles").unwrap(), ["CC", "C1CC1", "", ""]);
    assert_eq!(store.dataset("A").unwrap().splits, [0, 7]);
    verify(&store).unwrap();
}
