use crate::store::{Entity, Store};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A feature's column: the table's name and the column's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Name of the feature table, such as `mordred`.
    pub feature: String,
    /// Name of the column in it.
    pub name: String,
}

/// One row of values an entity: the columns of one or more feature tables side
/// by side, for the entities that have a row in all of them. A missing value
/// is NaN.
#[derive(Debug, Clone)]
pub struct Features {
    entity: Entity,
    columns: Vec<Column>,
    /// For each entity of the store: its row, or `NONE`.
    row_of: Vec<u32>,
    values: Vec<f32>,
}

const NONE: u32 = u32::MAX;

impl Features {
    /// Reads the tables `names` of `store` and joins them by entity.
    pub fn read(store: &Store, entity: Entity, names: &[String]) -> Result<Self> {
        let tables = names.iter().map(|name| store.feature(entity, name)).collect::<Result<Vec<_>>>()?;
        let columns: Vec<Column> = tables
            .iter()
            .flat_map(|t| {
                t.names.iter().map(|name| Column { feature: t.info.name.clone(), name: name.clone() })
            })
            .collect();
        if columns.is_empty() {
            return Err(Error::Request(format!("no {} features: name at least one", entity.name())));
        }
        let mut found = vec![0usize; store.count(entity)];
        for table in &tables {
            table.entity.iter().for_each(|&e| found[e as usize] += 1);
        }
        let mut row_of = vec![NONE; found.len()];
        let mut rows = 0;
        for (row, _) in row_of.iter_mut().zip(&found).filter(|(_, n)| **n == tables.len()) {
            *row = rows;
            rows += 1;
        }
        let length = (rows as usize).checked_mul(columns.len());
        let mut values = Vec::new();
        if length.is_none_or(|length| values.try_reserve_exact(length).is_err()) {
            let what = format!("no memory for {rows} rows of {} {} features", columns.len(), entity.name());
            return Err(Error::Request(what));
        }
        values.resize(rows as usize * columns.len(), 0.0f32);
        let mut offset = 0;
        for table in &tables {
            for (&entity, from) in table.entity.iter().zip(table.values.rows()) {
                let row = row_of[entity as usize];
                if row != NONE {
                    let to = &mut values[row as usize * columns.len() + offset..];
                    to.iter_mut().zip(from).for_each(|(t, &f)| *t = f);
                }
            }
            offset += table.info.columns;
        }
        Ok(Self { entity, columns, row_of, values })
    }

    /// A table of entities that all have a row: `values` is `[entities, columns]`, and columns are
    /// named by their numbers.
    pub fn of_all(entity: Entity, columns: usize, values: Vec<f32>) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "{} values", values.len());
        let column = |number: usize| Column { feature: "made-up".into(), name: number.to_string() };
        let rows = (values.len() / columns) as u32;
        Self { entity, columns: (0..columns).map(column).collect(), row_of: (0..rows).collect(), values }
    }

    /// The same entities with exactly `wanted` columns, matched by name. Columns
    /// that are not here hold NaN, as a missing value does, and are listed by
    /// their position.
    pub fn arranged(&self, wanted: &[Column]) -> (Self, Vec<usize>) {
        let here: HashMap<&Column, usize> = self.columns.iter().zip(0..).collect();
        let from: Vec<Option<usize>> = wanted.iter().map(|column| here.get(column).copied()).collect();
        let missing = from.iter().enumerate().filter(|(_, f)| f.is_none()).map(|(i, _)| i).collect();
        let rows = self.values.chunks_exact(self.width());
        let values = rows.flat_map(|row| from.iter().map(|f| f.map_or(f32::NAN, |f| row[f]))).collect();
        (Self { columns: wanted.to_vec(), values, row_of: self.row_of.clone(), ..*self }, missing)
    }

    /// Drugs or samples.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// What the columns are.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Number of entities in the store, with a row or without.
    pub fn entities(&self) -> usize {
        self.row_of.len()
    }

    /// Number of entities that have a row.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width()
    }

    /// Whether entity `index` of the store has a row.
    pub fn has(&self, index: u32) -> bool {
        self.row_of.get(index as usize).is_some_and(|&row| row != NONE)
    }

    /// The values of entity `index` of the store. Panics if it has none.
    #[inline]
    pub fn row(&self, index: u32) -> &[f32] {
        let width = self.columns.len();
        &self.values[self.row_of[index as usize] as usize * width..][..width]
    }

    /// Every entity that has a row, ascending.
    pub fn present(&self) -> Vec<u32> {
        (0..self.row_of.len() as u32).filter(|&entity| self.has(entity)).collect()
    }

    /// A table of the entities that have a row, for tests.
    #[cfg(test)]
    pub(super) fn made_up(entity: Entity, names: &[&str], rows: &[Option<&[f32]>]) -> Self {
        let columns =
            names.iter().map(|name| Column { feature: "f".into(), name: name.to_string() }).collect();
        let mut next = 0..;
        let row_of = rows.iter().map(|row| if row.is_some() { next.next().unwrap_or(NONE) } else { NONE });
        Self {
            entity,
            columns,
            row_of: row_of.collect(),
            values: rows.iter().flatten().copied().flatten().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_matched_by_name_and_absent_ones_are_missing_values() {
        let table =
            Features::made_up(Entity::Drug, &["a", "b"], &[Some(&[1.0, 2.0]), None, Some(&[3.0, 4.0])]);
        let wanted = ["b", "x", "a"].map(|name| Column { feature: "f".into(), name: name.into() });
        let (arranged, missing) = table.arranged(&wanted);
        assert_eq!(missing, [1]);
        let row = arranged.row(2);
        assert!(row[0] == 4.0 && row[1].is_nan() && row[2] == 3.0);
        assert_eq!(arranged.present(), [0, 2]);
        assert!(!arranged.has(1) && !arranged.has(99));
    }
}
