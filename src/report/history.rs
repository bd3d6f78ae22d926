use crate::metric::Epoch;
use crate::{Error, Result, atomic};
use std::io::{self, Write};
use std::path::Path;

const COLUMNS: &str = "epoch,step,learning_rate,train_loss,val_loss,val_r2,seconds";

/// Writes a whole `history.csv`.
pub fn write(path: &Path, epochs: &[Epoch]) -> Result<()> {
    atomic::write_file(path, |mut w| {
        writeln!(w, "{COLUMNS}")?;
        epochs.iter().try_for_each(|epoch| write_row(&mut w, epoch))
    })
}

/// Reads a `history.csv`. Its columns may stand in any order among others.
pub fn read(path: &Path) -> Result<Vec<Epoch>> {
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(|e| broken(path, &e))?;
    let header = reader.headers().map_err(|e| broken(path, &e))?.clone();
    let mut at = [0; 7];
    for (place, name) in at.iter_mut().zip(COLUMNS.split(',')) {
        let found = header.iter().position(|h| h == name);
        *place = found.ok_or_else(|| Error::table(path, 1, format!("has no column {name}")))?;
    }
    let mut epochs = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| broken(path, &e))? {
        let line = record.position().map_or(0, |p| p.line());
        let number = |i: usize| match &record[at[i]] {
            "" => Ok(f64::NAN),
            cell => cell.parse::<f64>().map_err(|_| {
                Error::table(path, line, format!("{}: {cell:?} is not a number", &header[at[i]]))
            }),
        };
        epochs.push(Epoch {
            epoch: number(0)? as u32,
            step: number(1)? as u64,
            learning_rate: number(2)?,
            train_loss: number(3)?,
            val_loss: number(4)?,
            val_r2: number(5)?,
            seconds: number(6)?,
        });
    }
    Ok(epochs)
}

fn write_row(w: &mut impl Write, epoch: &Epoch) -> io::Result<()> {
    let Epoch { epoch, step, learning_rate, train_loss, val_loss, val_r2, seconds } = epoch;
    writeln!(w, "{epoch},{step},{learning_rate},{train_loss},{val_loss},{val_r2},{seconds:.3}")
}

fn broken(path: &Path, e: &csv::Error) -> Error {
    Error::table(path, e.position().map_or(1, |p| p.line()), e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u32, val_loss: f64) -> Epoch {
        Epoch {
            epoch: number,
            step: 20,
            learning_rate: 1e-3,
            train_loss: 0.25,
            val_loss,
            val_r2: 0.5,
            seconds: 1.5,
        }
    }

    #[test]
    fn rows_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.csv");
        let epochs = [epoch(1, 0.125), epoch(2, f64::NAN)];
        write(&path, &epochs).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!("{COLUMNS}\n1,20,0.001,0.25,0.125,0.5,1.500\n2,20,0.001,0.25,NaN,0.5,1.500\n")
        );
        let back = read(&path).unwrap();
        assert_eq!(back[0], epochs[0]);
        assert!(back[1].val_loss.is_nan());
    }

    #[test]
    fn a_bad_cell_is_refused_naming_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.csv");
        std::fs::write(&path, format!("{COLUMNS}\n1,20,0.001,high,0.1,0.5,1\n")).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("history.csv:2") && message.contains("train_loss"), "{message}");
        std::fs::write(&path, format!("{COLUMNS}\n1,20\n")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("history.csv:2"));
        std::fs::write(&path, "epoch,step\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("learning_rate"));
    }
}
