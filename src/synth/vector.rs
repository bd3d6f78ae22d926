//! Functions of many values at a time: without branches, calls or fused multiply-adds, so that
//! the compiler can turn loops over them into vector instructions, of any width and with the same
//! results. Polynomials of `ln`, `sin` and `cos` are those of Moshier's Cephes library, that of `tanh`
//! is Eigen's.

use pulp::{Arch, Simd, WithSimd};

/// A loop over such functions. (Not a closure: the compiler does not have to inline one where its
/// instructions are chosen, and does not.)
pub(super) trait Loop {
    fn run(self);
}

/// Runs `work` compiled for the widest vector instructions of this machine; its `run` has to be
/// `#[inline(always)]`, and all that it calls.
#[inline(always)]
pub(super) fn run(work: impl Loop) {
    Arch::new().dispatch(Inlined(work));
}

struct Inlined<L>(L);

impl<L: Loop> WithSimd for Inlined<L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.run();
    }
}

/// Natural logarithm of a normal, positive number, to 2 units in the last place.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let exponent = (x.to_bits().wrapping_sub(SQRT_HALF) as i32) >> 23;
    let mantissa = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23) as u32));
    let (e, f) = (exponent as f32, mantissa - 1.0);
    let z = f * f;
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * f + c;
    }
    let low = p * f * z - 2.121_944_4e-4 * e - 0.5 * z;
    f + low + 0.693_359_4 * e
}

/// Sine and cosine of `u` turns, `u` in [0, 1), to 1e-7.
#[inline(always)]
pub(super) fn sin_cos_of_turns(u: f32) -> (f32, f32) {
    let quarter = (4.0 * u + 0.5) as i32;
    let x = (u - 0.25 * quarter as f32) * std::f32::consts::TAU;
    let z = x * x;
    let sin = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * x + x;
    let cos = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
    let (s, c) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let flip_sin = ((quarter & 2) << 30) as u32;
    let flip_cos = (((quarter + 1) & 2) << 30) as u32;
    (f32::from_bits(s.to_bits() ^ flip_sin), f32::from_bits(c.to_bits() ^ flip_cos))
}

/// Hyperbolic tangent, to 5e-7.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Beyond, it is 1 to the last place. (Not `clamp`, whose care for NaN costs instructions.)
    const END: f32 = 7.998_811_7;
    let x = if x > END { END } else { x };
    let x = if x < -END { -END } else { x };
    let z = x * x;
    let mut p = -2.760_768_5e-16;
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = p * z + c;
    }
    let q = ((1.198_258_4e-6 * z + 1.185_347_1e-4) * z + 2.268_434_6e-3) * z + 4.893_525e-3;
    x * p / q
}

/// The nearest whole number, ties to even, of a number below 2^22.
#[inline(always)]
pub(super) fn round(x: f32) -> f32 {
    const LARGE: f32 = 12_582_912.0;
    (x + LARGE) - LARGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_standard_library() {
        for word in (0..1 << 24).step_by(97) {
            let u = word as f32 / (1 << 24) as f32;
            let open = u + 0.5 / (1 << 24) as f32;
            let exact = f64::from(open).ln();
            assert!((f64::from(ln(open)) - exact).abs() <= 2.5e-7 * exact.abs().max(1e-3), "ln {open}");
            let (sin, cos) = sin_cos_of_turns(u);
            let angle = std::f64::consts::TAU * f64::from(u);
            assert!((f64::from(sin) - angle.sin()).abs() < 1.5e-7, "sin of {u} turns");
            assert!((f64::from(cos) - angle.cos()).abs() < 1.5e-7, "cos of {u} turns");
            let x = (u - 0.5) * 24.0;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 5e-7, "tanh {x}");
            assert_eq!(round(x * 64.0), (x * 64.0).round_ties_even());
        }
    }
}
