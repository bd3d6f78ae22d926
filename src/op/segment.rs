use super::{InputGradient, RowMap};
use crate::device::{Element, sweep_rows};

/// Sums rows along a map: each row of `to` becomes the sum of the rows of
/// `from`, `[rows, columns]`, that name it, first to last; rows that nothing
/// names become zero. The order of every sum is that of the batch, so it
/// depends on no thread.
pub fn segment_sums<T: Element>(to: &mut InputGradient<'_, T>, from: &[T], map: &RowMap, columns: usize) {
    let accumulate = to.accumulate;
    sweep_rows(
        to.data,
        columns,
        #[inline(always)]
        |first, block| {
            for (r, sum) in block.chunks_exact_mut(columns).enumerate() {
                if !accumulate {
                    sum.fill(T::zero());
                }
                for &row in map.segment(first + r) {
                    let row = &from[row as usize * columns..][..columns];
                    sum.iter_mut().zip(row).for_each(|(s, &v)| *s += v);
                }
            }
        },
    );
}
