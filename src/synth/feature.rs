use super::draw::{Draws, Part};
use super::latent::{Factors, factors};
use crate::store::Entity;
use ndarray::Array2;
use rayon::prelude::*;

/// How a feature table shows the latent factors: each column is a linear and a saturating function of
/// them plus noise, near unit variance, then brought to a level and spread of its own.
#[derive(Debug, Clone)]
pub(super) struct FeatureMap {
    entity: Entity,
    draws: Draws,
    columns: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    linear: Factors,
    saturating: Factors,
    level: f32,
    spread: f32,
}

impl FeatureMap {
    pub fn new(draws: Draws, entity: Entity, columns: usize) -> Self {
        let part = match entity {
            Entity::Drug => Part::DrugColumn,
            Entity::Sample => Part::SampleColumn,
        };
        let columns = factors(&draws, part, columns)
            .into_iter()
            .enumerate()
            .map(|(index, linear)| {
                let saturating = draws.normals(part, 1, index as u32, 0);
                let [level, spread, ..] = draws.words(part, 2, index as u32, 0);
                let (name, level, spread) = match entity {
                    // Descriptors differ in level and spread by orders of magnitude.
                    Entity::Drug => {
                        (descriptor(index), (level % 256) as f32, (1 << (spread % 8)) as f32 / 4.0)
                    }
                    // log2 expression.
                    Entity::Sample => (format!("GENE{:04}", index + 1), (4 + level % 8) as f32, 1.0),
                };
                Column { name, linear, saturating, level, spread }
            })
            .collect();
        FeatureMap { entity, draws, columns }
    }

    /// Column names, distinct, `[columns]`.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    /// The features of the entities from `first` on whose factors are given, `[entities, columns]`.
    pub fn rows(&self, first: usize, factors: &[Factors]) -> Array2<f32> {
        let mut values = Array2::zeros((factors.len(), self.columns.len()));
        values
            .as_slice_mut()
            .expect("an array made here is contiguous")
            .par_chunks_mut(self.columns.len())
            .zip(factors)
            .enumerate()
            .for_each(|(i, (row, factors))| self.fill(first + i, factors, row));
        values
    }

    fn fill(&self, entity: usize, factors: &Factors, row: &mut [f32]) {
        /// Steps a spread: tables are published with few digits, which is also why they compress.
        const STEPS: f32 = 64.0;
        let part = match self.entity {
            Entity::Drug => Part::DrugNoise,
            Entity::Sample => Part::SampleNoise,
        };
        for (four, (values, columns)) in (0u32..).zip(row.chunks_mut(4).zip(self.columns.chunks(4))) {
            let noise = self.draws.normals(part, 0, entity as u32, four);
            for ((value, column), z) in values.iter_mut().zip(columns).zip(noise) {
                let dot = |weights: &Factors| weights.iter().zip(factors).map(|(w, f)| w * f).sum::<f32>();
                let signal = 0.4 * dot(&column.linear) + 0.6 * dot(&column.saturating).tanh();
                let rounded = ((signal + 0.3 * z) * STEPS).round() / STEPS;
                *value = column.level + column.spread * rounded;
            }
        }
    }
}

/// A distinct name in the manner of mordred's autocorrelation descriptors.
fn descriptor(index: usize) -> String {
    const FAMILY: [&str; 6] = ["ATS", "AATS", "ATSC", "AATSC", "MATS", "GATS"];
    const PROPERTY: [&str; 12] = ["dv", "d", "s", "Z", "m", "v", "se", "pe", "are", "p", "i", "c"];
    let (family, property) = (FAMILY[index % 6], PROPERTY[index / 6 % 12]);
    format!("{family}{}{property}", index / 72)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_depend_on_the_block_they_are_made_in() {
        let draws = Draws::new(5);
        let map = FeatureMap::new(draws, Entity::Drug, 30);
        let latent = factors(&draws, Part::DrugLatent, 20);
        let whole = map.rows(0, &latent);
        assert_eq!(whole.slice(ndarray::s![7..12, ..]), map.rows(7, &latent[7..12]));
        assert!(whole.columns().into_iter().all(|c| c.iter().any(|&v| v != c[0])));
        let mut names = FeatureMap::new(draws, Entity::Drug, 3_820).names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3_820);
    }
}
