/// Number, mean and spread of a stream of values, by blocks (Chan, Golub and LeVeque 1979): no
/// digits are lost to a large mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Moments {
    /// Values.
    pub n: f64,
    /// Their mean, 0 of none.
    pub mean: f64,
    /// Sum of their squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    /// Takes in a block; NaN is passed over.
    pub fn add(&mut self, values: &[f32]) {
        let known = || values.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v));
        let n = known().count() as f64;
        if n > 0.0 {
            let mean = known().sum::<f64>() / n;
            let squares = known().map(|v| (v - mean).powi(2)).sum();
            self.merge(&Moments { n, mean, squares });
        }
    }

    /// Takes in those of another part of the stream.
    pub fn merge(&mut self, part: &Moments) {
        if part.n == 0.0 {
            return;
        }
        let (shift, total) = (part.mean - self.mean, self.n + part.n);
        self.squares += part.squares + shift * shift * self.n * part.n / total;
        self.mean += shift * part.n / total;
        self.n = total;
    }

    /// Standard deviation (n - 1); 0 of fewer than two values.
    pub fn sd(&self) -> f64 {
        if self.n < 2.0 { 0.0 } else { (self.squares / (self.n - 1.0)).sqrt() }
    }

    /// R2 of predictions of these values with this sum of squared errors,
    /// 1 - SSE / SST; NaN where it is not defined: for fewer than two values or constant ones.
    pub fn r2(&self, squared_error: f64) -> f64 {
        if self.n < 2.0 || self.squares == 0.0 { f64::NAN } else { 1.0 - squared_error / self.squares }
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn moments_of_blocks_are_those_of_the_whole() {
        let values: Vec<f32> = (0..1000).map(|i| 100.0 + ((i * 37) % 101) as f32).collect();
        let mut blocks = Moments::default();
        values.chunks(17).for_each(|b| blocks.add(b));
        blocks.add(&[f32::NAN]);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1000.0;
        let squares = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
        assert_eq!(blocks.n, 1000.0);
        assert!((blocks.mean - mean).abs() < 1e-10);
        assert!((blocks.sd() - (squares / 999.0).sqrt()).abs() < 1e-10);
        assert!((blocks.r2(0.25 * squares) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn constant_values_have_no_r2() {
        let mut moments = Moments::default();
        moments.add(&[0.1]);
        assert!(moments.r2(0.5).is_nan());
        (0..5).for_each(|_| moments.add(&[0.1; 3]));
        assert!(moments.r2(0.5).is_nan());
    }
}
