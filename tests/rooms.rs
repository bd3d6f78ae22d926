//! The order of the rooms in `src/lib.rs` is the order of use: a room imports only rooms below it.

use std::collections::BTreeSet;
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
        let Some(list) = rest.strip_prefix('{') else {
            rooms.push(name(rest));
            continue;
        };
        // The names of `{a::{b, c}, d}` that stand outside the inner braces.
        let (mut depth, mut start) = (0, true);
        for (at, c) in list.char_indices() {
            if start && !c.is_whitespace() {
                rooms.push(name(&list[at..]));
                start = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                _ => {}
            }
        }
    }
    rooms
}

/// The name that `text` begins with.
fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_are_found_in_nested_lists() {
    let code = "use crate::{Error, a::{b, c::{d}}, e,\n f::g};\nuse crate::h::i;";
    assert_eq!(used(code), ["Error", "a", "e", "f", "h"]);
}

/// The rooms in the order of `src/lib.rs`, each with the rooms that its code uses.
fn rooms() -> Vec<(String, BTreeSet<String>)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = fs::read_to_string(src.join("lib.rs")).unwrap();
    let names = map.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut rooms: Vec<(String, BTreeSet<String>)> =
        names.map(|name| (name.into(), BTreeSet::new())).collect();
    let known: Vec<String> = rooms.iter().map(|room| room.0.clone()).collect();
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        // Files that are compiled for tests alone may look anywhere.
        let for_tests = ["graph/check.rs", "model/concatenated.rs", "comm/threads.rs"];
        if for_tests.iter().any(|f| inside == Path::new(f)) || file.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let room = inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        let Some((_, uses)) = rooms.iter_mut().find(|(name, _)| *name == room) else { continue };
        let others = used(&fs::read_to_string(&file).unwrap());
        uses.extend(others.into_iter().filter(|other| *other != room && known.contains(other)));
    }
    rooms
}

#[test]
fn rooms_use_only_rooms_below_them() {
    let rooms = rooms();
    assert!(rooms.len() > 15, "{rooms:?}");
    for (at, (room, uses)) in rooms.iter().enumerate() {
        for (other, _) in &rooms[..at] {
            assert!(!uses.contains(other), "{room} uses {other}, which lies above it");
        }
    }
}

/// Rooms of one small thing that all others may use; the table leaves them out.
const SMALL: [&str; 6] = ["error", "atomic", "checksum", "lock", "status", "stop"];

/// The table of `docs/architecture.md`: `| `room` | question | rooms (remarks) |`.
#[test]
fn the_table_of_rooms_says_what_each_uses() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let page = fs::read_to_string(page).unwrap();
    for (room, uses) in rooms().iter().filter(|(room, _)| !SMALL.contains(&room.as_str())) {
        let start = format!("| `{room}` |");
        let line = page.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("docs/architecture.md has no row for {room}"));
        let mut cell = line.split('|').nth(3).unwrap().to_string();
        while let (Some(open), Some(close)) = (cell.find('('), cell.find(')')) {
            cell.replace_range(open..=close, "");
        }
        let said: BTreeSet<&str> = cell.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let uses: BTreeSet<&str> =
            uses.iter().map(String::as_str).filter(|name| !SMALL.contains(name)).collect();
        assert_eq!(said, uses, "docs/architecture.md, what {room} uses");
    }
}
