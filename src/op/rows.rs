use super::{MapEnds, MapId, SpaceId};

/// The rows of a batch: how many each space has, which rows of the dataset
/// they are, and how the maps join them.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Rows in use, one number a space.
    pub count: Vec<usize>,
    /// Number in the dataset of each row, one list a space.
    pub number: Vec<Vec<u32>>,
    /// One a map.
    pub maps: Vec<RowMap>,
}

/// A map of one batch, and its inverse as sorted segments.
#[derive(Debug, Clone, Default)]
pub struct RowMap {
    /// For each row of the space it comes from, the row it names.
    pub index: Vec<u32>,
    /// For each row of the space it goes to, where its segment of `order`
    /// begins; one more entry ends the last segment.
    pub start: Vec<u32>,
    /// Rows of the space it comes from, ascending within each segment.
    pub order: Vec<u32>,
}

impl Rows {
    /// No rows yet, room for `capacity` rows a space.
    pub fn with_capacity(capacity: &[usize], maps: &[MapEnds]) -> Self {
        let map = |ends: &MapEnds| RowMap {
            index: Vec::with_capacity(capacity[ends.from.0]),
            start: Vec::with_capacity(capacity[ends.to.0] + 1),
            order: Vec::with_capacity(capacity[ends.from.0]),
        };
        Self {
            count: vec![0; capacity.len()],
            number: capacity.iter().map(|&n| Vec::with_capacity(n)).collect(),
            maps: maps.iter().map(map).collect(),
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
}

impl RowMap {
    /// Fills `start` and `order` from `index`, by counting; `rows` is the size
    /// of the space that the map goes to. Does not allocate within capacity.
    pub fn invert(&mut self, rows: usize) {
        self.start.clear();
        self.start.resize(rows + 1, 0);
        for &to in &self.index {
            self.start[to as usize + 1] += 1;
        }
        for r in 0..rows {
            self.start[r + 1] += self.start[r];
        }
        self.order.clear();
        self.order.resize(self.index.len(), 0);
        for (from, &to) in self.index.iter().enumerate() {
            let slot = &mut self.start[to as usize];
            self.order[*slot as usize] = from as u32;
            *slot += 1;
        }
        // Filling moved every start to its segment's end, which is the next one's start.
        for r in (0..rows).rev() {
            self.start[r + 1] = self.start[r];
        }
        self.start[0] = 0;
    }

    /// Rows that name `to`, ascending.
    pub fn segment(&self, to: usize) -> &[u32] {
        &self.order[self.start[to] as usize..self.start[to + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_list_each_row_under_the_one_it_names() {
        let mut map = RowMap { index: vec![2, 0, 2, 3, 0], ..RowMap::default() };
        map.invert(5);
        let segments: Vec<&[u32]> = (0..5).map(|r| map.segment(r)).collect();
        assert_eq!(segments, [&[1, 4][..], &[], &[0, 2], &[3], &[]]);
    }
}
