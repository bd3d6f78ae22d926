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
    #[inline]
    pub fn words(&self, part: Part, group: u32, a: u32, b: u32) -> [u32; 4] {
        philox::philox4x32_10(philox::Stream::MadeUp.counter(a, b, group, part as u32), self.key)
    }

    /// Four standard normal values at place (`group`, `a`, `b`) of `part`.
    #[inline]
    pub fn normals(&self, part: Part, group: u32, a: u32, b: u32) -> [f32; 4] {
        philox::normal(self.words(part, group, a, b))
    }
}
