use super::Segments;
use crate::device::{Element, sweep_costly_rows};

/// Columns whose sums stay in registers.
const STRIP: usize = 64;

/// Sums rows by lists: each row of `to`, `[lists, columns]`, becomes the sum of
/// the rows of `from`, `[rows, columns]`, that its list names, first to last,
/// or has it added where `accumulate`. The order of every sum is that of the
/// list, so it depends on no thread.
pub fn sum_segments<T: Element>(
    to: &mut [T],
    accumulate: bool,
    segments: &Segments,
    from: &[T],
    columns: usize,
) {
    let lists = segments.start.len() - 1;
    let cost = columns * (1 + segments.order.len() / lists.max(1));
    sweep_costly_rows(
        to,
        columns,
        cost,
        #[inline(always)]
        |first, block| {
            for strip in (0..columns).step_by(STRIP) {
                let width = STRIP.min(columns - strip);
                for (list, row) in (first..).zip(block.chunks_exact_mut(columns)) {
                    let into = &mut row[strip..strip + width];
                    let list = segments.of(list);
                    if width == STRIP {
                        sum_rows::<T, STRIP>(into, accumulate, list, from, columns, strip);
                    } else {
                        into.iter_mut().filter(|_| !accumulate).for_each(|sum| *sum = T::zero());
                        for &row in list {
                            let values = &from[row as usize * columns + strip..][..width];
                            into.iter_mut().zip(values).for_each(|(sum, &v)| *sum += v);
                        }
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn sum_rows<T: Element, const WIDTH: usize>(
    into: &mut [T],
    accumulate: bool,
    list: &[u32],
    from: &[T],
    columns: usize,
    first: usize,
) {
    let mut sums = [T::zero(); WIDTH];
    if accumulate {
        sums.copy_from_slice(into);
    }
    for &row in list {
        let values = &from[row as usize * columns + first..][..WIDTH];
        for i in 0..WIDTH {
            sums[i] += values[i];
        }
    }
    into.copy_from_slice(&sums);
}
