//! Tables of one row an entity, numbers or texts, read whole and written to a store.

use super::cell::{Cell, parse};
use super::column_names::{ColumnNames, is_blank};
use super::join::{Found, Lookup, Template};
use super::match_report::{TableMatch, remember};
use super::omics::{self, Level};
use super::table::Table;
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
    /// `values` is `[rows, names]`, NaN where a cell is missing.
    Numbers { names: Vec<String>, values: Array2<f32>, empty_columns: usize },
    /// One text a row and column, empty where a cell is missing; `nameless` columns were left out.
    Texts { columns: Vec<(String, Vec<String>)>, nameless: usize },
}

/// How to read an entity table.
pub(super) struct Reading<'a> {
    /// Key of a row.
    pub key: Key<'a>,
    /// Columns left out.
    pub ignore: &'a [String],
    /// Its possible header rows.
    pub levels: &'static [Level],
}

/// Which column, or columns, say whose row it is.
pub(super) enum Key<'a> {
    /// A column, or a template of several.
    Template(&'a str),
    /// The first column, whatever it is called.
    First,
    /// The first column, which is nameless or called this.
    FirstOrNamed(&'a str),
}

impl EntityTable {
    /// Reads the table at `path`. It is one of texts if at least half of its
    /// columns hold something other than numbers within the first records;
    /// in a table of numbers such a cell is an error. Missing numbers stay
    /// missing; columns without any value are left out. Two rows of one key are
    /// refused.
    pub fn read(path: &Path, reading: &Reading) -> Result<EntityTable> {
        let mut table = Table::open(path)?;
        let id_column = if let Key::FirstOrNamed(name) = reading.key { name } else { "" };
        let mut names = omics::column_names(&mut table, reading.levels, id_column)?;
        let key = match reading.key {
            Key::Template(text) => Template::parse_column(text, &table)?,
            Key::First => Template::column(0),
            Key::FirstOrNamed(name) => {
                let first = &table.header()[0];
                if !is_blank(first) && first != name {
                    let what = format!("the first column is {first:?}; it has to be the ids, {name:?}");
                    return Err(Error::table(path, 1, what));
                }
                Template::column(0)
            }
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
                    strings.push(table.known_text(c)?);
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
        if texts {
            let mut given = ColumnNames::default();
            let mut named = Vec::new();
            for (&c, strings) in columns.iter().zip(strings) {
                named.extend(given.give(&table.header()[c]).map(|name| (name, strings)));
            }
            if named.is_empty() {
                return Err(Error::table(path, 1, "no column beside the ids has a name"));
            }
            let nameless = columns.len() - named.len();
            return Ok(EntityTable { keys, content: Content::Texts { columns: named, nameless } });
        }
        let mut kept: Vec<String> = columns.iter().map(|&c| std::mem::take(&mut names[c])).collect();
        let shape = (keys.len(), kept.len());
        let mut values =
            Array2::from_shape_vec(shape, numbers).map_err(|e| Error::table(path, 1, e.to_string()))?;
        let mut known = vec![false; kept.len()];
        for row in values.rows() {
            known.iter_mut().zip(row).for_each(|(known, v)| *known |= !v.is_nan());
        }
        let empty_columns = known.iter().filter(|&&k| !k).count();
        if empty_columns > 0 {
            let full: Vec<usize> = (0..kept.len()).filter(|&c| known[c]).collect();
            if full.is_empty() {
                return Err(Error::table(path, 1, "no column holds a value"));
            }
            values = values.select(Axis(1), &full);
            kept = full.iter().map(|&c| std::mem::take(&mut kept[c])).collect();
        }
        let content = Content::Numbers { names: kept, values, empty_columns };
        Ok(EntityTable { keys, content })
    }

    /// Writes the rows that `lookup` finds under `name`: numbers as a feature
    /// table (drug tables of nothing but 0 and 1 as bits), texts as text columns.
    /// Refuses a second row of an entity, which differing keys can lead to.
    pub fn write(
        self,
        writer: &mut StoreWriter,
        entity: Entity,
        name: &str,
        units: &str,
        origin: &str,
        lookup: &Lookup,
    ) -> Result<TableMatch> {
        let mut found = TableMatch { file: origin.into(), ..TableMatch::default() };
        let mut rows = Vec::new();
        let mut entities = Vec::new();
        let (mut row_of, mut folded) = (HashMap::new(), Vec::new());
        for (row, key) in self.keys.iter().enumerate() {
            match lookup.find(key, &mut folded) {
                Found::One(index) => {
                    if let Some(first) = row_of.insert(index, row) {
                        return Err(Error::Request(format!(
                            "{origin}: the rows {:?} and {:?} are both the {} {:?}",
                            String::from_utf8_lossy(&self.keys[first]),
                            String::from_utf8_lossy(key),
                            entity.name(),
                            writer.ids(entity)[index as usize]
                        )));
                    }
                    rows.push(row);
                    entities.push(index);
                    continue;
                }
                Found::Many => found.ambiguous += 1,
                Found::Unknown => found.unknown += 1,
            }
            remember(&mut found.examples, key);
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
            Content::Texts { columns, nameless } => {
                (found.columns, found.nameless_columns) = (columns.len(), nameless);
                let mut names = Vec::new();
                for (column, texts) in columns {
                    let mut all = vec![String::new(); writer.ids(entity).len()];
                    for (&row, &index) in rows.iter().zip(&entities) {
                        all[index as usize].clone_from(&texts[row]);
                    }
                    writer.text(entity, &column, &all)?;
                    names.push(column);
                }
                found.became = format!("text columns {} of {}", names.join(", "), entity.plural());
            }
            Content::Numbers { names, values, empty_columns } => {
                (found.columns, found.empty_columns) = (names.len(), empty_columns);
                let bits = entity == Entity::Drug && values.iter().all(|&v| v == 0.0 || v == 1.0);
                let encoding = if bits { Encoding::Bits } else { Encoding::F32 };
                found.became = format!("{name} ({}, {})", entity.name(), encoding.name());
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
                    let block = values.select(Axis(0), block);
                    found.missing += block.iter().filter(|v| v.is_nan()).count();
                    feature.append(block.view())?;
                }
                feature.finish()?;
            }
        }
        Ok(found)
    }
}
