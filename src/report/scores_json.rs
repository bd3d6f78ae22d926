use super::json;
use crate::metric::{Metric, Scores};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

/// Scores over a part of a target's pairs, with the number of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Subset {
    /// Pairs in the part.
    pub n: u64,
    /// Scores over them; NaN where there are too few to score.
    #[serde(flatten)]
    pub scores: Scores,
}

/// `strict_scores.json`: a target scored only where the source's training
/// rows cannot have shown the answer (DrEval, Bernett et al. 2025). `None`
/// where a part was not scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StrictScores {
    /// Every pair, for its number; absent from trees of other programs.
    pub all: Option<Subset>,
    /// Pairs (drug, sample) that are not in the training rows.
    pub unseen_pairs: Option<Subset>,
    /// Pairs whose sample is not in the training rows.
    pub unseen_samples: Option<Subset>,
    /// Pairs whose drug is not in the training rows.
    pub unseen_drugs: Option<Subset>,
    /// Pairs of which neither is.
    pub unseen_both: Option<Subset>,
}

impl StrictScores {
    /// Key in the file, name for a reader, and value of each part.
    pub fn parts(&self) -> [(&'static str, &'static str, Option<Subset>); 5] {
        [
            ("all", "all pairs", self.all),
            ("unseen_pairs", "unseen pairs", self.unseen_pairs),
            ("unseen_samples", "unseen samples", self.unseen_samples),
            ("unseen_drugs", "unseen drugs", self.unseen_drugs),
            ("unseen_both", "neither seen", self.unseen_both),
        ]
    }
}

/// Writes `test_scores.json` or `val_scores.json`: the five metrics by the
/// names and in the layout of `improvelib`, null where one is not defined.
pub fn write(path: &Path, scores: &Scores) -> Result<()> {
    json::write(path, scores)
}

/// Reads a file that [`write()`] or `improvelib` wrote. Other keys are passed
/// over and metrics that are absent or null become NaN, but a file with none
/// of the five is refused.
pub fn read(path: &Path) -> Result<Scores> {
    from_object(path, &json::read::<Map<String, Value>>(path)?)
}

/// Writes `strict_scores.json`.
pub fn write_strict(path: &Path, strict: &StrictScores) -> Result<()> {
    json::write(path, strict)
}

/// Reads `strict_scores.json`.
pub fn read_strict(path: &Path) -> Result<StrictScores> {
    let object: Map<String, Value> = json::read(path)?;
    let part = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => {
            let n = part.get("n").and_then(Value::as_u64);
            let n = n.ok_or_else(|| Error::run(path, format!("{key}: n is not a number of pairs")))?;
            Ok(Some(Subset { n, scores: from_object(path, part)? }))
        }
        Some(_) => Err(Error::run(path, format!("{key}: is not an object"))),
    };
    Ok(StrictScores {
        all: part("all")?,
        unseen_pairs: part("unseen_pairs")?,
        unseen_samples: part("unseen_samples")?,
        unseen_drugs: part("unseen_drugs")?,
        unseen_both: part("unseen_both")?,
    })
}

fn from_object(path: &Path, object: &Map<String, Value>) -> Result<Scores> {
    if !Metric::ALL.iter().any(|m| object.contains_key(m.name())) {
        return Err(Error::run(path, "holds none of mse, rmse, pcc, scc, r2"));
    }
    let value = |metric: Metric| match object.get(metric.name()) {
        None | Some(Value::Null) => Ok(f64::NAN),
        Some(value) => value
            .as_f64()
            .ok_or_else(|| Error::run(path, format!("{}: {value} is not a number", metric.name()))),
    };
    Ok(Scores {
        mse: value(Metric::Mse)?,
        rmse: value(Metric::Rmse)?,
        pcc: value(Metric::Pcc)?,
        scc: value(Metric::Scc)?,
        r2: value(Metric::R2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: Scores = Scores { mse: 0.01, rmse: 0.1, pcc: 0.9, scc: 0.875, r2: f64::NAN };

    #[test]
    fn scores_are_laid_out_as_json_dump_does_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_scores.json");
        write(&path, &SCORES).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "{\n    \"mse\": 0.01,\n    \"rmse\": 0.1,\n    \"pcc\": 0.9,\n    \"scc\": 0.875,\n    \"r2\": null\n}\n";
        assert_eq!(text, expected);
        let back = read(&path).unwrap();
        assert_eq!((back.mse, back.scc), (0.01, 0.875));
        assert!(back.r2.is_nan());
    }

    #[test]
    fn strict_scores_keep_their_counts_and_their_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strict_scores.json");
        let scores = Scores { r2: 0.5, ..SCORES };
        let strict = StrictScores { unseen_drugs: Some(Subset { n: 12, scores }), ..Default::default() };
        write_strict(&path, &strict).unwrap();
        assert_eq!(read_strict(&path).unwrap(), strict);
    }

    #[test]
    fn files_of_other_shapes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        for (text, said) in
            [("{\"r2\": \"high\"}", "r2"), ("{}", "none of"), ("[1]", "JSON"), ("{\"r2\"", "JSON")]
        {
            std::fs::write(&path, text).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(said) && message.contains("scores.json"), "{message}");
        }
        std::fs::write(&path, "{\"unseen_pairs\": {\"n\": -1}}").unwrap();
        assert!(read_strict(&path).unwrap_err().to_string().contains("unseen_pairs"));
    }
}
