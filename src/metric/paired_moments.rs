use super::Moments;

/// Second moments of two paired columns around their means: what squared error, Pearson's
/// correlation and the coefficient of determination are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairedMoments {
    n: usize,
    /// Sum of (a - b)^2.
    pub squared_error: f64,
    /// Sum of (a - mean a)^2.
    aa: f64,
    /// Sum of (b - mean b)^2.
    bb: f64,
    /// Sum of (a - mean a)(b - mean b).
    ab: f64,
}

impl PairedMoments {
    /// Of `a` and `b`, both `[n]`. The means are taken in a pass of their own, so a large mean with
    /// a small spread costs no digits.
    pub fn of<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> Self {
        let mean = |values: &[T]| values.iter().map(|&v| v.into()).sum::<f64>() / values.len() as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let mut m = PairedMoments { n: a.len(), squared_error: 0.0, aa: 0.0, bb: 0.0, ab: 0.0 };
        for (&a, &b) in a.iter().zip(b) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            let (da, db) = (a - mean_a, b - mean_b);
            m.squared_error += (a - b) * (a - b);
            m.aa += da * da;
            m.bb += db * db;
            m.ab += da * db;
        }
        m
    }

    /// Pearson's correlation; NaN where either column is constant.
    pub fn correlation(&self) -> f64 {
        if self.aa == 0.0 || self.bb == 0.0 {
            return f64::NAN;
        }
        // Rounding may carry a perfect correlation just past 1.
        (self.ab / (self.aa.sqrt() * self.bb.sqrt())).clamp(-1.0, 1.0)
    }

    /// R2 with `a` as the truth, as [`Moments::r2`] has it.
    pub fn determination(&self) -> f64 {
        Moments { n: self.n as f64, mean: 0.0, squares: self.aa }.r2(self.squared_error)
    }
}
