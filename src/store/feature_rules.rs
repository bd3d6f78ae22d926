//! What holds for every feature table, in a store and on its way in.

use super::{Encoding, FeatureInfo};
use std::collections::HashSet;

/// Bytes as f32: bits are widened on reading, and a small file can claim any number of them.
const LARGEST: u64 = 1 << 34;

/// A table has a column, and at most 16 GiB.
pub(super) fn check_shape(rows: usize, columns: usize) -> Result<(), String> {
    if columns == 0 {
        return Err("has no columns".into());
    }
    if (rows as u64).checked_mul(columns as u64).is_none_or(|cells| cells > LARGEST / 4) {
        return Err(format!("{rows} rows of {columns} columns are more than 16 GiB"));
    }
    Ok(())
}

/// Every column has a name of its own.
pub(super) fn check_names(info: &FeatureInfo, names: &[String]) -> Result<(), String> {
    if names.len() != info.columns {
        return Err(format!("names {} columns of {}", names.len(), info.columns));
    }
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|n| !seen.insert(n.as_str())) {
        Some(twice) => Err(format!("the column {twice:?} is there twice")),
        None => Ok(()),
    }
}

/// Every row is that of another of `count` entities.
pub(super) fn check_entities(info: &FeatureInfo, indices: &[u32], count: usize) -> Result<(), String> {
    if indices.len() != info.rows {
        return Err(format!("{} indices for {} rows", indices.len(), info.rows));
    }
    let mut taken = vec![false; count];
    for (row, &index) in indices.iter().enumerate() {
        match taken.get_mut(index as usize) {
            None => {
                let entities = info.entity.plural();
                return Err(format!(
                    "row {row}: index {index} is out of range, there are {count} {entities}"
                ));
            }
            Some(true) => {
                return Err(format!("row {row}: {} {index} has a row already", info.entity.name()));
            }
            Some(free) => *free = true,
        }
    }
    Ok(())
}

/// Values, rows of `columns`, are finite or NaN, or bits. `first` is the number of the first row.
pub(super) fn check_values(
    encoding: Encoding,
    values: &[f32],
    columns: usize,
    first: usize,
) -> Result<(), String> {
    let (fits, what): (fn(f32) -> bool, _) = match encoding {
        Encoding::F32 => (|v| !v.is_infinite(), "infinite"),
        Encoding::Bits => (|v| v == 0.0 || v == 1.0, "neither 0 nor 1"),
    };
    // Without a way out of the loop, it is vectorised.
    if encoding == Encoding::F32 && !values.iter().fold(false, |found, v| found | v.is_infinite()) {
        return Ok(());
    }
    match values.iter().position(|&v| !fits(v)) {
        Some(bad) => {
            let (row, column) = (first + bad / columns, bad % columns);
            Err(format!("row {row}, column {column}: {} is {what}", values[bad]))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entity;

    #[test]
    fn each_rule_is_told() {
        let info = FeatureInfo {
            entity: Entity::Sample,
            name: "x".into(),
            encoding: Encoding::F32,
            rows: 2,
            columns: 2,
            units: "1".into(),
        };
        let names = |names: [&str; 2]| check_names(&info, &names.map(String::from));
        assert_eq!(check_shape(1, 0), Err("has no columns".into()));
        assert!(check_shape(1 << 20, 1 << 12).is_ok());
        assert!(check_shape(1 << 20, (1 << 12) + 1).unwrap_err().contains("16 GiB"));
        assert!(check_shape(usize::MAX, 2).is_err());
        assert_eq!(names(["a", "b"]), Ok(()));
        assert!(names(["a", "a"]).unwrap_err().contains("\"a\" is there twice"));
        assert_eq!(check_entities(&info, &[2, 0], 3), Ok(()));
        assert!(check_entities(&info, &[2, 2], 3).unwrap_err().contains("row 1: sample 2"));
        assert!(check_entities(&info, &[2, 3], 3).unwrap_err().contains("row 1: index 3"));
        assert!(check_entities(&info, &[2], 3).unwrap_err().contains("1 indices for 2 rows"));
        let infinite = check_values(Encoding::F32, &[0.0, f32::NAN, 0.5, f32::INFINITY], 2, 3);
        assert_eq!(infinite, Err("row 4, column 1: inf is infinite".into()));
        assert!(check_values(Encoding::Bits, &[0.0, f32::NAN], 2, 0).is_err());
    }
}
