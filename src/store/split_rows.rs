//! The rules that the rows of a split obey, in a store and on their way in.

use super::SplitRows;

impl SplitRows {
    /// The parts with their names, in the order of use.
    pub fn parts(&self) -> [(&'static str, &[u32]); 3] {
        [("train", &self.train), ("val", &self.val), ("test", &self.test)]
    }

    /// Checks that every row is below `pairs`, that none occurs twice in the
    /// split, and that no part is empty. The error names part and position.
    pub fn check(&self, pairs: usize) -> Result<(), String> {
        let mut taken = vec![0u8; pairs];
        for (code, (part, rows)) in (1u8..).zip(self.parts()) {
            if rows.is_empty() {
                return Err(format!("part {part} is empty"));
            }
            for (position, &row) in rows.iter().enumerate() {
                let Some(mark) = taken.get_mut(row as usize) else {
                    return Err(format!(
                        "part {part}, position {position}: row {row} is out of range, the dataset has {pairs} pairs"
                    ));
                };
                if *mark != 0 {
                    let other = ["train", "val", "test"][usize::from(*mark) - 1];
                    return Err(format!(
                        "part {part}, position {position}: row {row} is already in part {other}"
                    ));
                }
                *mark = code;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_in_one_part_once() {
        let rows = |test: &[u32]| SplitRows { train: vec![0, 1], val: vec![2], test: test.to_vec() };
        assert_eq!(rows(&[3]).check(4), Ok(()));
        assert!(rows(&[1]).check(4).unwrap_err().contains("row 1 is already in part train"));
        assert!(rows(&[4]).check(4).unwrap_err().contains("out of range"));
        assert!(rows(&[]).check(4).unwrap_err().contains("empty"));
    }
}
