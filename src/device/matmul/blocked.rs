use super::MatRef;
use super::avx512::{COLUMNS, Left, ROWS, tile};
use super::pack::pack;
use crate::device::sweep::vectorised;
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Most steps of the inner dimension that a tile takes at once. Fewer would fit nearer caches, but the
/// factors stream through them in order, while every tile of `c` is read and written again each time.
const DEPTH: usize = 1024;
/// Rows of tiles that one task takes, so that its part of the left factor stays in the second cache.
const PANELS: usize = 10;
/// Most values of the right factor that are packed at a time, to be read again before they leave the caches.
const PACKED: usize = 1 << 19;
/// Multiply-adds below which a product stays on one thread: waking another costs more.
const SEQUENTIAL: usize = 1 << 20;

/// A cache line, to which packed values are aligned.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// Where a thread packs; it grows to the largest product that the thread has asked for.
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// `c = a b`, or `c += a b`, then `finish` as [`super::matmul_then`] has it. The
/// shapes are known to fit and none is zero; the processor has AVX-512.
///
/// Goto and van de Geijn's way (2008): both factors are packed into panels as
/// wide as a tile, the inner dimension is cut into blocks, and tiles of `c` are
/// summed a block at a time. The cut depends on the inner dimension alone, and
/// each value of `c` is one thread's, so the bits depend on nothing else. A row-major
/// left factor is read where it lies.
pub fn multiply(
    c: &mut [f32],
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
    finish: Option<impl Fn(usize, &mut [f32]) + Sync>,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(c.len() == m * n && k == b.rows, "shapes of a matrix product");
    let threads = if m * n * k < SEQUENTIAL { 1 } else { rayon::current_num_threads() };
    let panels = [m.div_ceil(ROWS), n.div_ceil(COLUMNS)];
    // Rows that fall on the same lines of a cache would drive each other out.
    let in_place = a.column_stride == 1 && !a.row_stride.is_multiple_of(512);
    let left_panels = if in_place { usize::from(m % ROWS > 0) } else { panels[0] };
    let blocks = k.div_ceil(DEPTH);
    let most = k.div_ceil(blocks);
    let right_panels = (PACKED / (most * COLUMNS)).clamp(1, panels[1]);
    // A product inside another's task finds no scratch here and makes its own.
    let mut scratch = SCRATCH.with(|s| std::mem::take(&mut *s.borrow_mut()));
    let needed = (most * (left_panels * ROWS + right_panels * COLUMNS)).div_ceil(16);
    if scratch.len() < needed {
        scratch.resize(needed, Line([0.0; 16]));
    }
    let target = Target(c.as_mut_ptr());
    for block in 0..blocks {
        let steps = k * block / blocks..k * (block + 1) / blocks;
        let depth = steps.len();
        let packed: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch);
        // The right factor comes first: its panels then begin at cache lines, which vectors are loaded from.
        let (right, left) = packed.split_at_mut(depth * right_panels * COLUMNS);
        each_panel(threads, &mut left[..depth * left_panels * ROWS], ROWS * depth, |i, panel| {
            let i = i + panels[0] - left_panels;
            pack::<ROWS>(panel, a, i * ROWS..m.min((i + 1) * ROWS), steps.clone());
        });
        for first in (0..panels[1]).step_by(right_panels) {
            let last = panels[1].min(first + right_panels);
            let right = &mut right[..(last - first) * COLUMNS * depth];
            each_panel(threads, right, COLUMNS * depth, |j, panel| {
                let j = first + j;
                pack::<COLUMNS>(panel, b.t(), j * COLUMNS..n.min((j + 1) * COLUMNS), steps.clone());
            });
            let (left, right) = (&*left, &*right);
            let work = |rows: Range<usize>, columns: Range<usize>| {
                for j in columns {
                    let right = &right[j * COLUMNS * depth..][..COLUMNS * depth];
                    for i in rows.clone() {
                        let left = match (i + left_panels).checked_sub(panels[0]) {
                            Some(packed) => {
                                let at = left[packed * ROWS * depth..][..ROWS * depth].as_ptr();
                                Left { at, row: 1, step: ROWS }
                            }
                            None => {
                                let from = &a.data[i * ROWS * a.row_stride + steps.start..];
                                let at = from[..(ROWS - 1) * a.row_stride + depth].as_ptr();
                                Left { at, row: a.row_stride, step: 1 }
                            }
                        };
                        let (row, column) = (i * ROWS, (first + j) * COLUMNS);
                        let shape = [ROWS.min(m - row), COLUMNS.min(n - column)];
                        // SAFETY: the processor was asked for AVX-512 by the caller. Indexing has held the
                        // panels of both factors inside their slices, of `depth` steps each. The tile
                        // lies in the `m` by `n` values of `c`, and no other task has this row and column.
                        unsafe {
                            let to = target.at().add(row * n + column);
                            tile(depth, left, right.as_ptr(), to, n, shape, accumulate || block > 0);
                            if let Some(finish) = finish.as_ref().filter(|_| block + 1 == blocks) {
                                vectorised(
                                    #[inline(always)]
                                    || {
                                        for i in 0..shape[0] {
                                            finish(
                                                column,
                                                std::slice::from_raw_parts_mut(to.add(i * n), shape[1]),
                                            );
                                        }
                                    },
                                );
                            }
                        }
                    }
                }
            };
            if threads == 1 {
                work(0..panels[0], 0..last - first);
                continue;
            }
            let [down, across] = cut([panels[0], last - first], threads);
            let part = |all: usize, count: usize, i: usize| all * i / count..all * (i + 1) / count;
            (0..down * across).into_par_iter().with_max_len(1).for_each(|task| {
                work(part(panels[0], down, task / across), part(last - first, across, task % across));
            });
        }
    }
    SCRATCH.with(|s| *s.borrow_mut() = scratch);
}

/// Calls `pack(number, panel)` on every panel of `length` values.
fn each_panel(
    threads: usize,
    panels: &mut [f32],
    length: usize,
    pack: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    if threads == 1 {
        panels.chunks_exact_mut(length).enumerate().for_each(|(i, panel)| pack(i, panel));
    } else {
        panels.par_chunks_exact_mut(length).enumerate().for_each(|(i, panel)| pack(i, panel));
    }
}

/// Into how many tasks rows and columns of tiles are cut: enough for all threads to end together.
fn cut(panels: [usize; 2], threads: usize) -> [usize; 2] {
    let rows = panels[0].div_ceil(PANELS).next_multiple_of(threads).min(panels[0]);
    let columns = (4 * threads).div_ceil(rows).min(panels[1]);
    [rows, columns]
}

/// `c`, shared by tasks that write different tiles of it.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: tasks write and read through it only in tiles that are theirs.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    fn at(&self) -> *mut f32 {
        self.0
    }
}
