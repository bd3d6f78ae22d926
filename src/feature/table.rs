use crate::op::Segments;
use crate::store::{Encoding, Entity, Store};
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
    rows: usize,
    cells: Cells,
}

/// How the rows are kept.
#[derive(Debug, Clone)]
enum Cells {
    /// `[rows, columns]`.
    Values(Vec<f32>),
    /// Zeros and ones, by the columns of the ones.
    Bits(Segments),
}

/// A table of zeros and ones is kept by its ones where at most one value in so
/// many is one: with more, a matrix product is faster than sums of weight rows.
const SPARSE: usize = 16;

const NONE: u32 = u32::MAX;

impl Features {
    /// Reads the tables `names` of `store` and joins them by entity. `bits` says
    /// whether to keep them as bits, which needs values that are zero or one; if
    /// absent, so are tables stored as bits that are sparse enough for it to be faster.
    pub fn read(store: &Store, entity: Entity, names: &[String], bits: Option<bool>) -> Result<Self> {
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
        let stored_as_bits = tables.iter().all(|table| table.info.encoding == Encoding::Bits);
        let ones = || values.iter().filter(|&&v| v == 1.0).count();
        let as_bits = bits.unwrap_or_else(|| stored_as_bits && ones() <= values.len() / SPARSE);
        let cells = match as_bits {
            true => Cells::Bits(bits_of(&values, &columns).map_err(Error::Request)?),
            false => Cells::Values(values),
        };
        Ok(Self { entity, columns, row_of, rows: rows as usize, cells })
    }

    /// A table of entities that all have a row: `values` is `[entities, columns]`, kept as bits or as
    /// numbers, and columns are named by their numbers. Fails if bits are not zeros and ones.
    pub fn of_all(entity: Entity, columns: usize, values: Vec<f32>, bits: bool) -> Result<Self> {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "{} values", values.len());
        let column = |number: usize| Column { feature: "made-up".into(), name: number.to_string() };
        let columns: Vec<Column> = (0..columns).map(column).collect();
        let rows = values.len() / columns.len();
        let cells = match bits {
            true => Cells::Bits(bits_of(&values, &columns).map_err(Error::Request)?),
            false => Cells::Values(values),
        };
        Ok(Self { entity, columns, row_of: (0..rows as u32).collect(), rows, cells })
    }

    /// The same entities with exactly `wanted` columns, matched by name. Columns
    /// that are not here hold NaN, as a missing value does, or zero if these are
    /// bits, and are listed by their position.
    pub fn arranged(&self, wanted: &[Column]) -> (Self, Vec<usize>) {
        let here: HashMap<&Column, usize> = self.columns.iter().zip(0..).collect();
        let from: Vec<Option<usize>> = wanted.iter().map(|column| here.get(column).copied()).collect();
        let missing = from.iter().enumerate().filter(|(_, f)| f.is_none()).map(|(i, _)| i).collect();
        let cells = match &self.cells {
            Cells::Values(values) => {
                let rows = values.chunks_exact(self.width());
                let arrange =
                    |row: &[f32]| from.iter().map(|f| f.map_or(f32::NAN, |f| row[f])).collect::<Vec<_>>();
                Cells::Values(rows.flat_map(arrange).collect())
            }
            Cells::Bits(ones) => {
                let mut to = vec![NONE; self.width()];
                from.iter().zip(0..).for_each(|(f, at)| f.iter().for_each(|&f| to[f] = at));
                let mut arranged = Segments::with_capacity(self.rows, ones.order.len());
                arranged.clear();
                for row in 0..self.rows {
                    let places = ones.of(row).iter().map(|&column| to[column as usize]);
                    let mut places: Vec<u32> = places.filter(|&place| place != NONE).collect();
                    places.sort_unstable();
                    arranged.push(&places);
                }
                Cells::Bits(arranged)
            }
        };
        (Self { columns: wanted.to_vec(), cells, row_of: self.row_of.clone(), ..*self }, missing)
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
        self.rows
    }

    /// Whether entity `index` of the store has a row.
    pub fn has(&self, index: u32) -> bool {
        self.row_of.get(index as usize).is_some_and(|&row| row != NONE)
    }

    /// Whether the rows are kept as bits.
    pub fn are_bits(&self) -> bool {
        matches!(self.cells, Cells::Bits(_))
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        match &self.cells {
            Cells::Values(values) => size_of_val(&values[..]),
            Cells::Bits(ones) => size_of_val(&ones.start[..]) + size_of_val(&ones.order[..]),
        }
    }

    /// Number of ones in all rows, if they are bits.
    pub fn ones(&self) -> usize {
        match &self.cells {
            Cells::Values(_) => 0,
            Cells::Bits(ones) => ones.order.len(),
        }
    }

    /// The columns where entity `index` of the store has a one, ascending; none
    /// if the rows are not bits. Panics if the entity has no row.
    #[inline]
    pub fn ones_of(&self, index: u32) -> &[u32] {
        match &self.cells {
            Cells::Values(_) => &[],
            Cells::Bits(ones) => ones.of(self.row_of[index as usize] as usize),
        }
    }

    /// The values of entity `index` of the store, none if the rows are bits.
    /// Panics if the entity has no row.
    #[inline]
    pub fn row(&self, index: u32) -> &[f32] {
        let width = self.columns.len();
        match &self.cells {
            Cells::Values(values) => &values[self.row_of[index as usize] as usize * width..][..width],
            Cells::Bits(_) => &[],
        }
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
            rows: rows.iter().flatten().count(),
            cells: Cells::Values(rows.iter().flatten().copied().flatten().copied().collect()),
        }
    }
}

/// The ones of rows of zeros and ones, or the column that holds another value.
fn bits_of(values: &[f32], columns: &[Column]) -> Result<Segments, String> {
    let mut ones = Segments::with_capacity(values.len() / columns.len(), 0);
    ones.clear();
    let mut places = Vec::new();
    for row in values.chunks_exact(columns.len()) {
        places.clear();
        for ((&value, column), place) in row.iter().zip(columns).zip(0..) {
            if value == 1.0 {
                places.push(place);
            } else if value != 0.0 {
                return Err(format!(
                    "column '{}' of {} holds {value}: only zeros and ones can be bits",
                    column.name, column.feature
                ));
            }
        }
        ones.push(&places);
    }
    Ok(ones)
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
