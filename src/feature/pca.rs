use crate::device::philox::{Stream, key, normal, philox4x32_10};
use crate::device::{MatRef, matmul};
use crate::{Error, Result};
use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray_linfa::Array2;

/// Rows that are centred and multiplied at a time.
const BLOCK: usize = 512;
/// Products by the covariance, at most.
const MOST_ROUNDS: usize = 200;
/// An axis is found when what the covariance makes of it, less its multiple, is this small beside the largest variance.
const TOLERANCE: f64 = 1e-5;
/// Directions that vary less than this beside the one that varies most are rounding.
const RANK: f64 = 1e-11;

/// Principal components (Hotelling 1933): the orthonormal directions in which rows vary most.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// The mean row, `[columns]`.
    pub mean: Vec<f32>,
    /// Directions, `[components, columns]`, the one of most variance first; the largest coordinate of each is positive.
    pub axes: Vec<f32>,
    /// Variance along each, over one row less than there are, as scikit-learn has it.
    pub variances: Vec<f64>,
    /// Variance of all columns together.
    pub total: f64,
}

impl Pca {
    /// The first `components` of the rows `of` of `values`, `[_, columns]`, all of them finite: block subspace
    /// iteration with a Rayleigh-Ritz step a round (Halko, Martinsson and Tropp 2011), so that the covariance of
    /// many columns is never laid out. The result depends on the rows and on `seed` alone. Refuses more components
    /// than rows less one, or than the directions in which they vary.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn fit(values: &[f32], columns: usize, of: &[u32], components: usize, seed: u64) -> Result<Self> {
        let most = columns.min(of.len().saturating_sub(1));
        if components == 0 || components > most {
            return Err(Error::Request(format!(
                "{components} principal components of {} rows of {columns} columns: from 1 to {most} can be had",
                of.len()
            )));
        }
        let pca = Self::up_to(values, columns, of, components, seed)?;
        match pca.components() {
            there if there == components => Ok(pca),
            there => Err(Error::Request(format!(
                "{components} principal components of rows that vary in {there} directions; ask for no more"
            ))),
        }
    }

    /// The same of at most `components`: fewer where rows do not vary in as many directions. Refuses rows that are
    /// all the same.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn up_to(values: &[f32], columns: usize, of: &[u32], components: usize, seed: u64) -> Result<Self> {
        let rows = Rows { values, columns, of };
        let most = columns.min(of.len().saturating_sub(1));
        let components = components.min(most);
        if components == 0 {
            return Err(Error::Request("principal components of fewer than two rows".into()));
        }
        let mean = rows.mean();
        let wide = most.min(components + (components / 2).max(16));
        let mut basis = orthonormal(start(columns, wide, seed), columns)?;
        let mut rounds = 0;
        let (variances, axes) = loop {
            let count = basis.len() / columns;
            let image = rows.covariance_times(&mean, &basis);
            let inner = product(&image, &basis, columns);
            let (variances, turn) = symmetric_eigen(inner, count)?;
            let (axes, images) = (turned(&turn, &basis, columns), turned(&turn, &image, columns));
            rounds += 1;
            let largest = variances.first().copied().unwrap_or(0.0);
            let residual = |axis: usize| -> f64 {
                let place = axis * columns..(axis + 1) * columns;
                let off = images[place.clone()].iter().zip(&axes[place]);
                off.map(|(to, axis_value)| (to - variances[axis] * axis_value).powi(2)).sum::<f64>().sqrt()
            };
            let found = count == columns
                || (0..components.min(count)).all(|axis| residual(axis) <= TOLERANCE * largest);
            if found || rounds == MOST_ROUNDS {
                if !found {
                    log::warn!(
                        "principal components: the last of {components} are not exact after {rounds} rounds"
                    );
                }
                break (variances, axes);
            }
            basis = orthonormal(images, columns)?;
        };
        let spread = variances.iter().take_while(|&&v| v > RANK.sqrt() * variances[0]).count();
        let components = components.min(spread);
        if components == 0 {
            return Err(Error::Request("rows that are all the same have no principal components".into()));
        }
        let over = (of.len() - 1) as f64;
        let mut axes: Vec<f32> = axes[..components * columns].iter().map(|&v| v as f32).collect();
        for axis in axes.chunks_exact_mut(columns) {
            let largest =
                axis.iter().copied().fold(0.0f32, |most, v| if v.abs() > most.abs() { v } else { most });
            if largest < 0.0 {
                axis.iter_mut().for_each(|v| *v = -*v);
            }
        }
        Ok(Self {
            total: rows.squares(&mean) / over,
            variances: variances[..components].iter().map(|v| v / over).collect(),
            mean,
            axes,
        })
    }

    /// Number of components.
    pub fn components(&self) -> usize {
        self.variances.len()
    }

    /// The part of the variance of all columns that lies along each component.
    pub fn shares(&self) -> Vec<f64> {
        let share = |v: &f64| if self.total > 0.0 { v / self.total } else { 0.0 };
        self.variances.iter().map(share).collect()
    }

    /// Coordinates along the components of the rows `of` of `values`, `[of, components]`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn project(&self, values: &[f32], of: &[u32]) -> Vec<f32> {
        let (columns, components) = (self.mean.len(), self.components());
        let rows = Rows { values, columns, of };
        let mut projected = vec![0.0; of.len() * components];
        let axes = MatRef::new(&self.axes, components, columns).t();
        let mut into = projected.chunks_mut(BLOCK * components);
        rows.each_block(&self.mean, |block, count| {
            if let Some(into) = into.next() {
                matmul(into, MatRef::new(block, count, columns), axes, false);
            }
        });
        projected
    }

    /// The rows that have these coordinates, `[n, components]`, on the components: `[n, columns]`.
    pub fn restore(&self, coordinates: &[f32]) -> Vec<f32> {
        let (columns, components) = (self.mean.len(), self.components());
        let rows = coordinates.len() / components;
        let mut restored: Vec<f32> = self.mean.iter().copied().cycle().take(rows * columns).collect();
        let axes = MatRef::new(&self.axes, components, columns);
        matmul(&mut restored, MatRef::new(coordinates, rows, components), axes, true);
        restored
    }
}

