use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All files below `folder`, relative to it, sorted; hidden ones too.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// What a run concluded, byte for byte: every file of it but those that tell of
/// ranks and time, as event files do; histories without their seconds.
pub fn conclusions(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let told = ["run.json", "runtime.json", "report.html", "deck.toml", "study.json"];
    let concluded = |path: &PathBuf| {
        !path.starts_with("journal") && !told.iter().any(|name| path.ends_with(name)) && !is_events(path)
    };
    let names = files(run).into_iter().filter(concluded);
    let read = |path: PathBuf| {
        let mut bytes = fs::read(run.join(&path)).unwrap();
        if path.ends_with("history.csv") {
            let text = String::from_utf8(bytes).unwrap();
            let lines = text.lines().map(|line| line.rsplit_once(',').unwrap().0);
            bytes = lines.collect::<Vec<_>>().join("\n").into_bytes();
        }
        (path, bytes)
    };
    names.map(read).collect()
}

/// Whether this is an event file of TensorBoard.
pub fn is_events(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("events.out.tfevents."))
}

/// Asserts that two runs concluded the same, byte for byte.
pub fn assert_same(one: &Path, other: &Path) {
    let (a, b) = (conclusions(one), conclusions(other));
    assert!(a.len() > 4, "{} holds next to nothing", one.display());
    let names = |of: &BTreeMap<PathBuf, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b), "{} and {}", one.display(), other.display());
    let differ: Vec<_> = a.iter().filter(|(path, bytes)| b[*path] != **bytes).map(|(p, _)| p).collect();
    assert!(differ.is_empty(), "{} and {} differ in {differ:?}", one.display(), other.display());
}

/// Asserts that every model and every score that has its final name is whole,
/// whatever became of the run.
pub fn assert_complete(run: &Path) {
    let model = ["deck.toml", "history.csv", "model.safetensors", "scaling.csv", "trained_on.json"];
    let validation = ["val_scores.json", "val_y_data_predicted.csv"];
    let score = ["strict_scores.json", "test_scores.json", "test_y_data_predicted.csv"];
    for (room, expected) in [
        ("models", [&model[..], &validation].concat()),
        ("infer", score.to_vec()),
        ("baseline/mean-effects/infer", score.to_vec()),
    ] {
        for folder in splits(&run.join(room)) {
            let names: Vec<PathBuf> = files(&folder);
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(names, expected, "{}", folder.display());
            for name in names {
                assert!(fs::metadata(folder.join(&name)).unwrap().len() > 10, "{}", name.display());
            }
        }
    }
}

/// The folders `<name>/split_<k>` in `room`; drafts are left out.
pub fn splits(room: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
        let all = entries.map(|entry| entry.unwrap().path());
        all.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect()
    };
    folders(room).iter().flat_map(|path| folders(path)).collect()
}
