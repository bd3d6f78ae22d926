use super::vector::{self, ln, sin_cos_of_turns};
use crate::device::philox;

/// What of a corpus a draw is for. Draws of different parts are independent under one seed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// Latent factors of a drug.
    DrugLatent = 1,
    /// Latent factors of a sample.
    SampleLatent = 2,
    /// How a drug feature comes from the latent factors.
    DrugColumn = 3,
    /// How a sample feature comes from the latent factors.
    SampleColumn = 4,
    /// Measurement noise of a drug feature.
    DrugNoise = 5,
    /// Measurement noise of a sample feature.
    SampleNoise = 6,
    /// Which drugs a study has.
    DrugMember = 7,
    /// Which samples a study has.
    SampleMember = 8,
    /// Which points of its grid a study measured.
    Measured = 9,
    /// Measurement noise of a response.
    ResponseNoise = 10,
}

/// Random words by what they are for, so that a value depends on the seed and its place alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws {
    key: [u32; 2],
}

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self { key: philox::key(seed) }
    }

    /// Four words at place (`group`, `a`, `b`) of `part`.
    #[inline(always)]
    pub fn words(&self, part: Part, group: u32, a: u32, b: u32) -> [u32; 4] {
        philox::philox4x32_10(philox::Stream::MadeUp.counter(a, b, group, part as u32), self.key)
    }

    /// Four standard normal values at place (`group`, `a`, `b`) of `part`.
    #[inline]
    pub fn normals(&self, part: Part, group: u32, a: u32, b: u32) -> [f32; 4] {
        let [w0, w1, w2, w3] = self.words(part, group, a, b);
        let ([z0, z1], [z2, z3]) = (box_muller(w0, w1), box_muller(w2, w3));
        [z0, z1, z2, z3]
    }

    /// Like [`Draws::normals`], at the places (`group`, `a`, `first`) and those that follow.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "loops over zipped iterators are not vectorised, 3 x slower"
    )]
    pub fn normals_from<const N: usize>(&self, part: Part, group: u32, a: u32, first: u32) -> [[f32; 4]; N] {
        // Word by word, and not place by place, for the sake of the vector instructions.
        let mut words = [[0u32; N]; 4];
        for i in 0..N {
            let [w0, w1, w2, w3] = self.words(part, group, a, first.wrapping_add(i as u32));
            (words[0][i], words[1][i], words[2][i], words[3][i]) = (w0, w1, w2, w3);
        }
        let mut normals = [[0f32; 4]; N];
        for i in 0..N {
            let (one, two) = (box_muller(words[0][i], words[1][i]), box_muller(words[2][i], words[3][i]));
            normals[i] = [one[0], one[1], two[0], two[1]];
        }
        normals
    }

    /// The first of the four normal values at each of the places (`group`, `a`, `places`).
    pub fn first_normals(&self, part: Part, group: u32, a: u32, places: &[u32], into: &mut [f32]) {
        vector::run(FirstNormals { draws: self, part, group, a, places, into });
    }
}

struct FirstNormals<'a> {
    draws: &'a Draws,
    part: Part,
    group: u32,
    a: u32,
    places: &'a [u32],
    into: &'a mut [f32],
}

impl vector::Loop for FirstNormals<'_> {
    #[inline(always)]
    fn run(self) {
        for (z, &b) in self.into.iter_mut().zip(self.places) {
            let [first, second, ..] = self.draws.words(self.part, self.group, self.a, b);
            *z = box_muller(first, second)[0];
        }
    }
}

/// Two standard normal values of two words, as [`philox::normal`] draws them, but for the last place.
#[inline(always)]
fn box_muller(first: u32, second: u32) -> [f32; 2] {
    // The half step keeps the logarithm's argument above 0.
    let open = philox::uniform(first) + 0.5 / (1 << 24) as f32;
    let radius = (-2.0 * ln(open)).sqrt();
    let (sin, cos) = sin_cos_of_turns(philox::uniform(second));
    [radius * cos, radius * sin]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let draws = Draws::new(9);
        let part = Part::DrugNoise;
        let single = |b| draws.normals(part, 1, 7, b);
        let many = draws.normals_from::<16>(part, 1, 7, 40);
        assert_eq!(many, std::array::from_fn(|i| single(40 + i as u32)));
        let places: Vec<u32> = (0..50).map(|i| i * i).collect();
        let mut first = vec![0.0; 50];
        draws.first_normals(part, 1, 7, &places, &mut first);
        assert_eq!(first, places.iter().map(|&b| single(b)[0]).collect::<Vec<_>>());
        let exact = philox::normal(draws.words(part, 1, 7, 40));
        assert!(many[0].iter().zip(exact).all(|(z, exact)| (z - exact).abs() < 1e-6));
    }
}