/// Some rows of a table.
struct Rows<'a> {
    values: &'a [f32],
    columns: usize,
    of: &'a [u32],
}

impl Rows<'_> {
    fn row(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.columns..][..self.columns]
    }

    fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.columns];
        for &row in self.of {
            sums.iter_mut().zip(self.row(row)).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        sums.iter().map(|sum| (sum / self.of.len() as f64) as f32).collect()
    }

    /// The sum of squares about `mean`.
    fn squares(&self, mean: &[f32]) -> f64 {
        let of = |&row: &u32| -> f64 {
            self.row(row).iter().zip(mean).map(|(&v, &mean)| f64::from(v - mean).powi(2)).sum()
        };
        self.of.iter().map(of).sum()
    }

    /// Hands out the rows less `mean`, a block after the other, with their number.
    fn each_block(&self, mean: &[f32], mut each: impl FnMut(&[f32], usize)) {
        let mut block = vec![0.0f32; BLOCK.min(self.of.len()) * self.columns];
        for rows in self.of.chunks(BLOCK) {
            for (into, &row) in block.chunks_exact_mut(self.columns).zip(rows) {
                into.iter_mut().zip(self.row(row)).zip(mean).for_each(|((to, &v), &mean)| *to = v - mean);
            }
            each(&block[..rows.len() * self.columns], rows.len());
        }
    }

    /// The scatter about `mean`, which is the covariance but for a factor, times each row of `basis`, `[_, columns]`.
    fn covariance_times(&self, mean: &[f32], basis: &[f64]) -> Vec<f64> {
        let columns = self.columns;
        let count = basis.len() / columns;
        let basis: Vec<f32> = basis.iter().map(|&v| v as f32).collect();
        let mut along = vec![0.0f32; BLOCK.min(self.of.len()) * count];
        let mut image = vec![0.0f32; count * columns];
        self.each_block(mean, |block, rows| {
            let block = MatRef::new(block, rows, columns);
            matmul(&mut along, block, MatRef::new(&basis, count, columns).t(), false);
            matmul(&mut image, MatRef::new(&along, rows, count).t(), block, true);
        });
        image.iter().map(|&v| f64::from(v)).collect()
    }
}

