use crate::device::cuda::{Address, CudaMatrix, CudaProduct, Storage};

/// A product in the words of BLAS, whose matrices are column-major: a row-major matrix, read by columns, is its
/// transpose, so `d = a b` is computed as `d^T = b^T a^T`, with no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnMajor {
    /// Rows of `d^T`, and numbers of the bias, which BLAS adds to each of its columns.
    pub m: usize,
    /// Columns of `d^T`.
    pub n: usize,
    /// Columns of the first factor.
    pub k: usize,
    /// `b^T`, `[m, k]`.
    pub first: Factor,
    /// `a^T`, `[k, n]`.
    pub second: Factor,
    /// `d^T`, `[m, n]`.
    pub result: Factor,
}

/// A column-major matrix as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// Where it is.
    pub at: Address,
    /// Rows as stored.
    pub rows: usize,
    /// Columns as stored.
    pub columns: usize,
    /// Numbers from one column to the next, BLAS's leading dimension.
    pub leading: usize,
    /// Whether its transpose is meant.
    pub transposed: bool,
    /// How it is stored.
    pub storage: Storage,
}

impl ColumnMajor {
    /// Of `product`. Panics if its factors do not fit.
    pub fn of(product: &CudaProduct) -> Self {
        let (m, n, k) = product.shape();
        let factor = |matrix: &CudaMatrix| Factor {
            at: matrix.at,
            rows: matrix.columns,
            columns: matrix.rows,
            leading: matrix.stride,
            transposed: matrix.transposed,
            storage: matrix.storage,
        };
        let [first, second, result] = [&product.b, &product.a, &product.d].map(factor);
        Self { m: n, n: m, k, first, second, result }
    }
}

impl Factor {
    /// The largest power of two, up to 256, that its address is a multiple of.
    pub fn alignment(&self) -> u32 {
        alignment(self.at)
    }
}

/// The largest power of two, up to 256, that `at` is a multiple of.
pub fn alignment(at: Address) -> u32 {
    1 << at.0.trailing_zeros().min(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::Precision;

    /// BLAS's own definition: columns are `leading` apart, and the operation is done on what is meant.
    fn gemm(product: &ColumnMajor, memory: &mut [f32]) {
        let at = |factor: &Factor, row: usize, column: usize| {
            let (row, column) = if factor.transposed { (column, row) } else { (row, column) };
            assert!(row < factor.rows && column < factor.columns && factor.rows <= factor.leading);
            factor.at.0 as usize + column * factor.leading + row
        };
        for column in 0..product.n {
            for row in 0..product.m {
                let terms = (0..product.k)
                    .map(|l| memory[at(&product.first, row, l)] * memory[at(&product.second, l, column)]);
                let sum = terms.sum();
                memory[at(&product.result, row, column)] = sum;
            }
        }
    }

    #[test]
    fn the_column_major_product_is_the_row_major_one() {
        let (m, n, k) = (5, 3, 4);
        for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false), (true, true)] {
            // Addresses are places in `memory` here; strides leave room behind rows.
            let matrix = |at, [rows, columns]: [usize; 2], stride, transposed| {
                let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
                CudaMatrix { at: Address(at), rows, columns, stride, storage: Storage::F32, transposed }
            };
            let product = CudaProduct {
                a: matrix(0, [m, k], 8, a_transposed),
                b: matrix(100, [k, n], 6, b_transposed),
                d: matrix(200, [m, n], 7, false),
                accumulate: false,
                bias: None,
                relu: false,
                precision: Precision::Fp32,
            };
            let mut memory: Vec<f32> = (0..300).map(|i| (i * 37 % 101) as f32).collect();
            let expected = memory.clone();
            let get = |matrix: &CudaMatrix, row: usize, column: usize| {
                let (row, column) = if matrix.transposed { (column, row) } else { (row, column) };
                expected[matrix.at.0 as usize + row * matrix.stride + column]
            };
            gemm(&ColumnMajor::of(&product), &mut memory);
            for row in 0..m {
                for column in 0..n {
                    let sum: f32 = (0..k).map(|l| get(&product.a, row, l) * get(&product.b, l, column)).sum();
                    assert_eq!(memory[200 + row * 7 + column], sum, "{product:?} at {row}, {column}");
                }
                assert_eq!(memory[200 + row * 7 + n], expected[200 + row * 7 + n], "room behind a row");
            }
        }
    }

    #[test]
    fn alignments_are_the_addresses_own() {
        let of = |at| alignment(Address(at));
        assert_eq!([of(1), of(2), of(48), of(64), of(256), of(4096), of(0)], [1, 2, 16, 64, 256, 256, 256]);
    }
}
