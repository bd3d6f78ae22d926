use std::ops::Range;

/// A set of rows of a dataset, at one bit a pair.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// An empty set of rows of a dataset of this many pairs.
    pub fn new(pairs: usize) -> Self {
        Self { words: vec![0; pairs.div_ceil(64)], len: 0 }
    }

    /// Adds a row. Panics if it is beyond the dataset.
    #[inline]
    pub fn insert(&mut self, row: u32) {
        let (word, bit) = (&mut self.words[row as usize / 64], 1 << (row % 64));
        self.len += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Whether a row is in the set.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// Number of rows in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows at `places` of the set, ascending.
    pub fn at(&self, places: Range<usize>) -> Vec<u32> {
        let mut rows = Vec::with_capacity(places.len());
        let mut before = 0;
        for (first, &word) in (0u32..).step_by(64).zip(&self.words) {
            if before >= places.end {
                break;
            }
            let there = word.count_ones() as usize;
            if before + there > places.start {
                let skipped = places.start.saturating_sub(before);
                let wanted = bits(word).skip(skipped).take(places.end - before - skipped);
                rows.extend(wanted.map(|bit| first + bit));
            }
            before += there;
        }
        rows
    }

    /// All rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = (0u32..).step_by(64).zip(&self.words);
        words.flat_map(|(first, &word)| bits(word).map(move |bit| first + bit))
    }
}

/// Places of the bits that are set, ascending.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_list_of_its_rows(
            list in prop::collection::btree_set(0..700u32, 0..300),
            from in 0..320usize,
            to in 0..320usize,
        ) {
            let mut set = RowSet::new(700);
            list.iter().for_each(|&row| set.insert(row));
            let list: Vec<u32> = list.into_iter().collect();
            prop_assert_eq!(set.len(), list.len());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), list.clone());
            let (from, to) = (from.min(to).min(list.len()), from.max(to).min(list.len()));
            prop_assert_eq!(&set.at(from..to), &list[from..to]);
            prop_assert!((0..900).all(|row| set.contains(row) == list.contains(&row)));
        }
    }

    #[test]
    fn a_row_counts_once() {
        let mut set = RowSet::new(65);
        [64, 0, 64].into_iter().for_each(|row| set.insert(row));
        assert_eq!((set.len(), set.at(0..2)), (2, vec![0, 64]));
    }
}
