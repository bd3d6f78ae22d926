use super::{InputGradient, RowMap};
use crate::device::{Element, sweep_columns};

/// Sums rows along a map: each row of `to` becomes the sum of the rows of
/// `from`, `[rows, columns]`, that name it, first to last; rows that nothing
/// names become zero. The order of every sum is that of the batch, so it
/// depends on no thread.
pub fn segment_sums<T: Element>(to: &mut InputGradient<'_, T>, from: &[T], map: &RowMap, columns: usize) {
    let accumulate = to.accumulate;
    let work = from.len() + to.data.len();
    sweep_columns(
        to.data,
        columns,
        work,
        #[inline(always)]
        |row, first, sum| {
            if !accumulate {
                sum.fill(T::zero());
            }
            for &named_by in map.segment(row) {
                let values = &from[named_by as usize * columns + first..];
                sum.iter_mut().zip(values).for_each(|(s, &v)| *s += v);
            }
        },
    );
}
