use super::spread::mean_and_sd;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Test rows over training rows of a split into 80, 10 and 10 percent, which is
/// how every published split of this field is cut.
pub const TEST_OVER_TRAINING: f64 = 0.125;

/// Whether two models differ, told from their scores on the same splits: the
/// two-sided paired t-test with n - 1 degrees of freedom, and the same with the
/// variance that Nadeau and Bengio ("Inference for the generalization error",
/// Machine Learning 52, 2003) give for splits that overlap. The splits of one
/// dataset share most of their training rows, so their scores are not
/// independent and the plain test finds too much; the corrected one is the one
/// to read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// Mean difference over splits.
    pub mean: f64,
    /// Its sample standard deviation over splits (n - 1).
    pub sd: f64,
    /// `mean / (sd * sqrt(1 / n))`; infinite where every split has the same difference.
    pub t: f64,
    /// Two-sided p of `t`, in [0, 1].
    pub p: f64,
    /// `mean / (sd * sqrt(1 / n + test over training rows))`.
    pub t_corrected: f64,
    /// Two-sided p of `t_corrected`, in [0, 1].
    pub p_corrected: f64,
}

impl PairedTest {
    /// Tests finite `differences`, one a split, cut so that there are
    /// `test_over_training` test rows a training row. `None` with fewer than
    /// two splits, which have no spread, and where all differences are zero:
    /// the two models then cannot be told apart by any test.
    pub fn of(differences: &[f64], test_over_training: f64) -> Option<Self> {
        let (mean, sd) = mean_and_sd(differences);
        if !(sd.is_finite() && (sd > 0.0 || mean != 0.0)) {
            return None;
        }
        let n = differences.len() as f64;
        let distribution = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
        let test = |part: f64| {
            let t = mean / (sd * part.sqrt());
            // An infinite t would leave the incomplete beta function without a value.
            let p = if t.is_infinite() { 0.0 } else { 2.0 * distribution.sf(t.abs()) };
            (t, p)
        };
        let ((t, p), (t_corrected, p_corrected)) = (test(1.0 / n), test(1.0 / n + test_over_training));
        Some(Self { mean, sd, t, p, t_corrected, p_corrected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from scipy 1.17: `stats.ttest_1samp` and `2 * stats.t.sf`.
    #[test]
    fn agrees_with_scipy() {
        let differences = [0.031, 0.012, 0.054, -0.008, 0.027, 0.019, 0.041, 0.003, 0.022, 0.036];
        let test = PairedTest::of(&differences, TEST_OVER_TRAINING).unwrap();
        let got = [test.mean, test.sd, test.t, test.p, test.t_corrected, test.p_corrected];
        let expected = [
            0.0237,
            0.018_342_724_867_247_93,
            4.085_869_525_296_717,
            0.002_733_882_260_272_737,
            2.723_913_016_864_478,
            0.023_457_080_813_824_21,
        ];
        for (got, want) in got.iter().zip(expected) {
            assert!((got - want).abs() < 1e-12 * want.abs().max(1.0), "{got} is not {want}");
        }
        let few = PairedTest::of(&[0.5, 0.25], 0.0).unwrap();
        assert!((few.t - 3.0).abs() < 1e-12 && (few.p - 0.204_832_764_699_133_4).abs() < 1e-12);
        assert_eq!((few.t, few.p), (few.t_corrected, few.p_corrected), "no test rows, no correction");
    }

    #[test]
    fn the_sign_of_the_difference_does_not_change_p() {
        let [up, down] = [[0.2, 0.1, 0.4], [-0.2, -0.1, -0.4]].map(|d| PairedTest::of(&d, 0.125).unwrap());
        assert!(up.t == -down.t && up.p == down.p && up.p_corrected == down.p_corrected);
        assert!(up.p < up.p_corrected && up.p_corrected < 1.0);
    }

    #[test]
    fn what_no_test_can_tell_has_none() {
        assert_eq!(PairedTest::of(&[], 0.125), None);
        assert_eq!(PairedTest::of(&[0.5], 0.125), None);
        assert_eq!(PairedTest::of(&[0.0, 0.0], 0.125), None);
        assert_eq!(PairedTest::of(&[0.5, f64::INFINITY], 0.125), None);
        let constant = PairedTest::of(&[-0.25, -0.25], 0.125).unwrap();
        assert!(constant.t == f64::NEG_INFINITY && constant.p == 0.0 && constant.p_corrected == 0.0);
    }
}
