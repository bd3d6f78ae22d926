//! The inner kernel on x86 processors with AVX-512: a tile of [`ROWS`] by
//! [`COLUMNS`] values held in 28 of the 32 vector registers.

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_ps, _mm512_setzero_ps,
};

/// Rows of a tile.
pub const ROWS: usize = 14;
/// Columns of a tile: two vectors.
pub const COLUMNS: usize = 32;

const LANES: usize = 16;

/// Whether this processor has what [`tile`] needs.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Where the left factor of a tile lies: value (i, p) at `at + i * row + p * step`.
#[derive(Clone, Copy)]
pub struct Left {
    pub at: *const f32,
    pub row: usize,
    pub step: usize,
}

/// `c[i, j] (+)= sum over p of a[i, p] b[p, j]`, from the first `p` to the last, for the first `rows`
/// by `columns` values of the tile; added to what `c` holds where `accumulate`.
///
/// `b` holds `k` runs of [`COLUMNS`] values. Every value is one chain of fused
/// multiply-adds, so it does not depend on where in a tile it stands.
///
/// # Safety
/// The processor must be [`available`]. `a` must be readable at every row
/// below `ROWS` and step below `k`, `b` for `k * COLUMNS` values; `c` must be writable at the first
/// `columns` values of `rows` rows, `c_row` apart, and nobody else may use them.
#[target_feature(enable = "avx512f")]
#[expect(clippy::too_many_arguments, reason = "an inner kernel: its operands in registers")]
pub unsafe fn tile(
    k: usize,
    a: Left,
    b: *const f32,
    c: *mut f32,
    c_row: usize,
    rows: usize,
    columns: usize,
    accumulate: bool,
) {
    let sums = match (a.row, a.step) {
        // SAFETY: as the caller promises, in each of these.
        (1, ROWS) => unsafe { products::<true>(k, a, b) },
        _ => unsafe { products::<false>(k, a, b) },
    };
    let mask = |first: usize| (((1u32 << columns.saturating_sub(first).min(LANES)) - 1) & 0xFFFF) as u16;
    let masks = [mask(0), mask(LANES)];
    for (i, sums) in sums.into_iter().enumerate() {
        if i == rows {
            break;
        }
        for (j, (sum, mask)) in sums.into_iter().zip(masks).enumerate() {
            // SAFETY: row `i` is one of `rows`, and the mask holds the columns below `columns`.
            unsafe {
                let to = c.add(i * c_row).wrapping_add(j * LANES);
                let sum = if accumulate { _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum) } else { sum };
                _mm512_mask_storeu_ps(to, mask, sum);
            }
        }
    }
}

/// The sums of a whole tile. `PACKED`: `a` is `k` runs of [`ROWS`] values.
///
/// # Safety
/// As for [`tile`].
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn products<const PACKED: bool>(k: usize, a: Left, mut b: *const f32) -> [[__m512; 2]; ROWS] {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let mut at = a.at;
    // Rows in threes hang on five addresses, which the registers hold beside the loop's own.
    let threes: [*const f32; 5] = std::array::from_fn(|g| at.wrapping_add(3 * g * a.row));
    let mut p = 0;
    for _ in 0..k {
        // SAFETY: the caller promises `k` runs of `b` and every row and step of `a`.
        unsafe {
            let right = [_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(LANES))];
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = if PACKED { *at.add(i) } else { *threes[i / 3].add(i % 3 * a.row + p) };
                let left = _mm512_set1_ps(left);
                sums[0] = _mm512_fmadd_ps(left, right[0], sums[0]);
                sums[1] = _mm512_fmadd_ps(left, right[1], sums[1]);
            }
            b = b.add(COLUMNS);
        }
        if PACKED {
            at = at.wrapping_add(ROWS);
        } else {
            p += a.step;
        }
    }
    sums
}
