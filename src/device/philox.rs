//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
//! numbers: as easy as 1, 2, 3" (SC 2011). A draw is a pure function of a counter and a key, so what
//! is drawn depends on neither rank nor thread nor order.

use pulp::Simd;

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four 32-bit words at `counter` under `key`. Counters that differ in any bit give words that
/// pass for independent; 2^128 counters under each of 2^64 keys.
#[inline(always)]
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    let mut k = key;
    let mut round = 0;
    while round < 10 {
        let p0 = MULTIPLIER[0] as u64 * c[0] as u64;
        let p1 = MULTIPLIER[1] as u64 * c[2] as u64;
        c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
        round += 1;
    }
    c
}

/// Draws that [`philox4x32_10_x16`] makes at once.
pub const AT_ONCE: usize = 16;

/// [`philox4x32_10`] at sixteen counters at once, in the lanes of vector
/// registers. Word `w` of counter `i`, and of what is drawn there, stands at `[w][i]`.
#[inline(always)]
pub fn philox4x32_10_x16<S: Simd>(
    simd: S,
    mut words: [[u32; AT_ONCE]; 4],
    key: [u32; 2],
) -> [[u32; AT_ONCE]; 4] {
    let multiplier = MULTIPLIER.map(|m| simd.splat_u32s(m));
    for vector in 0..AT_ONCE / S::U32_LANES {
        let mut c = words.each_ref().map(|word| S::as_simd_u32s(word).0[vector]);
        let mut k = key;
        for _ in 0..10 {
            let (low0, high0) = simd.widening_mul_u32s(multiplier[0], c[0]);
            let (low1, high1) = simd.widening_mul_u32s(multiplier[1], c[2]);
            let [k0, k1] = k.map(|k| simd.splat_u32s(k));
            c = [
                simd.xor_u32s(simd.xor_u32s(high1, c[1]), k0),
                low1,
                simd.xor_u32s(simd.xor_u32s(high0, c[3]), k1),
                low0,
            ];
            k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
        }
        for (word, c) in words.iter_mut().zip(c) {
            S::as_mut_simd_u32s(word).0[vector] = c;
        }
    }
    words
}

/// The key made of a 64-bit seed, low word first.
#[inline(always)]
pub const fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// What random words are used for. Each use has counters of its own, so that one seed serves all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Which fold of a split an entity or a pair is in.
    Fold = 0,
    /// Starting values of parameters.
    Init = 1,
    /// Order of training pairs.
    Shuffle = 2,
    /// Which units drop.
    Dropout = 3,
    /// Which rows of a long table are drawn.
    Rows = 4,
    /// Made-up corpora; the fourth index says of what.
    MadeUp = 5,
}

impl Stream {
    /// The counter of three indices and a fourth below 2^24.
    #[inline(always)]
    pub const fn counter(self, a: u32, b: u32, c: u32, d: u32) -> [u32; 4] {
        [a, b, c, (self as u32) << 24 | (d & 0x00FF_FFFF)]
    }
}

/// Maps a word to one of the 2^24 evenly spaced values in [0, 1).
#[inline(always)]
pub const fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Maps four words to four standard normal values by the transform of Box and Muller (1958). Their
/// magnitude is at most 5.9, since the smallest uniform drawn is 2^-25.
#[inline]
pub fn normal(words: [u32; 4]) -> [f32; 4] {
    let (a, b) = box_muller(words[0], words[1]);
    let (c, d) = box_muller(words[2], words[3]);
    [a, b, c, d]
}

#[inline(always)]
fn box_muller(first: u32, second: u32) -> (f32, f32) {
    // The half step keeps the logarithm's argument above 0.
    let open = uniform(first) + 0.5 / (1 << 24) as f32;
    let radius = (-2.0 * open.ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * uniform(second)).sin_cos();
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers from `kat_vectors` of the authors' Random123 library.
    #[test]
    fn known_answers_of_random123() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            philox4x32_10([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn sixteen_at_once_are_those_of_each() {
        struct Draw([[u32; AT_ONCE]; 4]);
        impl pulp::WithSimd for Draw {
            type Output = [[u32; AT_ONCE]; 4];
            fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
                philox4x32_10_x16(simd, self.0, [5, 6])
            }
        }
        let counter = |i: usize| [i as u32, 7 * i as u32, u32::MAX - i as u32, 3];
        let counters = [0, 1, 2, 3].map(|word| std::array::from_fn(|i| counter(i)[word]));
        for words in [pulp::Arch::new().dispatch(Draw(counters)), pulp::Arch::Scalar.dispatch(Draw(counters))]
        {
            for i in 0..AT_ONCE {
                assert_eq!(words.map(|word| word[i]), philox4x32_10(counter(i), [5, 6]));
            }
        }
    }

    #[test]
    fn uniform_covers_its_half_open_range() {
        assert_eq!(uniform(0), 0.0);
        assert_eq!(uniform(u32::MAX), 1.0 - 1.0 / (1 << 24) as f32);
    }

    #[test]
    fn normal_has_unit_variance_and_light_tails() {
        assert!(normal([0; 4]).iter().chain(&normal([u32::MAX; 4])).all(|z| z.is_finite() && z.abs() < 5.9));
        let draws: Vec<f64> =
            (0..50_000u32).flat_map(|i| normal(philox4x32_10([i, 0, 0, 0], key(7)))).map(f64::from).collect();
        let n = draws.len() as f64;
        let moment = |p: i32| draws.iter().map(|z| z.powi(p)).sum::<f64>() / n;
        // Five standard errors of each moment of a normal sample.
        assert!(moment(1).abs() < 5.0 / n.sqrt());
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
    }
}
