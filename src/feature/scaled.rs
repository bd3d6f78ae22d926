use super::Features;
use crate::device::Element;
use std::rc::Rc;

/// Features as a network sees them: each row is scaled when it is read, so
/// that one table in memory serves every task.
#[derive(Debug, Clone)]
pub struct ScaledFeatures {
    features: Rc<Features>,
    /// Mean and one over the deviation of each column, the latter zero where
    /// the column was constant in training.
    scale: Rc<[(f32, f32)]>,
    clip: f32,
}

impl ScaledFeatures {
    /// `features` less the mean, over the deviation, within `clip` deviations.
    /// `scale` holds mean and one over the deviation of each column.
    pub fn new(features: Rc<Features>, scale: Vec<(f32, f32)>, clip: f32) -> Self {
        assert_eq!(scale.len(), features.width(), "columns scaled and columns there are");
        Self { features, scale: scale.into(), clip }
    }

    /// The table as stored.
    pub fn table(&self) -> &Features {
        &self.features
    }

    /// What is needed to write rows, which threads may share.
    #[inline]
    pub fn rows(&self) -> ScaledRows<'_> {
        ScaledRows { features: &self.features, scale: &self.scale, clip: self.clip }
    }
}

/// The rows of [`ScaledFeatures`].
#[derive(Clone, Copy)]
pub struct ScaledRows<'a> {
    features: &'a Features,
    scale: &'a [(f32, f32)],
    clip: f32,
}

impl ScaledRows<'_> {
    /// Writes the scaled row of entity `index` of the store; a missing value
    /// becomes zero, the mean in training. Panics if the entity has no row.
    #[inline(always)]
    pub fn write<T: Element>(self, index: u32, into: &mut [T]) {
        self.scale(self.features.row(index), into);
    }

    /// Writes what a row of these values becomes.
    #[inline(always)]
    pub fn scale<T: Element>(self, row: &[f32], into: &mut [T]) {
        let row = row.iter().zip(self.scale);
        for (to, (&x, &(mean, inverse))) in into.iter_mut().zip(row) {
            let scaled = ((x - mean) * inverse).clamp(-self.clip, self.clip);
            *to = T::of(f64::from(if scaled.is_nan() { 0.0 } else { scaled }));
        }
    }
}
