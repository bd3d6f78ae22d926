use crate::Result;
use crate::device::cuda::Precision;
use serde::Serialize;
use std::fmt;

/// What came of a case in a precision.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Its name.
    pub case: String,
    /// In which numbers the device computed.
    pub precision: Precision,
    /// The largest difference of what is compared, as a part of the largest value; absent where the
    /// device came to no number.
    pub largest: Option<f64>,
    /// What it may be at most.
    pub allowed: f64,
    /// What it is of; or what went wrong.
    pub remark: String,
    /// Whether it is within that.
    pub passed: bool,
}

impl Outcome {
    /// Of what was found on the device: the largest difference, and what it is of.
    pub(super) fn new(
        case: impl Into<String>,
        precision: Precision,
        allowed: f64,
        found: Result<(f64, String)>,
    ) -> Self {
        let (largest, remark) = match found {
            Ok((largest, remark)) => (largest.is_finite().then_some(largest), remark),
            Err(error) => (None, error.to_string()),
        };
        let passed = largest.is_some_and(|largest| largest <= allowed);
        Self { case: case.into(), precision, largest, allowed, remark, passed }
    }

    /// What stands above the lines of outcomes.
    pub fn header() -> String {
        format!("{:<46}  {:<5}  {:>9}  {:>9}  {:<6}  of\n", "case", "in", "largest", "allowed", "")
    }
}

/// A line of the table.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, largest, allowed, remark, passed, .. } = self;
        let precision = format!("{:?}", self.precision).to_lowercase();
        let largest = largest.map_or_else(|| "none".into(), |largest| format!("{largest:.1e}"));
        let word = if *passed { "ok" } else { "FAILED" };
        writeln!(f, "{case:<46}  {precision:<5}  {largest:>9}  {allowed:>9.1e}  {word:<6}  {remark}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn an_outcome_is_a_line_and_passes_within_what_is_allowed() {
        let line = |found| Outcome::new("add", Precision::Tf32, 0.01, found);
        let close = line(Ok((0.01, "output".into())));
        assert!(close.passed);
        let columns =
            |outcome: &Outcome| outcome.to_string().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(columns(&close), ["add", "tf32", "1.0e-2", "1.0e-2", "ok", "output"]);
        assert!(!line(Ok((0.0101, String::new()))).passed);
        let none = line(Ok((f64::INFINITY, "output".into())));
        assert!(!none.passed && none.largest.is_none());
        let failed = line(Err(Error::Device("lost".into())));
        assert_eq!(columns(&failed), ["add", "tf32", "none", "1.0e-2", "FAILED", "device:", "lost"]);
    }
}
