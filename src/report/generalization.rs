use super::tree::Run;
use crate::metric::{Metric, mean_and_sd};
use ndarray::Array2;

/// The generalization matrices of a model for one metric, as the cross-study
/// analysis of IMPROVE defines them (Partin et al., "Benchmarking community
/// drug response prediction models", 2025) and its post-processing computes
/// them: G is averaged over splits first, and Ga, Gn and Gna are taken from
/// that mean. NaN marks what was not scored; a mean over targets passes over
/// it.
#[derive(Debug, Clone)]
pub struct Generalization {
    /// Mean over splits, `[sources, targets]`.
    pub mean: Array2<f64>,
    /// Sample standard deviation over splits (n - 1, as pandas has it), NaN for
    /// fewer than two, `[sources, targets]`.
    pub std: Array2<f64>,
    /// Gn: each row of `mean` over the source's score on itself,
    /// `[sources, targets]`; NaN in the rows of sources without one, or with zero.
    pub normalised: Array2<f64>,
    /// Ga: mean of each row of `mean` without the source itself, `[sources]`.
    pub aggregated: Vec<f64>,
    /// Gna: mean of each row of `normalised` without the source itself, `[sources]`.
    pub normalised_aggregated: Vec<f64>,
}

impl Generalization {
    /// The matrices of `run` for `metric`.
    pub fn of(run: &Run, metric: Metric) -> Self {
        let shape = (run.sources.len(), run.targets.len());
        let mut mean = Array2::from_elem(shape, f64::NAN);
        let mut std = mean.clone();
        for (s, t) in ndarray::indices(shape) {
            let values: Vec<f64> = run.values(metric, s, t).into_iter().map(|(_, v)| v).collect();
            (mean[(s, t)], std[(s, t)]) = mean_and_sd(&values);
        }
        let itself = |s: usize| run.targets.iter().position(|t| *t == run.sources[s]);
        let own = |s: usize| itself(s).map_or(f64::NAN, |t| mean[(s, t)]);
        let normalised = Array2::from_shape_fn(shape, |(s, t)| {
            let part = mean[(s, t)] / own(s);
            if part.is_finite() { part } else { f64::NAN }
        });
        let aggregate = |matrix: &Array2<f64>| {
            let others = |s: usize| {
                let row = matrix.row(s).into_iter().enumerate();
                row.filter(|&(t, v)| Some(t) != itself(s) && !v.is_nan()).map(|(_, &v)| v).collect::<Vec<_>>()
            };
            (0..shape.0).map(|s| mean_and_sd(&others(s)).0).collect::<Vec<f64>>()
        };
        Self {
            aggregated: aggregate(&mean),
            normalised_aggregated: aggregate(&normalised),
            mean,
            std,
            normalised,
        }
    }
}
