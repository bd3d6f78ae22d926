//! IMPROVE's split files: `<SOURCE>_split_<k>_{train,val,test}.txt` list
//! 0-based rows of the response table, one a line.

use super::match_report::SplitMatch;
use super::response::{DROPPED, Rows};
use crate::store::{SplitRows, StoreWriter, overlap};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Imports every complete split in `folder`. Entries that point at rows that
/// did not join are dropped and counted, and with them a split of which they
/// were a whole part; files that belong to no dataset, to one that was left out
/// or to an incomplete split, and `<SOURCE>_all.txt` lists that differ from the
/// table, are noted.
pub(super) fn load(
    folder: &Path,
    rows: &Rows,
    writer: &mut StoreWriter,
    notes: &mut Vec<String>,
) -> Result<Vec<SplitMatch>> {
    let failed = |e| Error::io(folder, "cannot list the folder", e);
    let mut files: BTreeMap<(usize, u32), [Option<PathBuf>; 3]> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(".txt") else {
            notes.push(format!("splits/{name}: not the name of a split file, left out"));
            continue;
        };
        let dataset = |source: &str| rows.datasets.iter().position(|d| d == source);
        if let Some(source) = stem.strip_suffix("_all") {
            match dataset(source) {
                Some(code) => check_all(&path, code, rows, notes)?,
                None => notes.push(format!("{name}: the response table has no source {source:?}")),
            }
            continue;
        }
        let parts = ["train", "val", "test"];
        let parsed = stem.rsplit_once('_').and_then(|(rest, part)| {
            let (source, k) = rest.rsplit_once("_split_")?;
            Some((source, k.parse::<u32>().ok()?, parts.iter().position(|&p| p == part)?))
        });
        match parsed {
            Some((source, k, part)) => match dataset(source) {
                Some(code) => {
                    let place = &mut files.entry((code, k)).or_default()[part];
                    if let Some(other) = place.replace(path) {
                        let other = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        let what = format!("{name} and {other} are both part of split {k} of {source}");
                        return Err(Error::run(folder, what));
                    }
                }
                None => notes.push(format!("{name}: the response table has no source {source:?}")),
            },
            None => notes.push(format!("{name}: not the name of a split file, left out")),
        }
    }
    let joined = |code: usize| {
        rows.of_row.iter().zip(&rows.pair).any(|(&of, &pair)| usize::from(of) == code && pair != DROPPED)
    };
    let gone: Vec<bool> = (0..rows.datasets.len()).map(|code| !joined(code)).collect();
    for (code, dataset) in rows.datasets.iter().enumerate().filter(|&(code, _)| gone[code]) {
        let splits = files.keys().filter(|(of, _)| *of == code).count();
        if splits > 0 {
            notes.push(format!("{dataset}: {splits} splits left out with their dataset"));
        }
    }
    files.retain(|(code, _), _| !gone[*code]);
    let mut complete = Vec::new();
    for ((code, k), parts) in files {
        match parts {
            [Some(train), Some(val), Some(test)] => complete.push(((code, k), [train, val, test])),
            _ => {
                let dataset = &rows.datasets[code];
                notes.push(format!("split {k} of {dataset} lacks one of train, val and test, left out"));
            }
        }
    }
    let mut matches: Vec<SplitMatch> = Vec::new();
    let at_once = rayon::current_num_threads();
    let read = |block: usize| {
        let block = complete[block * at_once..].par_iter().take(at_once);
        block.map(|((code, k), parts)| (*code, *k, read_split(parts, *code, rows))).collect::<Vec<_>>()
    };
    overlap(complete.len().div_ceil(at_once), read, |block| {
        for (code, k, split) in block {
            let Split { rows: split, dropped, emptied } = split?;
            let dataset = &rows.datasets[code];
            if matches.last().is_none_or(|m| m.dataset != *dataset) {
                matches.push(SplitMatch { dataset: dataset.clone(), ..SplitMatch::default() });
            }
            if let Some(found) = matches.last_mut() {
                found.dropped += dropped;
                if emptied {
                    found.left_out.push(k);
                    continue;
                }
                writer.split(dataset, k, &split)?;
                found.splits += 1;
                found.rows += split.parts().iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
            }
        }
        Ok(())
    })?;
    notes.sort();
    Ok(matches)
}

