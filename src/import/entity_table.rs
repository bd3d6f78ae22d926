//! Tables of one row an entity, numbers or texts, read whole and written to a store.

use super::join::{Found, Lookup, Template};
use super::match_report::{TableMatch, remember};
use super::omics::{self, Level};
use super::table::{Cell, Table, parse};
use crate::store::{Encoding, Entity, FeatureInfo, StoreWriter};
use crate::{Error, Result};
use ndarray::{Array2, Axis};
use std::collections::HashMap;
use std::path::Path;

/// Records that decide whether a table holds numbers or texts.
const HEAD: usize = 20;

/// An entity table in memory.
pub(super) struct EntityTable {
    /// Distinct keys of the rows, as the table has them.
    pub keys: Vec<Vec<u8>>,
    pub content: Content,
}

pub(super) enum Content {
    /// `values` is `[rows, names]`; missing cells were filled.
    Numbers { names: Vec<String>, values: Array2<f32>, filled: usize, empty_columns: usize },
    /// One text a row and column.
    Texts(Vec<(String, Vec<String>)>),
}

/// How to read an entity table.
pub(super) struct Reading<'a> {
    /// Key of a row: a column or a template; the first column where there is none.
    pub key: Option<&'a str>,
    /// Columns left out.
    pub ignore: &'a [String],
    /// Its possible header rows.
    pub levels: &'static [Level],
    /// What the column of ids is called below several header rows.
    pub id_column: &'a str,
}

impl EntityTable {
    /// Reads the table at `path`. It is one of texts if at least half of its
    /// columns hold something other than numbers within the first records;
    /// in a table of numbers such a cell is an error. Missing numbers become
    /// the median of their column; columns without any value are left out.
    /// Two rows of one key are refused.
    pub fn read(path: &Path, reading: &Reading) -> Result<EntityTable> {
        let mut table = Table::open(path)?;
        let mut names = omics::column_names(&mut table, reading.levels, reading.id_column)?;
        let key = match reading.key {
            Some(text) => Template::parse_column(text, &table)?,
            None => Template::column(0),
        };
        let mut left_out: Vec<usize> = key.columns().collect();
        for name in reading.ignore {
            left_out.push(table.column(name)?);
        }
        let columns: Vec<usize> = (0..names.len()).filter(|c| !left_out.contains(c)).collect();
        if columns.is_empty() {
            return Err(Error::table(path, 1, "has no column beside the ids"));
        }
        let head = table.peek(HEAD)?;
        let textual = |&&c: &&usize| {
            head.iter().any(|r| parse(r.get(c).unwrap_or_default().trim_ascii()) == Cell::Text)
        };
        let texts = columns.iter().filter(textual).count() * 2 >= columns.len();

        let mut keys = Vec::new();
        let mut lines: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut numbers: Vec<f32> = Vec::new();
        let mut strings: Vec<Vec<String>> = vec![Vec::new(); if texts { columns.len() } else { 0 }];
        let mut id = Vec::new();
        while table.advance()? {
            if !key.fill(&table, &mut id) {
                return Err(table.fault("has no id"));
            }
            let line = table.line();
            if let Some(first) = lines.insert(id.clone(), line) {
                let id = String::from_utf8_lossy(&id);
                return Err(table.fault(format!("the id {id:?} was on line {first} already")));
            }
            keys.push(id.clone());
            if texts {
                for (strings, &c) in strings.iter_mut().zip(&columns) {
                    strings.push(table.text(c)?);
                }
            } else {
                for &c in &columns {
                    numbers.push(table.number(c)?);
                }
            }
        }
        if keys.is_empty() {
            return Err(Error::table(path, 1, "has a header and no rows"));
        }
        let mut kept: Vec<String> = columns.iter().map(|&c| std::mem::take(&mut names[c])).collect();
        if texts {
            return Ok(EntityTable {
                keys,
                content: Content::Texts(kept.into_iter().zip(strings).collect()),
            });
        }
        let shape = (keys.len(), kept.len());
        let mut values =
            Array2::from_shape_vec(shape, numbers).map_err(|e| Error::table(path, 1, e.to_string()))?;
        let (filled, empty) = fill_missing(&mut values);
        if !empty.is_empty() {
            let full: Vec<usize> = (0..kept.len()).filter(|c| empty.binary_search(c).is_err()).collect();
            if full.is_empty() {
                return Err(Error::table(path, 1, "no column holds a value"));
            }
            values = values.select(Axis(1), &full);
            kept = full.iter().map(|&c| std::mem::take(&mut kept[c])).collect();
        }
        let content = Content::Numbers { names: kept, values, filled, empty_columns: empty.len() };
        Ok(EntityTable { keys, content })
    }