/// Random rows to start from, `[count, columns]`.
fn start(columns: usize, count: usize, seed: u64) -> Vec<f64> {
    let values = columns * count;
    let four = |block: usize| {
        // Parameters of networks start from counters whose third index is 0.
        let counter = Stream::Init.counter(block as u32, (block >> 32) as u32, 1, 0);
        normal(philox4x32_10(counter, key(seed))).map(f64::from)
    };
    (0..values.div_ceil(4)).flat_map(four).take(values).collect()
}

/// The products of the rows of `a` and of `b`, `[rows of a, rows of b]`.
fn product(a: &[f64], b: &[f64], columns: usize) -> Vec<f64> {
    let (m, n) = (a.len() / columns, b.len() / columns);
    let mut c = vec![0.0; m * n];
    matmul(&mut c, MatRef::new(a, m, columns), MatRef::new(b, n, columns).t(), false);
    c
}

/// `turn`, whose rows are directions, times the rows of `basis`.
fn turned(turn: &[f64], basis: &[f64], columns: usize) -> Vec<f64> {
    let count = basis.len() / columns;
    let rows = turn.len() / count;
    let mut c = vec![0.0; rows * columns];
    matmul(&mut c, MatRef::new(turn, rows, count), MatRef::new(basis, count, columns), false);
    c
}

/// Eigenvalues of a symmetric `[n, n]` matrix, the largest first, and its eigenvectors as rows.
fn symmetric_eigen(mut matrix: Vec<f64>, n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    for row in 0..n {
        for column in 0..row {
            let mean = (matrix[row * n + column] + matrix[column * n + row]) / 2.0;
            (matrix[row * n + column], matrix[column * n + row]) = (mean, mean);
        }
    }
    let failed = |e: String| Error::Request(format!("principal components: {e}"));
    if matrix.iter().any(|v| !v.is_finite()) {
        return Err(failed("a value is not finite".into()));
    }
    let matrix = Array2::from_shape_vec((n, n), matrix).map_err(|e| failed(e.to_string()))?;
    let (values, vectors) = matrix.eigh_into().map_err(|e| failed(e.to_string()))?.sort_eig_desc();
    Ok((values.to_vec(), vectors.t().iter().copied().collect()))
}

