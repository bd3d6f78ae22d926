use super::Element;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Values below which a loop stays on one thread: waking another costs more.
const SEQUENTIAL: usize = 1 << 14;

/// Runs `work`, once, compiled for the widest vector instructions of this machine.
/// The closure and all that it calls must be `#[inline(always)]`: what the
/// compiler does not inline here runs with the instructions that every machine has.
#[inline(always)]
pub fn vectorised<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Inlined(work))
}

/// A closure to be inlined where its instructions are chosen. (pulp takes closures itself, but as
/// `FnOnce`, by a shim that is not always inlined.)
struct Inlined<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Inlined<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Calls `work(first_row, block)` on blocks of whole rows that together cover
/// `data`, `[rows, columns]`, in parallel. Blocks are disjoint, so the result
/// cannot depend on the number of threads.
pub fn sweep_rows<T: Element>(data: &mut [T], columns: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    sweep_costly_rows(data, columns, columns, work);
}

/// [`sweep_rows`] where making a row of `data` reads and writes `cost` values.
pub fn sweep_costly_rows<T: Element>(
    data: &mut [T],
    columns: usize,
    cost: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if columns == 0 || data.is_empty() {
        return;
    }
    let rows = (SEQUENTIAL / cost.max(columns)).max(1);
    if data.len() <= rows * columns || rayon::current_num_threads() == 1 {
        vectorised(
            #[inline(always)]
            || work(0, data),
        );
        return;
    }
    data.par_chunks_mut(rows * columns).enumerate().for_each(|(block, data)| {
        vectorised(
            #[inline(always)]
            || work(block * rows, data),
        )
    });
}

/// Calls `work(row, first_column, part)` on every row of `data`, `[rows,
/// columns]`, whole or in runs of columns, in parallel where `values`, the
/// number of values read and written, is worth it. Rows may cost very
/// different amounts.
pub fn sweep_columns<T: Element>(
    data: &mut [T],
    columns: usize,
    values: usize,
    work: impl Fn(usize, usize, &mut [T]) + Sync,
) {
    const RUN: usize = 128;
    if columns == 0 || data.is_empty() {
        return;
    }
    if values <= SEQUENTIAL || rayon::current_num_threads() == 1 {
        vectorised(
            #[inline(always)]
            || data.chunks_exact_mut(columns).enumerate().for_each(|(row, all)| work(row, 0, all)),
        );
        return;
    }
    data.par_chunks_exact_mut(columns).enumerate().for_each(|(row, all)| {
        all.par_chunks_mut(RUN).enumerate().for_each(|(run, part)| {
            vectorised(
                #[inline(always)]
                || work(row, run * RUN, part),
            )
        });
    });
}

/// `sums[c] = ` sum over rows of `data[r, c]`, each column from the first row
/// to the last, whatever the number of threads.
pub fn column_sums<T: Element>(sums: &mut [T], data: &[T]) {
    const BLOCK: usize = 64;
    let columns = sums.len();
    let block = |(index, sums): (usize, &mut [T])| {
        vectorised(
            #[inline(always)]
            || {
                sums.fill(T::zero());
                for row in data.chunks_exact(columns) {
                    for (sum, &value) in sums.iter_mut().zip(&row[index * BLOCK..]) {
                        *sum += value;
                    }
                }
            },
        )
    };
    if data.len() <= SEQUENTIAL || rayon::current_num_threads() == 1 {
        sums.chunks_mut(BLOCK).enumerate().for_each(block);
    } else {
        sums.par_chunks_mut(BLOCK).enumerate().for_each(block);
    }
}

/// Sum in f64, in order.
pub fn sum<T: Element>(values: &[T]) -> f64 {
    values.iter().map(|v| v.wide()).sum()
}

/// Whether every value is a finite number. On one thread.
pub fn all_finite(values: &[f32]) -> bool {
    const LANES: usize = 64;
    let magnitude = |value: &f32| value.to_bits() & !(1 << 31);
    vectorised(
        #[inline(always)]
        || {
            let mut most = [0u32; LANES];
            let (blocks, rest) = values.as_chunks::<LANES>();
            for block in blocks {
                for (most, value) in most.iter_mut().zip(block) {
                    *most = (*most).max(magnitude(value));
                }
            }
            most.into_iter().chain(rest.iter().map(magnitude)).all(|m| m < f32::INFINITY.to_bits())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_is_found_wherever_it_is() {
        for length in [0, 1, 63, 64, 200] {
            let mut values = vec![-f32::MAX; length];
            assert!(all_finite(&values));
            for at in 0..length {
                for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    values[at] = bad;
                    assert!(!all_finite(&values), "{bad} at {at} of {length}");
                }
                values[at] = 0.0;
            }
        }
    }

    #[test]
    fn every_row_is_swept_once_for_any_pool() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let columns = 33;
            let mut data = vec![0.0f32; 5000 * columns];
            pool.install(|| {
                sweep_rows(&mut data, columns, |first, block| {
                    for (r, row) in block.chunks_mut(columns).enumerate() {
                        row.iter_mut().for_each(|v| *v += (first + r) as f32);
                    }
                })
            });
            assert!(data.chunks(columns).enumerate().all(|(r, row)| row.iter().all(|&v| v == r as f32)));
        }
    }

    #[test]
    fn every_value_is_swept_once_by_columns_for_any_pool() {
        for (threads, columns) in [(1, 300), (3, 300), (3, 5)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut data = vec![0.0f64; 40 * columns];
            pool.install(|| {
                sweep_columns(&mut data, columns, usize::MAX, |row, first, part| {
                    part.iter_mut().zip(first..).for_each(|(v, c)| *v += (row * columns + c) as f64);
                })
            });
            assert!(data.iter().enumerate().all(|(i, &v)| v == i as f64));
        }
    }

    #[test]
    fn column_sums_have_the_same_bits_for_any_pool() {
        let columns = 200;
        let data: Vec<f32> = (0..1000 * columns).map(|i| ((i % 977) as f32).sin()).collect();
        let sums = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut sums = vec![f32::NAN; columns];
            pool.install(|| column_sums(&mut sums, &data));
            sums
        };
        let one = sums(1);
        assert_eq!(one, sums(3));
        let expected: f32 = data.chunks(columns).map(|row| row[150]).sum();
        assert_eq!(one[150], expected);
    }
}
