use crate::comm::{Communicator, NodeShared, node_shared};
use crate::op::Segments;
use crate::store::{Encoding, Entity, FeatureInfo, Store};
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
/// by side, for the entities that have a row in all of them, or in any. A missing value
/// is NaN.
#[derive(Debug, Clone)]
pub struct Features {
    entity: Entity,
    columns: Vec<Column>,
    /// For each entity of the store: its row, or `NONE`.
    row_of: Vec<u32>,
    rows: usize,
    cells: Cells,
    /// Whether the values are to reach a network as they are.
    scaled: bool,
}

/// Feature tables joined by entity, whose values are still to be read.
pub struct JoinedTables<'a> {
    store: &'a Store,
    entity: Entity,
    tables: Vec<Table<'a>>,
    join: Join,
    /// Whether the values are to stay as they are.
    scaled: bool,
    columns: Vec<Column>,
    row_of: Vec<u32>,
    rows: usize,
    /// The values, if they are kept as bits.
    ones: Option<Segments>,
}

/// A feature table that no store holds, such as the latent rows of samples.
pub struct ComputedTable<'a> {
    /// Its name, as in a deck.
    pub name: String,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Whose rows they are, distinct.
    pub entities: Vec<u32>,
    /// Makes its values, `[entities, columns]`, on the first rank of each node.
    pub values: Box<dyn Fn() -> Result<Vec<f32>> + 'a>,
    /// Whether its values are to reach a network as they are.
    pub scaled: bool,
}

struct Table<'a> {
    content: Content<'a>,
    columns: usize,
    /// Of each row.
    entities: Vec<u32>,
}

/// Which entities of several tables have a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Those that are in all tables.
    All,
    /// Those that are in any; values of a table that they are not in are missing.
    Any,
}

/// Where the values of a table are.
enum Content<'a> {
    Stored(&'a FeatureInfo),
    Computed(Box<dyn Fn() -> Result<Vec<f32>> + 'a>),
}

/// How the rows are kept.
#[derive(Debug, Clone)]
enum Cells {
    /// `[rows, columns]`.
    Values(NodeShared<f32>),
    /// Zeros and ones, by the columns of the ones.
    Bits(Segments),
}

/// A table of zeros and ones is kept by its ones where at most one value in so
/// many is one: with more, a matrix product is faster than sums of weight rows.
const SPARSE: usize = 16;

const NONE: u32 = u32::MAX;

impl<'a> JoinedTables<'a> {
    /// Joins the tables `names` of `store` over the entities that `join` says. A name is that of a table
    /// of `computed`, or of one in the store. Refuses a name that is not there, and no names. `bits` says
    /// whether to keep them as bits, which needs values that are zero or one; if
    /// absent, so are tables stored as bits that are sparse enough for it to be faster. Bits are read here.
    pub fn of(
        store: &'a Store,
        entity: Entity,
        names: &[String],
        bits: Option<bool>,
        join: Join,
        mut computed: Vec<ComputedTable<'a>>,
    ) -> Result<Self> {
        let (mut tables, mut columns) = (Vec::new(), Vec::new());
        let mut found = vec![0usize; store.count(entity)];
        // Beside others, a table that is scaled already would be scaled with them.
        let scaled = matches!(&computed[..], [one] if one.scaled && names == [one.name.clone()]);
        for name in names {
            if let Some(at) = computed.iter().position(|table| table.name == *name) {
                let ComputedTable { columns: own, entities, values, .. } = computed.swap_remove(at);
                entities.iter().for_each(|&e| found[e as usize] += 1);
                let content = Content::Computed(values);
                tables.push(Table { content, columns: own.len(), entities });
                columns.extend(own.into_iter().map(|column| Column { feature: name.clone(), name: column }));
                continue;
            }
            let info = store.feature_named(entity, name)?;
            let column = |name| Column { feature: info.name.clone(), name };
            columns.extend(store.feature_names(info)?.into_iter().map(column));
            let entities = store.feature_entities(info)?;
            entities.iter().for_each(|&e| found[e as usize] += 1);
            tables.push(Table { content: Content::Stored(info), columns: info.columns, entities });
        }
        if columns.is_empty() {
            return Err(Error::Request(format!("no {} features: name at least one", entity.name())));
        }
        let mut row_of = vec![NONE; found.len()];
        let mut rows = 0;
        let least = match join {
            Join::All => tables.len(),
            Join::Any => 1,
        };
        for (row, _) in row_of.iter_mut().zip(&found).filter(|(_, n)| **n >= least) {
            *row = rows;
            rows += 1;
        }
        let mut joined =
            Self { store, entity, tables, columns, row_of, rows: rows as usize, join, scaled, ones: None };
        let as_bits =
            |table: &Table| matches!(table.content, Content::Stored(info) if info.encoding == Encoding::Bits);
        let stored_as_bits = joined.tables.iter().all(as_bits);
        if bits.unwrap_or(stored_as_bits) {
            let cells = joined.rows.saturating_mul(joined.columns.len());
            joined.ones = joined.ones(if bits.is_some() { usize::MAX } else { cells / SPARSE })?;
        }
        Ok(joined)
    }

    /// Reads the values on the first rank of each node, unless they are bits.
    /// Every rank of `world` calls this with the same tables; a failure is told
    /// and is one on all.
    pub fn read(mut self, world: &dyn Communicator) -> Result<Features> {
        let width = self.columns.len();
        let cells = match self.ones.take() {
            Some(ones) => Cells::Bits(ones),
            None => {
                let what = format!("{} features", self.entity.name());
                let length = self.rows.saturating_mul(width);
                Cells::Values(node_shared(world, &what, length, |values: &mut [f32]| {
                    if self.join == Join::Any {
                        values.fill(f32::NAN);
                    }
                    self.each_row(|row, offset, from| {
                        let to = row as usize * width + offset;
                        values[to..to + from.len()].copy_from_slice(from);
                        Ok(())
                    })
                })?)
            }
        };
        let Self { entity, columns, row_of, rows, scaled, .. } = self;
        Ok(Features { entity, columns, row_of, rows, cells, scaled })
    }

    /// Streams the tables, one after the other: `each` gets the row of an entity,
    /// the first column of the table, and the table's values of the entity.
    fn each_row(&self, mut each: impl FnMut(u32, usize, &[f32]) -> Result<()> + Send) -> Result<()> {
        let (mut offset, row_of) = (0, &self.row_of);
        for Table { content, columns, entities } in &self.tables {
            let (mut entities, mut done) = (entities.iter(), Ok(()));
            let mut take = |block: &[f32]| {
                for (from, &entity) in block.chunks_exact(*columns).zip(&mut entities) {
                    let row = row_of[entity as usize];
                    if row != NONE && done.is_ok() {
                        done = each(row, offset, from);
                    }
                }
            };
            match content {
                Content::Stored(info) => self.store.feature_blocks(info, take)?,
                Content::Computed(values) => take(&values()?),
            }
            done?;
            offset += columns;
        }
        Ok(())
    }

    /// The ones of all rows, unless they are more than `most`.
    fn ones(&self, most: usize) -> Result<Option<Segments>> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.rows];
        let (mut count, columns) = (0, &self.columns);
        self.each_row(|row, offset, from| {
            if count <= most {
                let (ones, columns) = (&mut rows[row as usize], &columns[offset..]);
                let before = ones.len();
                push_ones(ones, from, offset as u32, columns).map_err(Error::Request)?;
                count += ones.len() - before;
            }
            Ok(())
        })?;
        if count > most {
            return Ok(None);
        }
        let mut segments = Segments::with_capacity(self.rows, count);
        segments.clear();
        rows.iter().for_each(|ones| segments.push(ones));
        Ok(Some(segments))
    }
}

