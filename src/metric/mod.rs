//! Scores of predictions. All sums are taken in f64 and in row order, around the mean.

mod distances;
mod epoch;
mod kind;
mod knn;
#[cfg(test)]
mod made_up;
mod moments;
mod paired_moments;
mod paired_test;
mod rank;
mod silhouette;
mod spread;

pub use epoch::Epoch;
pub use kind::Metric;
pub use knn::{knn_accuracy, knn_classes, neighbours};
pub use moments::Moments;
pub use paired_test::{PairedTest, TEST_OVER_TRAINING};
pub use silhouette::silhouette;
pub use spread::mean_and_sd;

use serde::{Deserialize, Serialize};

/// How far predictions are from the truth. A score that the data does not define is NaN, and `null`
/// in JSON: all five without a pair, `pcc`, `scc` and `r2` with fewer than two pairs or where the
/// truth (for `pcc` and `scc` also the prediction) is constant, and all five where a value is NaN.
/// scikit-learn gives 0 or 1 for the `r2` of a constant truth; neither says anything. Infinite scores,
/// those of infinite predictions, are `null` in JSON too, and NaN when read back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean squared error, squared units of the endpoint.
    #[serde(with = "nan_as_null")]
    pub mse: f64,
    /// Square root of `mse`, units of the endpoint.
    #[serde(with = "nan_as_null")]
    pub rmse: f64,
    /// Pearson's correlation, in [-1, 1].
    #[serde(with = "nan_as_null")]
    pub pcc: f64,
    /// Spearman's correlation, in [-1, 1]; equal values share the mean of their ranks.
    #[serde(with = "nan_as_null")]
    pub scc: f64,
    /// Coefficient of determination, 1 - SSE / SST, at most 1.
    #[serde(with = "nan_as_null")]
    pub r2: f64,
}

impl Scores {
    /// Scores `predicted` against `truth`, both `[n]`.
    ///
    /// # Panics
    /// When the two differ in length, which is a fault of the caller.
    pub fn of(truth: &[f32], predicted: &[f32]) -> Scores {
        assert_eq!(truth.len(), predicted.len(), "one prediction a pair");
        let m = paired_moments::PairedMoments::of(truth, predicted);
        let mse = m.squared_error / truth.len() as f64;
        Scores {
            mse,
            rmse: mse.sqrt(),
            pcc: m.correlation(),
            scc: rank::spearman(truth, predicted),
            r2: m.determination(),
        }
    }
}

/// JSON has no NaN: it is written as `null` and read back from it.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [f32; 8] = [0.9, 0.25, 0.5, 0.5, 0.75, 0.1, 0.6, 0.95];
    const PREDICTED: [f32; 8] = [0.8, 0.3, 0.55, 0.4, 0.7, 0.3, 0.65, 0.7];

    /// Expected values from numpy, scipy.stats (pearsonr, spearmanr) and sklearn's r2_score.
    #[test]
    fn agrees_with_scipy_and_sklearn_ties_included() {
        let scores = Scores::of(&TRUTH, &PREDICTED);
        let expected = [
            0.01656249932944826,
            0.1286953741571478,
            0.9315531806639855,
            0.9454719096527425,
            0.7861825517918197,
        ];
        for (metric, want) in Metric::ALL.iter().zip(expected) {
            let got = metric.of(&scores);
            assert!((got - want).abs() < 1e-14, "{metric:?}: {got} is not {want}");
        }
    }

    #[test]
    fn a_large_offset_and_many_pairs_cost_no_digits() {
        // 4 million values around 1000 with a spread of 1/16: naive f32 sums would lose r2 altogether.
        let truth: Vec<f32> = (0..1 << 22).map(|i| 1000.0 + (i % 16) as f32 / 64.0).collect();
        let predicted: Vec<f32> = truth.iter().map(|t| t + 1.0 / 64.0).collect();
        let scores = Scores::of(&truth, &predicted);
        assert!((scores.mse - 1.0 / 4096.0).abs() < 1e-15);
        // The variance of 0..16 is (16^2 - 1) / 12 in squared steps, and the error is one step.
        assert!((scores.r2 - (1.0 - 12.0 / 255.0)).abs() < 1e-12);
        assert!((scores.pcc - 1.0).abs() < 1e-12 && (scores.scc - 1.0).abs() < 1e-12);
    }

    #[test]
    fn undefined_scores_are_nan_and_null() {
        let constant = Scores::of(&[0.1; 5], &[0.1, 0.2, 0.3, 0.4, 0.5]);
        assert!(constant.mse > 0.0 && constant.r2.is_nan() && constant.pcc.is_nan() && constant.scc.is_nan());
        let flat = Scores::of(&[0.1, 0.2, 0.3], &[0.2; 3]);
        assert!(flat.pcc.is_nan() && flat.scc.is_nan());
        assert!(flat.r2.abs() < 1e-6);
        assert!(Scores::of(&[], &[]).mse.is_nan());
        let one = Scores::of(&[1.0], &[1.5]);
        assert!(one.mse == 0.25 && one.r2.is_nan());
        let broken = Scores::of(&[0.0, 1.0, 2.0], &[0.0, f32::NAN, 2.0]);
        assert!(Metric::ALL.iter().all(|m| m.of(&broken).is_nan()));

        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(json, r#"{"mse":0.25,"rmse":0.5,"pcc":null,"scc":null,"r2":null}"#);
        let back: Scores = serde_json::from_str(&json).unwrap();
        assert!(back.mse == 0.25 && back.scc.is_nan());
    }
}
