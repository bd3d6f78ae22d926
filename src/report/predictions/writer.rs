use crate::{Error, Result, atomic};
use std::io::{self, Write};
use std::path::Path;

/// The values of one response column over a block of rows.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// The same text in every row, such as the name of the dataset.
    Same(&'a str),
    /// `names[codes[i]]` in row i: ids by entity index, labels by code.
    Coded {
        /// Index into `names`, one a row.
        codes: &'a [u32],
        /// The texts.
        names: &'a [String],
    },
    /// A number in its shortest form that reads back as the same f32, empty
    /// where NaN.
    Number(&'a [f32]),
}

/// Writes a table that is never whole in memory: the response `columns`, then
/// truth and prediction of `endpoint`, which are rounded to four decimals as
/// `improvelib` does (in f32, to the nearest even, without trailing zeros). A
/// column of numbers named `endpoint` is rounded alike, since `improvelib`
/// asserts that it equals the truth. `fill` appends the blocks of rows in
/// order; an error from it leaves no file.
pub fn write_blocks(
    path: &Path,
    columns: &[&str],
    endpoint: &str,
    fill: impl FnOnce(&mut PredictionsWriter) -> Result<()>,
) -> Result<()> {
    let mut refused = None;
    let written = atomic::write_file(path, |out| {
        let mut header = csv::Writer::from_writer(&mut *out);
        let last = [format!("{endpoint}_true"), format!("{endpoint}_pred")];
        header.write_record(columns.iter().copied().chain(last.iter().map(String::as_str)))?;
        header.flush()?;
        drop(header);
        let rounded = columns.iter().map(|name| *name == endpoint).collect();
        let mut table = PredictionsWriter { out, path, rounded, row: Vec::new() };
        fill(&mut table).map_err(|e| {
            let stop = io::Error::other("a block of rows was refused");
            refused = Some(e);
            stop
        })
    });
    refused.map_or(written, Err)
}

/// Appends blocks of rows to a table being written by [`write_blocks`].
pub struct PredictionsWriter<'a> {
    out: &'a mut dyn Write,
    path: &'a Path,
    /// Whether the column holds the endpoint, one a response column.
    rounded: Vec<bool>,
    row: Vec<u8>,
}

impl PredictionsWriter<'_> {
    /// Appends rows: one entry of `columns` a response column, then the truth
    /// and the prediction, `[rows]` each. Refuses columns of differing lengths
    /// and codes without a name.
    pub fn append(&mut self, columns: &[Values], truth: &[f32], predicted: &[f32]) -> Result<()> {
        let rows = truth.len();
        self.check(columns, rows, predicted.len())?;
        // A name is quoted once a block instead of once a row.
        let quoted: Vec<Vec<Vec<u8>>> = columns
            .iter()
            .map(|column| match column {
                Values::Same(text) => vec![quote(text)],
                Values::Coded { names, .. } => names.iter().map(|name| quote(name)).collect(),
                Values::Number(_) => Vec::new(),
            })
            .collect();
        let path = self.path;
        let failed = |e| Error::io(path, "cannot write", e);
        for i in 0..rows {
            self.row.clear();
            for ((column, quoted), &rounded) in columns.iter().zip(&quoted).zip(&self.rounded) {
                match column {
                    Values::Same(_) => self.row.extend_from_slice(&quoted[0]),
                    Values::Coded { codes, .. } => self.row.extend_from_slice(&quoted[codes[i] as usize]),
                    Values::Number(values) => {
                        let value = if rounded { four_decimals(values[i]) } else { values[i] };
                        number(&mut self.row, value).map_err(failed)?;
                    }
                }
                self.row.push(b',');
            }
            number(&mut self.row, four_decimals(truth[i])).map_err(failed)?;
            self.row.push(b',');
            number(&mut self.row, four_decimals(predicted[i])).map_err(failed)?;
            self.row.push(b'\n');
            self.out.write_all(&self.row).map_err(failed)?;
        }
        Ok(())
    }

    fn check(&self, columns: &[Values], rows: usize, predicted: usize) -> Result<()> {
        let refuse = |what: String| Err(Error::run(self.path, what));
        if columns.len() != self.rounded.len() {
            return refuse(format!("{} columns given for a header of {}", columns.len(), self.rounded.len()));
        }
        if predicted != rows {
            return refuse(format!("{predicted} predictions for {rows} true values"));
        }
        for (i, column) in columns.iter().enumerate() {
            let length = match column {
                Values::Same(_) => rows,
                Values::Number(values) => values.len(),
                Values::Coded { codes, names } => {
                    if let Some(code) = codes.iter().find(|&&code| code as usize >= names.len()) {
                        return refuse(format!("column {i}: code {code} has no name among {}", names.len()));
                    }
                    codes.len()
                }
            };
            if length != rows {
                return refuse(format!("column {i}: {length} values for {rows} rows"));
            }
        }
        Ok(())
    }
}

fn number(row: &mut Vec<u8>, value: f32) -> io::Result<()> {
    // `{:?}` is the shortest form that reads back, with ".0" on whole numbers as pandas writes it.
    if value.is_nan() { Ok(()) } else { write!(row, "{value:?}") }
}

fn four_decimals(value: f32) -> f32 {
    let scaled = value * 1e4;
    // Beyond 2^23 an f32 has no decimals to round away, and the product may overflow.
    if scaled.abs() < 8_388_608.0 { scaled.round_ties_even() / 1e4 } else { value }
}

fn quote(text: &str) -> Vec<u8> {
    if !text.contains([',', '"', '\n', '\r']) {
        return text.as_bytes().to_vec();
    }
    format!("\"{}\"", text.replace('"', "\"\"")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_quoted_and_rounded_as_pandas_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_y_data_predicted.csv");
        let names = ["Drug_1".to_string(), "a \"b\", c".to_string()];
        let columns = [
            Values::Same("CCLE"),
            Values::Coded { codes: &[0, 1], names: &names },
            Values::Number(&[0.77305, f32::NAN]),
            Values::Number(&[0.123_45, 2.0]),
        ];
        let header = ["source", "improve_chem_id", "auc", "dose"];
        write_blocks(&path, &header, "auc", |t| t.append(&columns, &[0.77305, 1.0], &[0.123_45, -0.000_04]))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "source,improve_chem_id,auc,dose,auc_true,auc_pred\n\
            CCLE,Drug_1,0.773,0.12345,0.773,0.1234\n\
            CCLE,\"a \"\"b\"\", c\",,2.0,1.0,-0.0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn ill_fitting_blocks_are_refused_and_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test_y_data_predicted.csv");
        let names = ["Drug_1".to_string()];
        for (codes, predicted, said) in
            [(&[0u32, 1][..], 2, "code 1"), (&[0], 2, "1 values for 2 rows"), (&[0, 0], 1, "1 predictions")]
        {
            let coded = [Values::Coded { codes, names: &names }];
            let failed = write_blocks(&path, &["drug"], "auc", |table| {
                table.append(&coded, &[0.5, 0.5], &[0.5f32, 0.5][..predicted])
            });
            let message = failed.unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn large_values_keep_their_digits() {
        assert_eq!(four_decimals(1e38), 1e38);
        assert_eq!(four_decimals(-12345.678), -12345.678);
    }
}
