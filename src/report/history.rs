use crate::metric::Epoch;
use crate::{Error, Result, atomic};
use std::io::{self, Write};
use std::path::Path;

const COLUMNS: &str = "epoch,step,learning_rate,train_loss,val_loss,val_r2,seconds";

/// Writes a whole `history.csv`; what is not defined is empty.
pub fn write(path: &Path, epochs: &[Epoch]) -> Result<()> {
    atomic::write_file(path, |mut w| {
        writeln!(w, "{COLUMNS}")?;
        epochs.iter().try_for_each(|epoch| write_row(&mut w, epoch))
    })
}

/// More epochs than any training has; a larger number is not one.
const MOST_EPOCHS: f64 = 1e6;

/// Reads a `history.csv`. Its columns may stand in any order among others.
/// Refuses epochs that are not whole, not ascending or not from 1 to a million.
pub fn read(path: &Path) -> Result<Vec<Epoch>> {
    let broken = |e: csv::Error| Error::csv(path, e);
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(broken)?;
    let header = reader.headers().map_err(broken)?.clone();
    let mut at = [0; 7];
    for (place, name) in at.iter_mut().zip(COLUMNS.split(',')) {
        let found = header.iter().position(|h| h == name);
        *place = found.ok_or_else(|| Error::table(path, 1, format!("has no column {name}")))?;
    }
    let mut epochs = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(0, |p| p.line());
        let number = |i: usize| match &record[at[i]] {
            "" => Ok(f64::NAN),
            cell => cell.parse::<f64>().map_err(|_| {
                Error::table(path, line, format!("{}: {cell:?} is not a number", &header[at[i]]))
            }),
        };
        let (epoch, step) = (number(0)?, number(1)?);
        let last = epochs.last().map_or(0, |e: &Epoch| e.epoch);
        if epoch.fract() != 0.0 || !(f64::from(last) + 1.0..=MOST_EPOCHS).contains(&epoch) {
            let what = format!("epoch: {epoch} is not a whole number from {} to {MOST_EPOCHS}", last + 1);
            return Err(Error::table(path, line, what));
        }
        // Up to here every whole number is an f64.
        if step.fract() != 0.0 || !(0.0..=9_007_199_254_740_992.0).contains(&step) {
            return Err(Error::table(path, line, format!("step: {step} is not a number of steps")));
        }
        epochs.push(Epoch {
            epoch: epoch as u32,
            step: step as u64,
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
    write!(w, "{epoch},{step}")?;
    for value in [learning_rate, train_loss, val_loss, val_r2] {
        if value.is_nan() { write!(w, ",")? } else { write!(w, ",{value}")? }
    }
    writeln!(w, ",{seconds:.3}")
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
        assert_eq!(text, format!("{COLUMNS}\n1,20,0.001,0.25,0.125,0.5,1.500\n2,20,0.001,0.25,,0.5,1.500\n"));
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
        for epoch in ["1e10", "1.5", "0", "-1", "NaN", "", "inf"] {
            std::fs::write(&path, format!("{COLUMNS}\n{epoch},20,0.001,0.1,0.1,0.5,1\n")).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains("history.csv:2: epoch"), "{message}");
        }
        let row = "1,20,0.001,0.1,0.1,0.5,1\n";
        std::fs::write(&path, format!("{COLUMNS}\n{row}{row}")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("history.csv:3: epoch"));
        std::fs::write(&path, format!("{COLUMNS}\n1,1e300,0.001,0.1,0.1,0.5,1\n")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("history.csv:2: step"));
        std::fs::write(&path, "epoch,step\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("learning_rate"));
    }
}
