//! The order of the rooms in `src/lib.rs` is the order of use: a room imports only rooms below it.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Rooms that the code of a file names, its tests left out.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest,
        };
        let name =
            |part: &str| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if rest.starts_with('{') {
            rooms.extend(list.split(',').map(name));
        } else {
            rooms.push(name(list));
        }
    }
    rooms
}

#[test]
fn rooms_use_only_rooms_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = fs::read_to_string(src.join("lib.rs")).unwrap();
    let rooms: Vec<&str> =
        map.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let floor = |name: &str| rooms.iter().position(|room| *room == name);
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut upward = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        // Files that are compiled for tests alone may look anywhere.
        if ["graph/check.rs", "model/concatenated.rs", "comm/threads.rs"]
            .iter()
            .any(|f| inside == Path::new(f))
        {
            continue;
        }
        let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        let Some(own) = floor(&room) else { continue };
        for other in used(&fs::read_to_string(&file).unwrap()) {
            if floor(&other).is_some_and(|other| other < own) {
                upward.push(format!("{} uses {other}", inside.display()));
            }
        }
    }
    assert!(rooms.len() > 15, "{rooms:?}");
    assert!(upward.is_empty(), "{upward:#?}");
}