impl Features {
    /// A table of entities that all have a row: `values` is `[entities, columns]`, kept as bits or as
    /// numbers, and columns are named by their numbers. Fails if bits are not zeros and ones.
    pub fn of_all(entity: Entity, columns: usize, values: Vec<f32>, bits: bool) -> Result<Self> {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "{} values", values.len());
        let column = |number: usize| Column { feature: "made-up".into(), name: number.to_string() };
        let columns: Vec<Column> = (0..columns).map(column).collect();
        let rows = values.len() / columns.len();
        let cells = match bits {
            true => Cells::Bits(bits_of(&values, &columns).map_err(Error::Request)?),
            false => Cells::Values(values.into()),
        };
        Ok(Self { entity, columns, row_of: (0..rows as u32).collect(), rows, cells, scaled: false })
    }

    /// A table of rows that entities are numbered by, `values` being `[entities, columns]`.
    ///
    /// # Panics
    /// When rows are not whole.
    pub fn of_rows(entity: Entity, columns: Vec<Column>, values: NodeShared<f32>) -> Self {
        assert!(!columns.is_empty() && values.len().is_multiple_of(columns.len()), "{} values", values.len());
        let rows = values.len() / columns.len();
        let (row_of, cells) = ((0..rows as u32).collect(), Cells::Values(values));
        Self { entity, columns, row_of, rows, cells, scaled: false }
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
                Cells::Values(rows.flat_map(arrange).collect::<Vec<f32>>().into())
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

    /// Whether the values reach a network as they are: bits, or values that were scaled before.
    pub fn are_scaled(&self) -> bool {
        self.scaled || self.are_bits()
    }

    /// Whether the ranks of this node hold the rows once between them.
    pub fn is_shared(&self) -> bool {
        matches!(&self.cells, Cells::Values(values) if values.is_shared())
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

    /// The values of all rows, `[rows, columns]`, none if the rows are bits.
    pub fn values(&self) -> &[f32] {
        match &self.cells {
            Cells::Values(values) => values,
            Cells::Bits(_) => &[],
        }
    }

    /// Every entity that has a row, ascending.
    pub fn present(&self) -> Vec<u32> {
        (0..self.row_of.len() as u32).filter(|&entity| self.has(entity)).collect()
    }

    /// A table of the entities that have a row, for tests.
    #[cfg(test)]
    pub(crate) fn made_up(entity: Entity, names: &[&str], rows: &[Option<&[f32]>]) -> Self {
        let columns =
            names.iter().map(|name| Column { feature: "f".into(), name: name.to_string() }).collect();
        let mut next = 0..;
        let row_of = rows.iter().map(|row| if row.is_some() { next.next().unwrap_or(NONE) } else { NONE });
        Self {
            entity,
            columns,
            row_of: row_of.collect(),
            rows: rows.iter().flatten().count(),
            cells: Cells::Values(
                rows.iter().flatten().copied().flatten().copied().collect::<Vec<f32>>().into(),
            ),
            scaled: false,
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
        push_ones(&mut places, row, 0, columns)?;
        ones.push(&places);
    }
    Ok(ones)
}

/// Adds the ones of a row of zeros and ones, whose first column is `first`, or
/// tells which column holds another value.
fn push_ones(into: &mut Vec<u32>, row: &[f32], first: u32, columns: &[Column]) -> Result<(), String> {
    for ((&value, column), place) in row.iter().zip(columns).zip(first..) {
        if value == 1.0 {
            into.push(place);
        } else if value != 0.0 {
            return Err(format!(
                "column '{}' of {} holds {value}: only zeros and ones can be bits",
                column.name, column.feature
            ));
        }
    }
    Ok(())
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
