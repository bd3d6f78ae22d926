use super::draw::{Draws, Part};

/// The hidden factors of a drug or a sample, independent standard normal. Features show them through
/// noise, responses are functions of them.
pub(super) type Factors = [f32; FACTORS];

/// How many factors an entity has.
pub(super) const FACTORS: usize = 4;

/// The factors of entities 0 to `count`.
pub(super) fn factors(draws: &Draws, part: Part, count: usize) -> Vec<Factors> {
    (0..count).map(|entity| draws.normals(part, 0, entity as u32, 0)).collect()
}
