use super::quality_json::{AGAIN, Quality};
use crate::report::phrase;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// A latent row in two dimensions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Place of its study in [`Quality::studies`].
    pub study: usize,
    /// Place of its class in [`Quality::classes`].
    pub class: Option<usize>,
    /// Along the first two principal components.
    pub pc: [f64; 2],
    /// In the neighbour embedding; `None` for rows that it was not made of.
    pub tsne: Option<[f64; 2]>,
}

/// `embedding.csv`: every row of every study, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// A point a row.
    pub points: Vec<Point>,
}

const COLUMNS: [&str; 8] = ["id", "study", "class", "part", "pc1", "pc2", "tsne1", "tsne2"];

/// Reads an `embedding.csv`, whose columns may stand in any order among others.
/// Refuses studies and classes that `quality` does not name, parts other than
/// `train` and `val`, coordinates that are not finite, a table without rows, and
/// one that has not as many as the studies of `quality` together.
/// `tsne1` and `tsne2` may both be empty.
pub fn read(path: &Path, quality: &Quality) -> Result<Embedding> {
    let broken = |e: csv::Error| Error::csv(path, e);
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(broken)?;
    let header = reader.headers().map_err(broken)?.clone();
    let mut at = [0; COLUMNS.len()];
    for (place, name) in at.iter_mut().zip(COLUMNS) {
        let found = header.iter().position(|h| h == name);
        *place = found.ok_or_else(|| Error::table(path, 1, format!("has no column {name}{AGAIN}")))?;
    }
    let places = |names: Vec<&str>| -> HashMap<String, usize> {
        names.into_iter().enumerate().map(|(i, name)| (name.to_string(), i)).collect()
    };
    let studies = places(quality.studies.iter().map(|s| s.name.as_str()).collect());
    let classes = places(quality.classes.iter().map(|c| c.name.as_str()).collect());
    let mut points = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(broken)? {
        let refused = |i: usize, what: &str| {
            let line = record.position().map_or(0, |p| p.line());
            Error::table(path, line, format!("{}: {:?} {what}{AGAIN}", COLUMNS[i], &record[at[i]]))
        };
        let named = |i: usize, names: &HashMap<String, usize>| {
            let place = names.get(&record[at[i]]).copied();
            place.ok_or_else(|| refused(i, "is not in quality.json, so the two are not of the same run"))
        };
        let number = |i: usize| match record[at[i]].parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(refused(i, "is not a finite number")),
        };
        if !matches!(&record[at[3]], "train" | "val") {
            return Err(refused(3, "is neither train nor val"));
        }
        points.push(Point {
            study: named(1, &studies)?,
            class: if record[at[2]].is_empty() { None } else { Some(named(2, &classes)?) },
            pc: [number(4)?, number(5)?],
            tsne: match (record[at[6]].is_empty(), record[at[7]].is_empty()) {
                (true, true) => None,
                _ => Some([number(6)?, number(7)?]),
            },
        });
    }
    if points.is_empty() {
        return Err(Error::table(path, 1, format!("holds no rows{AGAIN}")));
    }
    let (found, all) = (points.len(), quality.all_rows());
    if found as u64 != all {
        let what =
            format!("{} here, {all} in the studies of quality.json{AGAIN}", phrase::count(found, "row"));
        return Err(Error::run(path, what));
    }
    Ok(Embedding { points })
}
