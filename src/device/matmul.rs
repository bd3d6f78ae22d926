use super::Element;
use gemm::Parallelism;

/// A row-major matrix, or the transpose of one, that a product reads.
#[derive(Clone, Copy)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// `data` as `[rows, columns]`, row after row. Panics if it is shorter.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        let fits = rows.checked_mul(columns).is_some_and(|n| n <= data.len());
        assert!(fits, "{} values for a {rows} x {columns} matrix", data.len());
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `c = a b`, or `c += a b` when `accumulate`; `c` is row-major `[a.rows, b.columns]`.
///
/// Runs on the current rayon pool when the product is large enough to pay for
/// it. Each element is summed over the inner dimension in an order that depends
/// on the shapes and on the processor's caches, not on the number of threads.
/// Panics if the shapes do not fit.
pub fn matmul<T: Element>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>, accumulate: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions of a matrix product");
    assert!(m.checked_mul(n).is_some_and(|mn| mn <= c.len()), "{} values for a {m} x {n} product", c.len());
    if m == 0 || n == 0 {
        return;
    }
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let stride = |s: usize| s as isize;
    // SAFETY: `MatRef::new` and the assertions above hold every index that the
    // strides can reach inside its slice; `c` is borrowed mutably, so it
    // overlaps neither input; `gemm` supports f32 and f64, the only `Element`s.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride(n),
            accumulate,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            T::one(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(a: MatRef<f64>, b: MatRef<f64>) -> Vec<f64> {
        let at = |m: &MatRef<f64>, r: usize, c: usize| m.data[r * m.row_stride + c * m.column_stride];
        (0..a.rows)
            .flat_map(|r| (0..b.columns).map(move |c| (r, c)))
            .map(|(r, c)| (0..a.columns).map(|k| at(&a, r, k) * at(&b, k, c)).sum())
            .collect()
    }

    #[test]
    fn products_of_plain_and_transposed_matrices_match_three_loops() {
        let values: Vec<f64> = (0..400).map(|i| ((i * 37 + 11) % 101) as f64 - 50.0).collect();
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (13, 2, 9), (8, 16, 1)] {
            let a = MatRef::new(&values, m, k);
            let bt = MatRef::new(&values[7..], n, k);
            let mut c = vec![1.0; m * n];
            matmul(&mut c, a, bt.t(), false);
            assert_eq!(c, reference(a, bt.t()));
            matmul(&mut c, a, bt.t(), true);
            let twice: Vec<f64> = reference(a, bt.t()).iter().map(|v| 2.0 * v).collect();
            assert_eq!(c, twice);
        }
    }

    #[test]
    fn a_product_over_nothing_is_zero() {
        let mut c = vec![f32::NAN; 6];
        matmul(&mut c, MatRef::new(&[], 2, 0), MatRef::new(&[], 0, 3), false);
        assert_eq!(c, [0.0; 6]);
    }
}
