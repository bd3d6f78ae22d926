use super::Scores;

/// The five scores of a regression, in the order that `improvelib` writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
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

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 5] = [Metric::Mse, Metric::Rmse, Metric::Pcc, Metric::Scc, Metric::R2];

    /// Key in `test_scores.json` and value of the `met` column.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Mse => "mse",
            Metric::Rmse => "rmse",
            Metric::Pcc => "pcc",
            Metric::Scc => "scc",
            Metric::R2 => "r2",
        }
    }

    /// Name for a reader.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Mse => "Mean squared error",
            Metric::Rmse => "Root mean squared error",
            Metric::Pcc => "Pearson correlation",
            Metric::Scc => "Spearman correlation",
            Metric::R2 => "R²",
        }
    }

    /// Whether a smaller value is the better one.
    pub fn is_error(self) -> bool {
        matches!(self, Metric::Mse | Metric::Rmse)
    }

    /// This score, NaN where it is not defined.
    pub fn of(self, scores: &Scores) -> f64 {
        match self {
            Metric::Mse => scores.mse,
            Metric::Rmse => scores.rmse,
            Metric::Pcc => scores.pcc,
            Metric::Scc => scores.scc,
            Metric::R2 => scores.r2,
        }
    }
}