    /// Writes the rows that `lookup` finds under `name`: numbers as a feature
    /// table (drug tables of nothing but 0 and 1 as bits), texts as text columns.
    pub fn write(
        self,
        writer: &mut StoreWriter,
        entity: Entity,
        name: &str,
        units: &str,
        origin: &str,
        lookup: &mut Lookup,
    ) -> Result<TableMatch> {
        let mut found = TableMatch { file: origin.into(), ..TableMatch::default() };
        let mut rows = Vec::new();
        let mut entities = Vec::new();
        for (row, key) in self.keys.iter().enumerate() {
            if let Found::One(index) = lookup.find(key) {
                rows.push(row);
                entities.push(index);
            } else {
                found.unknown += 1;
                remember(&mut found.examples, key);
            }
        }
        if rows.is_empty() {
            return Err(Error::Request(format!(
                "{origin}: none of its {} rows is a {} of the store; the first is {:?}",
                self.keys.len(),
                entity.name(),
                String::from_utf8_lossy(&self.keys[0])
            )));
        }
        found.rows = rows.len();
        match self.content {
            Content::Texts(columns) => {
                found.columns = columns.len();
                let mut names = Vec::new();
                for (column, texts) in columns {
                    let column = column.replace(['/', '\\'], "_");
                    let mut all = vec![String::new(); writer.ids(entity).len()];
                    for (&row, &index) in rows.iter().zip(&entities) {
                        all[index as usize].clone_from(&texts[row]);
                    }
                    writer.text(entity, &column, &all)?;
                    names.push(column);
                }
                found.became = format!("text columns {} of {}", names.join(", "), entity.plural());
            }
            Content::Numbers { names, values, filled, empty_columns } => {
                (found.columns, found.filled, found.empty_columns) = (names.len(), filled, empty_columns);
                let bits = entity == Entity::Drug && values.iter().all(|&v| v == 0.0 || v == 1.0);
                let (encoding, kept) = if bits { (Encoding::Bits, "bits") } else { (Encoding::F32, "f32") };
                found.became = format!("{name} ({}, {kept})", entity.name());
                let info = FeatureInfo {
                    entity,
                    name: name.into(),
                    encoding,
                    rows: rows.len(),
                    columns: names.len(),
                    units: units.into(),
                };
                let mut feature = writer.feature(info, &names, &entities)?;
                feature.origin(origin)?;
                for block in rows.chunks(256) {
                    feature.append(values.select(Axis(0), block).view())?;
                }
                feature.finish()?;
            }
        }
        Ok(found)
    }
}

/// Puts the median of its column into every NaN. Returns how many were filled,
/// and the columns, ascending, that hold nothing but NaN.
fn fill_missing(values: &mut Array2<f32>) -> (usize, Vec<usize>) {
    let mut holes = vec![0; values.ncols()];
    for row in values.rows() {
        row.iter().zip(&mut holes).for_each(|(v, n)| *n += usize::from(v.is_nan()));
    }
    let (mut filled, mut empty) = (0, Vec::new());
    for (column, missing) in holes.into_iter().enumerate().filter(|&(_, n)| n > 0) {
        let mut known: Vec<f32> = values.column(column).iter().copied().filter(|v| !v.is_nan()).collect();
        if known.is_empty() {
            empty.push(column);
            continue;
        }
        known.sort_unstable_by(f32::total_cmp);
        let (low, high) = (known[(known.len() - 1) / 2], known[known.len() / 2]);
        let median = low + (high - low) / 2.0;
        values.column_mut(column).iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = median);
        filled += missing;
    }
    (filled, empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn missing_values_become_medians() {
        let nan = f32::NAN;
        let mut values = array![[1.0, nan, nan], [nan, nan, 2.0], [3.0, nan, 5.0], [9.0, nan, 7.0]];
        assert_eq!(fill_missing(&mut values), (2, vec![1]));
        assert_eq!((values[(1, 0)], values[(0, 2)]), (3.0, 5.0));
    }
}