/// A split as its three files list it.
struct Split {
    rows: SplitRows,
    /// Entries that point at rows that did not join.
    dropped: u64,
    /// Whether they were the whole of a part.
    emptied: bool,
}

fn read_split(parts: &[PathBuf; 3], code: usize, rows: &Rows) -> Result<Split> {
    let mut listed = vec![0; rows.of_row.len()];
    let mut lists = [const { Vec::new() }; 3];
    let (mut dropped, mut emptied) = (0, false);
    for (part, pairs) in lists.iter_mut().enumerate() {
        let before = dropped;
        *pairs = read_rows(parts, part, code, rows, &mut listed, &mut dropped)?;
        emptied |= pairs.is_empty() && dropped > before;
    }
    let [train, val, test] = lists;
    Ok(Split { rows: SplitRows { train, val, test }, dropped, emptied })
}

/// The pairs that a part's file lists. No other part, and no line above, may have
/// listed one; `listed` holds one more than the number of the part that has.
fn read_rows(
    parts: &[PathBuf; 3],
    part: usize,
    code: usize,
    rows: &Rows,
    listed: &mut [u8],
    dropped: &mut u64,
) -> Result<Vec<u32>> {
    let path = &parts[part];
    let mut pairs = Vec::new();
    each_row(path, rows, |line, row| {
        let of = usize::from(rows.of_row[row]);
        if of != code {
            let what = format!("row {row} of the response table belongs to {}", rows.datasets[of]);
            return Err(Error::table(path, line, what));
        }
        match std::mem::replace(&mut listed[row], part as u8 + 1) {
            0 => {}
            first => return Err(listed_twice(&parts[usize::from(first) - 1], path, line, row, rows)),
        }
        match rows.pair[row] {
            DROPPED => *dropped += 1,
            pair => pairs.push(pair),
        }
        Ok(())
    })?;
    Ok(pairs)
}

/// The error about `row` on `line` of `path`, which the file `first` lists too.
fn listed_twice(first: &Path, path: &Path, line: u64, row: usize, rows: &Rows) -> Error {
    let mut first_line = 0;
    let found = each_row(first, rows, |line, listed| {
        if listed == row && first_line == 0 {
            first_line = line;
        }
        Ok(())
    });
    if let Err(error) = found {
        return error;
    }
    let first = first.file_name().unwrap_or_default().to_string_lossy();
    Error::table(path, line, format!("row {row} is on line {first_line} of {first} already"))
}

fn check_all(path: &Path, code: usize, rows: &Rows, notes: &mut Vec<String>) -> Result<()> {
    let (mut own, mut listed) = (0, 0);
    each_row(path, rows, |_, row| {
        listed += 1;
        own += usize::from(usize::from(rows.of_row[row]) == code);
        Ok(())
    })?;
    let there = rows.of_row.iter().filter(|&&of| usize::from(of) == code).count();
    if listed != there || own != there {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!(
            "{name} lists {listed} rows, {own} of them of its source, which has {there}; not used"
        ));
    }
    Ok(())
}

fn each_row(path: &Path, rows: &Rows, mut each: impl FnMut(u64, usize) -> Result<()>) -> Result<()> {
    let text = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    for (line, cell) in (1..).zip(text.split(|&b| b == b'\n')) {
        let cell = cell.trim_ascii();
        if cell.is_empty() {
            continue;
        }
        match number(cell) {
            Some(row) if row < rows.of_row.len() => each(line, row)?,
            Some(row) => {
                let what =
                    format!("row {row} is out of range, the response table has {} rows", rows.of_row.len());
                return Err(Error::table(path, line, what));
            }
            None => {
                let shown = String::from_utf8_lossy(cell);
                return Err(Error::table(path, line, format!("{shown:.60?} is not a row number")));
            }
        }
    }
    Ok(())
}

/// Digits alone, as few as to fit.
fn number(cell: &[u8]) -> Option<usize> {
    const MOST_DIGITS: usize = 18;
    let digits = cell.len() <= MOST_DIGITS && cell.iter().all(u8::is_ascii_digit);
    digits.then(|| cell.iter().fold(0, |number, digit| 10 * number + usize::from(digit - b'0')))
}
