use crate::metric::Scores;

/// The five scores of a regression, in the order that `improvelib` writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricKind {
    /// Mean squared error.
    Mse,
    /// Root of it.
    Rmse,
    /// Pearson's correlation.
    Pcc,
    /// Spearman's rank correlation.
    Scc,
    /// Coefficient of determination.
    R2,
}

impl MetricKind {
    /// All of them.
    pub const ALL: [MetricKind; 5] =
        [MetricKind::Mse, MetricKind::Rmse, MetricKind::Pcc, MetricKind::Scc, MetricKind::R2];

    /// Key in `test_scores.json` and value of the `met` column.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Mse => "mse",
            MetricKind::Rmse => "rmse",
            MetricKind::Pcc => "pcc",
            MetricKind::Scc => "scc",
            MetricKind::R2 => "r2",
        }
    }

    /// Name for a reader.
    pub fn title(self) -> &'static str {
        match self {
            MetricKind::Mse => "Mean squared error",
            MetricKind::Rmse => "Root mean squared error",
            MetricKind::Pcc => "Pearson correlation",
            MetricKind::Scc => "Spearman correlation",
            MetricKind::R2 => "R²",
        }
    }

    /// Whether a smaller value is the better one.
    pub fn is_error(self) -> bool {
        matches!(self, MetricKind::Mse | MetricKind::Rmse)
    }

    /// This score, NaN where it is not defined.
    pub fn of(self, scores: &Scores) -> f64 {
        match self {
            MetricKind::Mse => scores.mse,
            MetricKind::Rmse => scores.rmse,
            MetricKind::Pcc => scores.pcc,
            MetricKind::Scc => scores.scc,
            MetricKind::R2 => scores.r2,
        }
    }
}
