use crate::device::{MatRef, matmul};
use rayon::prelude::*;

/// Rows whose distances to all others are held at a time.
const BLOCK: usize = 128;

/// Squared Euclidean distances between the rows of a table, a block of rows at a time, so that
/// no table of all pairs is ever held: |a - b|^2 = |a|^2 + |b|^2 - 2 a b, in double precision and
/// about the mean row, which keeps what cancels small.
pub struct Distances {
    /// `[rows, columns]`, less the mean row.
    values: Vec<f64>,
    columns: usize,
    /// Squared length of each row.
    squares: Vec<f64>,
}

impl Distances {
    /// Of the rows `of` of `values`, `[_, columns]`.
    ///
    /// # Panics
    /// When there is no such row, or no column.
    pub fn new(values: &[f32], columns: usize, of: &[u32]) -> Self {
        assert!(columns > 0, "rows without columns");
        let row = |&row: &u32| values[row as usize * columns..][..columns].iter().map(|&v| f64::from(v));
        let mut values: Vec<f64> = of.iter().flat_map(row).collect();
        let mut mean = vec![0.0; columns];
        for row in values.chunks_exact(columns) {
            mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
        mean.iter_mut().for_each(|sum| *sum /= of.len().max(1) as f64);
        for row in values.chunks_exact_mut(columns) {
            row.iter_mut().zip(&mean).for_each(|(v, mean)| *v -= mean);
        }
        let squares = values.chunks_exact(columns).map(|row| row.iter().map(|v| v * v).sum()).collect();
        Self { values, columns, squares }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.squares.len()
    }

    /// What `each` makes of every row and its squared distances to all rows, in the order of rows.
    pub fn map<R: Send>(&self, each: impl Fn(usize, &mut [f64]) -> R + Sync) -> Vec<R> {
        let rows = self.rows();
        let all = MatRef::new(&self.values, rows, self.columns);
        let mut block = vec![0.0; BLOCK.min(rows) * rows];
        let mut results = Vec::with_capacity(rows);
        for first in (0..rows).step_by(BLOCK) {
            let count = BLOCK.min(rows - first);
            let block = &mut block[..count * rows];
            let own = MatRef::new(&self.values[first * self.columns..], count, self.columns);
            matmul(block, own, all.t(), false);
            let made = block.par_chunks_exact_mut(rows).zip(first..first + count).map(|(products, row)| {
                for (product, square) in products.iter_mut().zip(&self.squares) {
                    *product = (self.squares[row] + square - 2.0 * *product).max(0.0);
                }
                each(row, products)
            });
            results.par_extend(made);
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_together_are_the_distances_of_all_rows() {
        let values: Vec<f32> = (0..300 * 3).map(|i| ((i * 37) % 101) as f32 + 1000.0).collect();
        let of: Vec<u32> = (0..300).rev().collect();
        let distances = Distances::new(&values, 3, &of);
        let sums = distances.map(|row, to| (row, to.iter().sum::<f64>()));
        assert_eq!(sums.len(), 300);
        for (place, (row, sum)) in sums.into_iter().enumerate() {
            let at = |row: usize| &values[of[row] as usize * 3..][..3];
            let squared = |other: usize| {
                at(row).iter().zip(at(other)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            };
            let expected: f64 = (0..300).map(squared).sum();
            assert!(row == place && (sum - expected).abs() < 1e-6 * expected, "{row}: {sum} {expected}");
        }
    }
}
