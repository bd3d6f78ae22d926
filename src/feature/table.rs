use crate::comm::{Communicator, NodeShared, node_shared};
use crate::store::{Entity, FeatureInfo, Store};
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
    values: NodeShared<f32>,
}

/// Feature tables joined by entity, whose values are still to be read.
pub struct JoinedTables<'a> {
    store: &'a Store,
    entity: Entity,
    tables: Vec<Table<'a>>,
    columns: Vec<Column>,
    row_of: Vec<u32>,
    rows: usize,
}

struct Table<'a> {
    info: &'a FeatureInfo,
    /// Of each row.
    entities: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl<'a> JoinedTables<'a> {
    /// Joins the tables `names` of `store`. Refuses a name that is not there, and no names.
    pub fn of(store: &'a Store, entity: Entity, names: &[String]) -> Result<Self> {
        let (mut tables, mut columns) = (Vec::new(), Vec::new());
        let mut found = vec![0usize; store.count(entity)];
        for name in names {
            let info = store.feature_named(entity, name)?;
            let column = |name| Column { feature: info.name.clone(), name };
            columns.extend(store.feature_names(info)?.into_iter().map(column));
            let entities = store.feature_entities(info)?;
            entities.iter().for_each(|&e| found[e as usize] += 1);
            tables.push(Table { info, entities });
        }
        if columns.is_empty() {
            return Err(Error::Request(format!("no {} features: name at least one", entity.name())));
        }
        let mut row_of = vec![NONE; found.len()];
        let mut rows = 0;
        for (row, _) in row_of.iter_mut().zip(&found).filter(|(_, n)| **n == tables.len()) {
            *row = rows;
            rows += 1;
        }
        Ok(Self { store, entity, tables, columns, row_of, rows: rows as usize })
    }

    /// Reads the values, on the first rank of each node. Every rank of `world`
    /// calls this with the same tables; a failure is told and is one on all.
    pub fn read(self, world: &dyn Communicator) -> Result<Features> {
        let Self { store, entity, tables, columns, row_of, rows } = self;
        let what = format!("{} features", entity.name());
        let width = columns.len();
        let values = node_shared(world, &what, rows.saturating_mul(width), |values: &mut [f32]| {
            let mut offset = 0;
            for Table { info, entities } in &tables {
                let mut entities = entities.iter();
                store.feature_blocks(info, |block| {
                    for (from, &entity) in block.chunks_exact(info.columns).zip(&mut entities) {
                        let row = row_of[entity as usize];
                        if row != NONE {
                            let to = row as usize * width + offset;
                            values[to..to + from.len()].copy_from_slice(from);
                        }
                    }
                })?;
                offset += info.columns;
            }
            Ok(())
        })?;
        Ok(Features { entity, columns, row_of, values })
    }
}

impl Features {
    /// The same entities with exactly `wanted` columns, matched by name. Columns
    /// that are not here hold NaN, as a missing value does, and are listed by
    /// their position.
    pub fn arranged(&self, wanted: &[Column]) -> (Self, Vec<usize>) {
        let here: HashMap<&Column, usize> = self.columns.iter().zip(0..).collect();
        let from: Vec<Option<usize>> = wanted.iter().map(|column| here.get(column).copied()).collect();
        let missing = from.iter().enumerate().filter(|(_, f)| f.is_none()).map(|(i, _)| i).collect();
        let rows = self.values.chunks_exact(self.width());
        let values: Vec<f32> =
            rows.flat_map(|row| from.iter().map(|f| f.map_or(f32::NAN, |f| row[f]))).collect();
        (
            Self { columns: wanted.to_vec(), values: values.into(), row_of: self.row_of.clone(), ..*self },
            missing,
        )
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

    /// Bytes of the values, and whether the ranks of this node hold them once between them.
    pub fn memory(&self) -> (usize, bool) {
        (size_of_val::<[f32]>(&self.values), self.values.is_shared())
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
            values: rows.iter().flatten().copied().flatten().copied().collect::<Vec<f32>>().into(),
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
