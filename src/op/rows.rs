use super::{BitsEnds, BitsId, MapEnds, MapId, SpaceId};

/// The rows of a batch: how many each space has, which rows of the dataset
/// they are, how the maps join them, and what is fed as bits.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Rows in use, one number a space.
    pub count: Vec<usize>,
    /// Number in the dataset of each row, one list a space.
    pub number: Vec<Vec<u32>>,
    /// One a map.
    pub maps: Vec<RowMap>,
    /// One a table of bits.
    pub bits: Vec<BitRows>,
}

/// For each row of one set, a list of rows of another, ascending.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    /// Where the list of each row begins in `order`; one more entry ends the last.
    pub start: Vec<u32>,
    /// The lists, one after another.
    pub order: Vec<u32>,
}

/// A map of one batch, and its inverse.
#[derive(Debug, Clone, Default)]
pub struct RowMap {
    /// For each row of the space it comes from, the row it names.
    pub index: Vec<u32>,
    /// For each row of the space it goes to, those that name it.
    pub segments: Segments,
}

/// Rows of zeros and ones, by the places of their ones.
#[derive(Debug, Clone, Default)]
pub struct BitRows {
    /// For each row, the columns where it has a one.
    pub ones: Segments,
    /// For each column, the rows that have a one there.
    pub by_column: Segments,
}

impl Rows {
    /// No rows yet, room for `capacity` rows a space.
    pub fn with_capacity(capacity: &[usize], maps: &[MapEnds], bits: &[BitsEnds]) -> Self {
        let map = |ends: &MapEnds| RowMap {
            index: Vec::with_capacity(capacity[ends.from.0]),
            segments: Segments::with_capacity(capacity[ends.to.0], capacity[ends.from.0]),
        };
        let table = |ends: &BitsEnds| BitRows {
            ones: Segments::with_capacity(capacity[ends.space.0], 0),
            by_column: Segments::with_capacity(ends.columns, 0),
        };
        Self {
            count: vec![0; capacity.len()],
            number: capacity.iter().map(|&n| Vec::with_capacity(n)).collect(),
            maps: maps.iter().map(map).collect(),
            bits: bits.iter().map(table).collect(),
        }
    }

    /// Rows in use in `space`.
    pub fn of(&self, space: SpaceId) -> usize {
        self.count[space.0]
    }

    /// The map `id`.
    pub fn map(&self, id: MapId) -> &RowMap {
        &self.maps[id.0]
    }

    /// The table of bits `id`.
    pub fn bits(&self, id: BitsId) -> &BitRows {
        &self.bits[id.0]
    }
}

impl Segments {
    /// No lists yet, room for `rows` of them with `named` rows in all.
    pub fn with_capacity(rows: usize, named: usize) -> Self {
        Self { start: Vec::with_capacity(rows + 1), order: Vec::with_capacity(named) }
    }

    /// The list of `row`.
    #[inline]
    pub fn of(&self, row: usize) -> &[u32] {
        &self.order[self.start[row] as usize..self.start[row + 1] as usize]
    }

    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.start.clear();
        self.start.push(0);
        self.order.clear();
    }

    /// Adds the list of the next row; follows [`Self::clear`].
    pub fn push(&mut self, list: &[u32]) {
        self.order.extend_from_slice(list);
        self.start.push(self.order.len() as u32);
    }

    /// Makes the lists of `rows` rows from what names them, by counting: `named`
    /// gives every naming row with the row it names, the former ascending. Does
    /// not allocate within capacity.
    pub fn invert(&mut self, rows: usize, named: impl Iterator<Item = (u32, u32)> + Clone) {
        self.start.clear();
        self.start.resize(rows + 1, 0);
        let mut total = 0;
        for (_, to) in named.clone() {
            self.start[to as usize + 1] += 1;
            total += 1;
        }
        for r in 0..rows {
            self.start[r + 1] += self.start[r];
        }
        self.order.clear();
        self.order.resize(total, 0);
        for (from, to) in named {
            let slot = &mut self.start[to as usize];
            self.order[*slot as usize] = from;
            *slot += 1;
        }
        // Filling moved every start to its list's end, which is the next one's start.
        for r in (0..rows).rev() {
            self.start[r + 1] = self.start[r];
        }
        self.start[0] = 0;
    }
}

impl RowMap {
    /// Fills `segments` from `index`; `rows` is the size of the space that the map goes to.
    pub fn invert(&mut self, rows: usize) {
        self.segments.invert(rows, (0..).zip(self.index.iter().copied()));
    }
}

impl BitRows {
    /// Fills `by_column` from `ones`.
    pub fn invert(&mut self, columns: usize) {
        let rows = self.ones.start.windows(2).zip(0u32..);
        let named = rows.flat_map(|(ends, row)| {
            self.ones.order[ends[0] as usize..ends[1] as usize].iter().map(move |&column| (row, column))
        });
        self.by_column.invert(columns, named);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_list_each_row_under_the_one_it_names() {
        let mut map = RowMap { index: vec![2, 0, 2, 3, 0], ..RowMap::default() };
        map.invert(5);
        let segments: Vec<&[u32]> = (0..5).map(|r| map.segments.of(r)).collect();
        assert_eq!(segments, [&[1, 4][..], &[], &[0, 2], &[3], &[]]);
    }

    #[test]
    fn bits_are_listed_by_row_and_by_column() {
        let mut bits = BitRows::default();
        bits.ones.clear();
        [&[0, 2][..], &[], &[2]].iter().for_each(|ones| bits.ones.push(ones));
        bits.invert(4);
        let columns: Vec<&[u32]> = (0..4).map(|c| bits.by_column.of(c)).collect();
        assert_eq!(columns, [&[0][..], &[], &[0, 2], &[]]);
        assert_eq!(bits.ones.of(0), [0, 2]);
    }
}
