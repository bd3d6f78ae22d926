//! The inner kernel on x86 processors with AVX-512: a tile of [`ROWS`] by
//! [`COLUMNS`] values held in 28 of the 32 vector registers.

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
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
pub unsafe fn tile(
    k: usize,
    a: Left,
    b: *const f32,
    c: *mut f32,
    c_row: usize,
    [rows, columns]: [usize; 2],
    accumulate: bool,
) {
    let sums = match (a.row, a.step) {
        // SAFETY: as the caller promises.
        (1, ROWS) => unsafe { products::<true>(k, a, b) },
        // SAFETY: as above.
        _ => unsafe { products::<false>(k, a, b) },
    };
    let mask = |first: usize| (((1u32 << columns.saturating_sub(first).min(LANES)) - 1) & 0xFFFF) as u16;
    let masks = [mask(0), mask(LANES)];
    let whole = rows == ROWS && columns == COLUMNS;
    for (i, sums) in sums.into_iter().enumerate() {
        if i == rows {
            break;
        }
        for (j, (sum, mask)) in sums.into_iter().zip(masks).enumerate() {
            let to = c.wrapping_add(i * c_row + j * LANES);
            // SAFETY: row `i` is one of `rows`; the whole tile is there, or the mask holds the columns that are.
            unsafe {
                match (whole, accumulate) {
                    (true, false) => _mm512_storeu_ps(to, sum),
                    (true, true) => _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), sum)),
                    (false, false) => _mm512_mask_storeu_ps(to, mask, sum),
                    (false, true) => {
                        let sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
                        _mm512_mask_storeu_ps(to, mask, sum);
                    }
                }
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
unsafe fn products<const PACKED: bool>(k: usize, a: Left, b: *const f32) -> [[__m512; 2]; ROWS] {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let (mut a0, mut b) = (a.at, b);
    // Rows in threes hang on five addresses, which the registers hold beside the loop's own.
    let (row, step) = if PACKED { (1, ROWS) } else { (a.row, a.step) };
    for _ in 0..k {
        let (a3, a6) = (a0.wrapping_add(3 * row), a0.wrapping_add(6 * row));
        let (a9, a12) = (a0.wrapping_add(9 * row), a0.wrapping_add(12 * row));
        // SAFETY: the caller promises `k` runs of `b` and every row and step of `a`.
        unsafe {
            let right = [_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(LANES))];
            // Written out: as a loop, the compiler keeps the sums in memory.
            macro_rules! rows {
                ($($i:literal: $at:ident, $rows:literal;)*) => {$(
                    let left = _mm512_set1_ps(*$at.wrapping_add($rows * row));
                    sums[$i][0] = _mm512_fmadd_ps(left, right[0], sums[$i][0]);
                    sums[$i][1] = _mm512_fmadd_ps(left, right[1], sums[$i][1]);
                )*};
            }
            rows! {
                0: a0, 0; 1: a0, 1; 2: a0, 2; 3: a3, 0; 4: a3, 1; 5: a3, 2; 6: a6, 0; 7: a6, 1;
                8: a6, 2; 9: a9, 0; 10: a9, 1; 11: a9, 2; 12: a12, 0; 13: a12, 1;
            }
        }
        a0 = a0.wrapping_add(step);
        b = b.wrapping_add(COLUMNS);
    }
    sums
}
