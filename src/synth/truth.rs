use ndarray::Array2;

/// What one study's points say about the best possible R2 of every source on it. Parts are merged in
/// a fixed order, so that the sums do not depend on who counted which part.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    n: usize,
    /// Values are summed around it, so that a large mean costs no digits.
    shift: f64,
    sum: f64,
    squares: f64,
    /// Squared error of each source's expected response, `[sources]`.
    errors: Vec<f64>,
}

impl Tally {
    pub fn new(sources: usize, shift: f64) -> Self {
        Tally { n: 0, shift, sum: 0.0, squares: 0.0, errors: vec![0.0; sources] }
    }

    /// Counts a measured `value`, for which source number i expects `expected(i)`.
    #[inline]
    pub fn add(&mut self, value: f32, expected: impl Fn(usize) -> f64) {
        let value = f64::from(value);
        self.n += 1;
        self.sum += value - self.shift;
        self.squares += (value - self.shift).powi(2);
        for (source, error) in self.errors.iter_mut().enumerate() {
            *error += (value - expected(source)).powi(2);
        }
    }

    /// Adds a part of the same study.
    pub fn merge(&mut self, part: &Tally) {
        self.n += part.n;
        self.sum += part.sum;
        self.squares += part.squares;
        for (error, of_part) in self.errors.iter_mut().zip(&part.errors) {
            *error += of_part;
        }
    }

    /// R2 of each source's expected response on the points counted, `[sources]`.
    fn best_r2(&self) -> impl Iterator<Item = f64> {
        let total = self.squares - self.sum * self.sum / self.n as f64;
        self.errors.iter().map(move |error| 1.0 - error / total)
    }
}

/// The best possible R2 of each source (row) on each target (column), given the targets' tallies.
pub(super) fn best_r2(targets: &[Tally]) -> Array2<f64> {
    let mut r2 = Array2::zeros((targets.len(), targets.len()));
    for (mut column, tally) in r2.columns_mut().into_iter().zip(targets) {
        column.iter_mut().zip(tally.best_r2()).for_each(|(cell, best)| *cell = best);
    }
    r2
}
