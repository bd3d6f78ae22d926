//! Matrix products. `thin` has those with a side of one; `blocked` those of f32 on
//! processors with AVX-512, on tiles that `avx512` computes from what `pack` laid out;
//! `library`, the gemm crate, all others.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod blocked;
mod library;
#[cfg(target_arch = "x86_64")]
mod pack;
mod thin;

use super::{Element, sweep_rows};
use std::any::TypeId;

/// A row-major matrix, or the transpose of one, that a product reads.
#[derive(Clone, Copy)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Element> MatRef<'a, T> {
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

    /// The same matrix, if its values are of single precision.
    #[cfg(target_arch = "x86_64")]
    fn single(self) -> Option<MatRef<'a, f32>> {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        (TypeId::of::<T>() == TypeId::of::<f32>()).then(|| {
            let data = bytemuck::cast_slice(data);
            MatRef { data, rows, columns, row_stride, column_stride }
        })
    }
}

/// `c = a b`, or `c += a b` when `accumulate`; `c` is row-major `[a.rows, b.columns]`.
///
/// Runs on the current rayon pool when the product is large enough to pay for
/// it. Each element is summed over the inner dimension in an order that does not depend on the number
/// of threads. In single precision with AVX-512 it depends on that dimension's
/// length alone; else, by the gemm crate, on all shapes and on the processor's caches.
/// Panics if the shapes do not fit.
pub fn matmul<T: Element>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>, accumulate: bool) {
    multiply(c, a, b, accumulate, None::<fn(usize, &mut [T])>);
}

/// `c = a b`, then `finish(first_column, part)` on parts of rows that together
/// cover `c`, each while it is in the nearest cache.
pub fn matmul_then<T: Element>(
    c: &mut [T],
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    finish: impl Fn(usize, &mut [T]) + Sync,
) {
    multiply(c, a, b, false, Some(finish));
}

/// [`matmul`] by the gemm crate, whatever the processor: what floors are measured by.
pub fn matmul_by_library<T: Element>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>, accumulate: bool) {
    let length = a.rows.checked_mul(b.columns).filter(|&n| n <= c.len());
    assert!(length.is_some() && a.columns == b.rows, "shapes of a matrix product");
    library::multiply(&mut c[..length.unwrap_or(0)], a, b, accumulate);
}

fn multiply<T: Element>(
    c: &mut [T],
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    accumulate: bool,
    finish: Option<impl Fn(usize, &mut [T]) + Sync>,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions of a matrix product");
    assert!(m.checked_mul(n).is_some_and(|mn| mn <= c.len()), "{} values for a {m} x {n} product", c.len());
    if m == 0 || n == 0 {
        return;
    }
    let c = &mut c[..m * n];
    if k == 0 {
        c.iter_mut().filter(|_| !accumulate).for_each(|c| *c = T::zero());
    } else if !thin::multiply(c, a, b, accumulate) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(a), Some(b)) = (a.single(), b.single())
            && avx512::available()
        {
            let finish = finish.as_ref();
            let finish = finish.map(|f| {
                #[inline(always)]
                |first: usize, part: &mut [f32]| f(first, bytemuck::cast_slice_mut(part))
            });
            blocked::multiply(bytemuck::cast_slice_mut(c), a, b, accumulate, finish);
            return;
        }
        library::multiply(c, a, b, accumulate);
    }
    if let Some(finish) = finish {
        sweep_rows(
            c,
            n,
            #[inline(always)]
            |_, block| block.chunks_exact_mut(n).for_each(|row| finish(0, row)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values<T: Element>(n: usize, salt: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 37 + salt) % 101) as f64 - 50.0)).collect()
    }

    fn reference<T: Element>(a: MatRef<T>, b: MatRef<T>) -> Vec<f64> {
        let at = |m: &MatRef<T>, r: usize, c: usize| m.data[r * m.row_stride + c * m.column_stride].wide();
        (0..a.rows)
            .flat_map(|r| (0..b.columns).map(move |c| (r, c)))
            .map(|(r, c)| (0..a.columns).map(|k| at(&a, r, k) * at(&b, k, c)).sum())
            .collect()
    }

    fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// Whole numbers below 2^24 have exact products and sums, whatever the order.
    fn check<T: Element>([m, n, k]: [usize; 3], turned: [bool; 2], accumulate: bool) {
        let (left, right): (Vec<T>, Vec<T>) = (values(m * k, 11), values(k * n, 5));
        let a = if turned[0] { MatRef::new(&left, k, m).t() } else { MatRef::new(&left, m, k) };
        let b = if turned[1] { MatRef::new(&right, n, k).t() } else { MatRef::new(&right, k, n) };
        // Values behind the product's own must stay as they are.
        let mut c = vec![T::one(); m * n + 3];
        matmul(&mut c, a, b, accumulate);
        let expected = reference(a, b).into_iter().map(|v| v + if accumulate { 1.0 } else { 0.0 });
        let expected: Vec<f64> = expected.chain([1.0; 3]).collect();
        assert_eq!(c.iter().map(|v| v.wide()).collect::<Vec<_>>(), expected, "{m} x {n} x {k} {turned:?}");
        if !accumulate {
            let doubled: Vec<f64> =
                expected[..m * n].iter().enumerate().map(|(i, v)| 2.0 * v + (i % n) as f64).collect();
            matmul_then(&mut c[..m * n], a, b, |first, part| {
                (first..).zip(part).for_each(|(column, v)| *v = *v + *v + T::of(column as f64));
            });
            assert_eq!(c[..m * n].iter().map(|v| v.wide()).collect::<Vec<_>>(), doubled);
        }
    }

    proptest! {
        #[test]
        fn products_match_three_loops(
            shape in [1usize..40, 1usize..80, 1usize..70],
            turned: [bool; 2],
            accumulate: bool,
        ) {
            check::<f32>(shape, turned, accumulate);
            check::<f64>(shape, turned, accumulate);
        }
    }

    #[test]
    fn products_of_several_blocks_match_three_loops() {
        for shape in [[150, 70, 600], [29, 33, 2300], [64, 512, 512], [1, 90, 300], [90, 1, 300], [90, 50, 1]]
        {
            for turned in [[false, false], [false, true], [true, false], [true, true]] {
                in_pool(3, || check::<f32>(shape, turned, false));
                check::<f32>(shape, turned, true);
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_value_has_the_same_bits_for_any_pool_and_any_other_rows_and_columns() {
        if !avx512::available() {
            eprintln!("skipped: this processor has no AVX-512");
            return;
        }
        let (k, most) = (700, 190);
        let noise = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 7919 % 10_007) as f32).sin()).collect() };
        let (left, right) = (noise(most * k), noise(k * most));
        let product = |m: usize, n: usize, threads| {
            let mut c = vec![f32::NAN; m * n];
            in_pool(threads, || {
                matmul(&mut c, MatRef::new(&left, m, k), MatRef::new(&right, n, k).t(), false)
            });
            c
        };
        let whole = product(most, most, 1);
        assert_eq!(whole, product(most, most, 3));
        for (m, n) in [(2, 2), (13, 190), (190, 31), (150, 33)] {
            let part = product(m, n, 2);
            assert!((0..m * n).all(|i| part[i] == whole[i / n * most + i % n]), "{m} x {n}");
        }
    }

    #[test]
    fn a_product_over_nothing_is_zero() {
        let mut c = vec![f32::NAN; 6];
        matmul(&mut c, MatRef::new(&[], 2, 0), MatRef::new(&[], 0, 3), false);
        assert_eq!(c, [0.0; 6]);
    }
}