/// An orthonormal basis of what the rows span, by the eigenvectors of their products (Stathopoulos and Wu 2002),
/// twice, as rounding asks for. Rows that others span already are left out.
fn orthonormal(mut rows: Vec<f64>, columns: usize) -> Result<Vec<f64>> {
    for _ in 0..2 {
        for row in rows.chunks_exact_mut(columns) {
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|v| *v /= length);
            }
        }
        let count = rows.len() / columns;
        let (values, mut turn) = symmetric_eigen(product(&rows, &rows, columns), count)?;
        let kept = values.iter().take_while(|&&v| v > RANK * values[0]).count();
        turn.truncate(kept * count);
        for (direction, value) in turn.chunks_exact_mut(count).zip(&values) {
            direction.iter_mut().for_each(|v| *v /= value.sqrt());
        }
        rows = turned(&turn, &rows, columns);
    }
    match rows.is_empty() {
        true => Err(Error::Request("rows that are all the same have no principal components".into())),
        false => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rows` rows of 40 columns that vary most in few directions.
    fn made_up(rows: usize) -> Vec<f32> {
        let noise = |i: usize| ((i * i * 7919 + i * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
        let value = |row: usize, column: usize| {
            let factor =
                |f: usize| noise(row * 31 + f) * noise(column * 17 + f * 1009 + 5) * 8.0 / (f + 1) as f32;
            (0..6).map(factor).sum::<f32>() + 0.1 * noise(row * 40 + column + 77_777) + column as f32
        };
        (0..rows).flat_map(|row| (0..40).map(move |column| value(row, column))).collect()
    }

    const NUMPY_VARIANCES: [f64; 4] =
        [18.388437879547904, 5.29572584521423, 1.8082259592407837, 1.1581155169468755];
    const NUMPY_TOTAL: f64 = 27.916789326377792;
    /// The fourth coordinate of each.
    const NUMPY_AXES: [f32; 4] = [0.120_944_73, 0.062_373_27, 0.035_125_99, -0.217_164_18];

    /// Expected from numpy.linalg.svd of the same centred rows.
    #[test]
    fn agrees_with_numpy() {
        let values = made_up(700);
        let of: Vec<u32> = (0..700).collect();
        let pca = Pca::fit(&values, 40, &of, 4, 1).unwrap();
        for (variance, expected) in pca.variances.iter().zip(NUMPY_VARIANCES) {
            assert!((variance / expected - 1.0).abs() < 1e-5, "{:?}", pca.variances);
        }
        assert!((pca.total / NUMPY_TOTAL - 1.0).abs() < 1e-5, "{}", pca.total);
        for (axis, expected) in pca.axes.chunks_exact(40).zip(NUMPY_AXES) {
            assert!((axis[3] - expected).abs() < 1e-4, "{axis:?}");
        }
    }

    #[test]
    fn axes_are_orthonormal_and_hold_the_variance_that_is_told() {
        let values = made_up(600);
        // Every other row, out of order.
        let of: Vec<u32> = (0..600).rev().step_by(2).collect();
        let pca = Pca::fit(&values, 40, &of, 5, 3).unwrap();
        for (i, a) in pca.axes.chunks_exact(40).enumerate() {
            for (j, b) in pca.axes.chunks_exact(40).enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((dot - f32::from(u8::from(i == j))).abs() < 1e-5, "{i} {j}: {dot}");
            }
        }
        let projected = pca.project(&values, &of);
        for (axis, &variance) in pca.variances.iter().enumerate() {
            let along = projected.iter().skip(axis).step_by(5);
            let there = along.map(|&v| f64::from(v).powi(2)).sum::<f64>() / 299.0;
            assert!((there / variance - 1.0).abs() < 1e-4, "{axis}: {there} {variance}");
        }
        // What is left is what the components do not explain.
        let restored = pca.restore(&projected);
        let row = |place: usize| &values[of[place] as usize * 40..][..40];
        let errors = restored.chunks_exact(40).enumerate().flat_map(|(i, r)| r.iter().zip(row(i)));
        let left = errors.map(|(r, v)| f64::from(r - v).powi(2)).sum::<f64>() / 299.0;
        let explained: f64 = pca.shares().iter().sum();
        assert!((1.0 - left / pca.total - explained).abs() < 1e-4, "{left} {explained}");
        assert!(explained > 0.9 && explained < 1.0);
    }

    #[test]
    fn more_components_than_directions_are_refused_and_all_of_them_are_exact() {
        let line: Vec<f32> = (0..50).flat_map(|i| [i as f32, 2.0 * i as f32, 5.0]).collect();
        let of: Vec<u32> = (0..50).collect();
        let pca = Pca::fit(&line, 3, &of, 1, 1).unwrap();
        assert!((pca.axes[1] / pca.axes[0] - 2.0).abs() < 1e-5 && pca.axes[0] > 0.0);
        assert!((pca.shares()[0] - 1.0).abs() < 1e-6);
        let message = Pca::fit(&line, 3, &of, 2, 1).unwrap_err().to_string();
        assert!(message.contains("in 1 direction"), "{message}");
        assert!(Pca::fit(&line, 3, &of, 4, 1).is_err());
        assert!(Pca::fit(&[1.0; 9], 3, &[0, 1, 2], 1, 1).is_err());
    }
}
