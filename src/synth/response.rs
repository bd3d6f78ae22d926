//! The true response of a sample to a drug, before any study measures it.

use super::latent::Factors;
use std::f64::consts::LN_10;

/// Hill slope of every curve, per unit of log10 molar.
const HILL: f64 = 1.2;

/// Doses over which the area under a curve is taken, log10 molar.
const AREA: (f64, f64) = (-9.0, -4.0);

/// -log10 of the molar dose of half effect. A drug's and a sample's first factors shift it for all
/// partners; the products are what mean effects cannot learn.
fn potency(drug: &Factors, sample: &Factors) -> f64 {
    let [u0, u1, u2, _] = drug.map(f64::from);
    let [v0, v1, v2, _] = sample.map(f64::from);
    6.2 + 0.6 * u0 + 0.4 * v0 + 0.3 * (u1 * v1 + u2 * v2)
}

/// The loss of viability at saturating dose, in (0.55, 0.95).
pub(super) fn efficacy(drug: &Factors) -> f64 {
    0.75 + 0.2 * f64::from(drug[3]).tanh()
}

/// The dose curve of a drug and a sample: viability, a Hill curve of the dose, is 1 untreated and
/// 1 - efficacy at saturation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    efficacy: f64,
    /// exp(-x) of the logistic function, for a dose of 1 molar.
    decay: f64,
}

/// exp(-x) of the logistic function at `dose` (log10 molar), for a potency of 0.
pub(super) fn dose_decay(dose: f64) -> f64 {
    (-HILL * LN_10 * dose).exp()
}

impl Curve {
    /// The curve of a drug of this [`efficacy`] and these factors on `sample`.
    #[inline]
    pub fn new(efficacy: f64, drug: &Factors, sample: &Factors) -> Curve {
        Curve { efficacy, decay: (-HILL * LN_10 * potency(drug, sample)).exp() }
    }

    /// Viability at the dose that has this [`dose_decay`].
    #[inline(always)]
    pub fn viability(self, dose_decay: f64) -> f64 {
        1.0 - self.efficacy / (1.0 + self.decay * dose_decay)
    }
}

/// Viability at `dose` (log10 molar), see [`Curve`].
pub(super) fn viability(drug: &Factors, sample: &Factors, dose: f64) -> f64 {
    Curve::new(efficacy(drug), drug, sample).viability(dose_decay(dose))
}

/// Mean viability over [`AREA`], in (0, 1): the area under the Hill curve divided by its width.
pub(super) fn auc(drug: &Factors, sample: &Factors) -> f64 {
    let potency = potency(drug, sample);
    let rate = HILL * LN_10;
    let integral = |dose: f64| softplus(rate * (dose + potency)) / rate;
    1.0 - efficacy(drug) * (integral(AREA.1) - integral(AREA.0)) / (AREA.1 - AREA.0)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viability_falls_from_one_by_the_efficacy_and_is_half_way_at_the_potency() {
        let (drug, sample) = ([0.5, -1.0, 0.3, 0.8], [0.2, 0.7, -1.5, 0.0]);
        let top = efficacy(&drug);
        assert!((viability(&drug, &sample, -30.0) - 1.0).abs() < 1e-9);
        assert!((viability(&drug, &sample, 10.0) - (1.0 - top)).abs() < 1e-9);
        let middle = viability(&drug, &sample, -potency(&drug, &sample));
        assert!((middle - (1.0 - top / 2.0)).abs() < 1e-12);
    }

    #[test]
    fn auc_is_the_mean_of_viability_over_its_doses() {
        let (drug, sample) = ([-1.2, 0.4, 2.0, -0.6], [1.5, -0.2, 0.9, 0.0]);
        let steps = 2000;
        let width = (AREA.1 - AREA.0) / steps as f64;
        let midpoints = (0..steps).map(|i| AREA.0 + (i as f64 + 0.5) * width);
        let mean = midpoints.map(|dose| viability(&drug, &sample, dose)).sum::<f64>() / steps as f64;
        assert!((auc(&drug, &sample) - mean).abs() < 1e-6);
    }
}
