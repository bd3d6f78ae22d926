use crate::device::philox::{Stream, key, philox4x32_10};
use crate::{Error, Result};
use std::path::Path;

/// Truth and prediction of some rows of a table of predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The endpoint, as the header names it.
    pub endpoint: String,
    /// Rows with both values in the whole table.
    pub rows: u64,
    /// Rows with a finite truth and no finite prediction, which are not among
    /// `rows`: a model that diverged leaves them.
    pub unpredicted: u64,
    /// (truth, prediction) of all rows, or of evenly drawn ones of a long table.
    pub points: Vec<(f32, f32)>,
}

impl Sample {
    /// A sentence on the rows of `table` left out for want of a prediction.
    pub fn without_prediction(&self, table: &Path) -> Option<String> {
        let (left_out, of) = (self.unpredicted, self.unpredicted + self.rows);
        let say = || format!("{}: {left_out} of {of} rows have no finite prediction.", table.display());
        (left_out > 0).then(say)
    }
}

/// Reads a table of predictions in bounded memory: every row is counted, and
/// at most `limit` of them are kept, drawn evenly and the same ones each time
/// (reservoir sampling, Vitter's algorithm R). Rows without a finite truth are
/// passed over, and those with one but no finite prediction are counted apart.
/// `endpoint` chooses among several `<endpoint>_true` columns; without it the
/// first is taken.
pub fn read_sample(path: &Path, endpoint: Option<&str>, limit: usize) -> Result<Sample> {
    let broken = |e: csv::Error| Error::csv(path, e);
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(broken)?;
    let header = reader.headers().map_err(broken)?;
    let (name, truth_at, pred_at) = columns(header, endpoint)
        .ok_or_else(|| Error::table(path, 1, "has no columns <endpoint>_true and <endpoint>_pred"))?;
    let mut sample = Sample { endpoint: name, rows: 0, unpredicted: 0, points: Vec::new() };
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(broken)? {
        let value = |at: usize| {
            let cell = record.get(at).unwrap_or_default().trim_ascii();
            if cell.is_empty() {
                return Ok(f32::NAN);
            }
            fast_float2::parse::<f32, _>(cell).map_err(|_| {
                let line = record.position().map_or(0, |p| p.line());
                Error::table(path, line, format!("{:?} is not a number", String::from_utf8_lossy(cell)))
            })
        };
        let point = (value(truth_at)?, value(pred_at)?);
        if !(point.0.is_finite() && point.1.is_finite()) {
            sample.unpredicted += u64::from(point.0.is_finite());
            continue;
        }
        sample.rows += 1;
        if sample.points.len() < limit {
            sample.points.push(point);
        } else if let Some(kept) = sample.points.get_mut(drawn(sample.rows)) {
            *kept = point;
        }
    }
    Ok(sample)
}

fn columns(header: &csv::StringRecord, endpoint: Option<&str>) -> Option<(String, usize, usize)> {
    let at = |name: &str, suffix: &str| header.iter().position(|h| h.strip_suffix(suffix) == Some(name));
    let complete = |name: &str| Some((name.to_string(), at(name, "_true")?, at(name, "_pred")?));
    match endpoint {
        Some(name) => complete(name),
        None => header.iter().filter_map(|h| h.strip_suffix("_true")).find_map(complete),
    }
}

/// One of `0..rows`, always the same one.
fn drawn(rows: u64) -> usize {
    let [low, high, ..] = philox4x32_10(Stream::Rows.counter(rows as u32, (rows >> 32) as u32, 0, 0), key(0));
    ((u64::from(high) << 32 | u64::from(low)) % rows) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_counted_whole_and_drawn_evenly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_y_data_predicted.csv");
        let rows: String = (0..10_000).map(|i| format!("CCLE,{i},{}\n", -i)).collect();
        std::fs::write(&path, format!("source,auc_true,auc_pred\n{rows}CCLE,,0.5\nCCLE,0.5,NaN\n")).unwrap();
        let sample = read_sample(&path, None, 1000).unwrap();
        assert_eq!((sample.endpoint.as_str(), sample.rows, sample.points.len()), ("auc", 10_000, 1000));
        assert_eq!(sample.unpredicted, 1);
        assert!(sample.points.iter().all(|&(truth, pred)| truth == -pred));
        let mean = sample.points.iter().map(|p| p.0 as f64).sum::<f64>() / 1000.0;
        assert!((mean - 4999.5).abs() < 300.0, "mean of the drawn rows is {mean}");
        assert_eq!(sample, read_sample(&path, Some("auc"), 1000).unwrap());
    }

    #[test]
    fn bad_tables_are_refused_naming_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_y_data_predicted.csv");
        for (text, said) in [
            ("auc_true,ic50_pred\n", ":1: has no columns"),
            ("auc_true,auc_pred\n0.5,high\n", ":2: \"high\""),
            ("auc_true,auc_pred\n0.5,0.5\n0.5\n", ":3:"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = read_sample(&path, None, 10).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }
}
