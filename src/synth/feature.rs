use super::draw::{Draws, Part};
use super::latent::{FACTORS, Factors, factors};
use super::vector::{self, round, tanh};
use crate::store::Entity;
use ndarray::Array2;
use rayon::prelude::*;

/// How a feature table shows the latent factors: each column is a linear and a saturating function of
/// them plus noise, near unit variance, then brought to a level and spread of its own.
#[derive(Debug, Clone)]
pub(super) struct FeatureMap {
    entity: Entity,
    draws: Draws,
    names: Vec<String>,
    /// The columns, a run of them at a time; the last run may be short of columns.
    runs: Vec<Run>,
}

/// Places drawn at a time, each worth four columns.
const PLACES: usize = 16;

/// Columns computed at a time.
const RUN: usize = 4 * PLACES;

/// A run of columns, one array each of what makes them.
#[derive(Debug, Clone)]
struct Run {
    linear: [[f32; RUN]; FACTORS],
    saturating: [[f32; RUN]; FACTORS],
    level: [f32; RUN],
    spread: [f32; RUN],
}

impl FeatureMap {
    pub fn new(draws: Draws, entity: Entity, columns: usize) -> Self {
        let part = match entity {
            Entity::Drug => Part::DrugColumn,
            Entity::Sample => Part::SampleColumn,
        };
        let mut names = Vec::with_capacity(columns);
        let mut runs = Vec::with_capacity(columns.div_ceil(RUN));
        for (index, linear) in factors(&draws, part, columns).into_iter().enumerate() {
            if index % RUN == 0 {
                let none = [[0.0; RUN]; FACTORS];
                runs.push(Run { linear: none, saturating: none, level: [0.0; RUN], spread: [0.0; RUN] });
            }
            let saturating = draws.normals(part, 1, index as u32, 0);
            let [level, spread, ..] = draws.words(part, 2, index as u32, 0);
            let (name, level, spread) = match entity {
                // Descriptors differ in level and spread by orders of magnitude.
                Entity::Drug => (descriptor(index), (level % 256) as f32, (1 << (spread % 8)) as f32 / 4.0),
                // log2 expression.
                Entity::Sample => (format!("GENE{:04}", index + 1), (4 + level % 8) as f32, 1.0),
            };
            names.push(name);
            let (run, at) = (&mut runs[index / RUN], index % RUN);
            (run.level[at], run.spread[at]) = (level, spread);
            run.linear.iter_mut().zip(linear).for_each(|(weights, weight)| weights[at] = weight);
            run.saturating.iter_mut().zip(saturating).for_each(|(weights, weight)| weights[at] = weight);
        }
        FeatureMap { entity, draws, names, runs }
    }

    /// Column names, distinct, `[columns]`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The features of the entities from `first` on whose factors are given, `[entities, columns]`.
    pub fn rows(&self, first: usize, factors: &[Factors]) -> Array2<f32> {
        /// Rows that are made together, while a run of columns is in the first cache.
        const ROWS: usize = 8;
        let mut values = Array2::zeros((factors.len(), self.names.len()));
        values
            .as_slice_mut()
            .expect("an array made here is contiguous")
            .par_chunks_mut(ROWS * self.names.len())
            .zip(factors.par_chunks(ROWS))
            .enumerate()
            .for_each(|(i, (rows, factors))| {
                vector::run(Fill { map: self, first: (first + i * ROWS) as u32, factors, rows });
            });
        values
    }
}

/// Fills the rows of a few entities.
struct Fill<'a> {
    map: &'a FeatureMap,
    first: u32,
    factors: &'a [Factors],
    rows: &'a mut [f32],
}

impl vector::Loop for Fill<'_> {
    #[inline(always)]
    fn run(self) {
        let FeatureMap { draws, names, runs, entity } = self.map;
        let part = match entity {
            Entity::Drug => Part::DrugNoise,
            Entity::Sample => Part::SampleNoise,
        };
        for (column, run) in (0..).step_by(RUN).zip(runs) {
            let rows = self.rows.chunks_exact_mut(names.len()).zip(self.factors);
            for (entity, (row, factors)) in (self.first..).zip(rows) {
                let noise = draws.normals_from::<PLACES>(part, 0, entity, (column / 4) as u32);
                let values = run.values(factors, noise.as_flattened());
                let end = row.len().min(column + RUN);
                row[column..end].copy_from_slice(&values[..end - column]);
            }
        }
    }
}

impl Run {
    #[inline(always)]
    fn values(&self, factors: &Factors, noise: &[f32]) -> [f32; RUN] {
        /// Steps a spread: tables are published with few digits.
        const STEPS: f32 = 64.0;
        // One by one, or the loop over columns is not vectorised.
        let [f0, f1, f2, f3] = *factors;
        let mut values = [0.0; RUN];
        for (at, (value, z)) in values.iter_mut().zip(noise).enumerate() {
            let dot =
                |w: &[[f32; RUN]; FACTORS]| w[0][at] * f0 + w[1][at] * f1 + w[2][at] * f2 + w[3][at] * f3;
            let signal = 0.4 * dot(&self.linear) + 0.6 * tanh(dot(&self.saturating));
            let rounded = round((signal + 0.3 * z) * STEPS) / STEPS;
            *value = self.level[at] + self.spread[at] * rounded;
        }
        values
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
        let mut names = FeatureMap::new(draws, Entity::Drug, 3_820).names;
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3_820);
    }
}
