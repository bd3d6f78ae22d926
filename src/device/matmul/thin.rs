//! Products with a side of one, which read their operands once: nothing is packed.

use super::MatRef;
use crate::device::Element;
use crate::device::sweep::{sweep_columns, sweep_costly_rows, sweep_rows};

/// Partial sums of a dot product.
const PARTS: usize = 64;

/// Sum of products of two runs of the same length, in an order that depends on it alone.
#[inline(always)]
fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    let mut parts = [T::zero(); PARTS];
    let (left, right) = (a.chunks_exact(PARTS), b.chunks_exact(PARTS));
    let rest = left.remainder().iter().zip(right.remainder());
    for (a, b) in left.zip(right) {
        for ((part, &a), &b) in parts.iter_mut().zip(a).zip(b) {
            *part += a * b;
        }
    }
    parts.iter_mut().zip(rest).for_each(|(part, (&a, &b))| *part += a * b);
    let mut half = PARTS / 2;
    while half > 0 {
        let (low, high) = parts[..2 * half].split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(l, h)| *l += *h);
        half /= 2;
    }
    parts[0]
}

#[inline(always)]
fn put<T: Element>(to: &mut T, value: T, accumulate: bool) {
    *to = if accumulate { *to + value } else { value };
}

/// Does the product if one of its sides is one and its operands lie in runs; says whether it did.
pub fn multiply<T: Element>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>, accumulate: bool) -> bool {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if n == 1 && a.column_stride == 1 && (b.row_stride == 1 || k == 1) && k > 0 {
        sweep_costly_rows(
            &mut c[..m],
            1,
            k,
            #[inline(always)]
            |first, block| {
                for (row, to) in (first..).zip(block) {
                    put(to, dot(&a.data[row * a.row_stride..][..k], &b.data[..k]), accumulate);
                }
            },
        );
    } else if m == 1 && b.column_stride == 1 && k > 0 {
        sweep_columns(
            &mut c[..n],
            n,
            k * n,
            #[inline(always)]
            |_, first, part| {
                if !accumulate {
                    part.fill(T::zero());
                }
                for step in 0..k {
                    let factor = a.data[step * a.column_stride];
                    let from = &b.data[step * b.row_stride + first..];
                    part.iter_mut().zip(from).for_each(|(sum, &x)| *sum += factor * x);
                }
            },
        );
    } else if k == 1 && b.column_stride == 1 {
        sweep_rows(
            &mut c[..m * n],
            n,
            #[inline(always)]
            |first, block| {
                for (row, to) in (first..).zip(block.chunks_exact_mut(n)) {
                    let factor = a.data[row * a.row_stride];
                    to.iter_mut().zip(b.data).for_each(|(to, &x)| put(to, factor * x, accumulate));
                }
            },
        );
    } else {
        return false;
    }
    true
}
