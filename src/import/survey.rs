//! The first pass over a long response table.

use super::cell::{Cell, look};
use super::join::Template;
use super::table::{Mark, Table};
use crate::store::names;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// More datasets in one table are a wrong column.
const MOST_DATASETS: usize = 10_000;

/// Rows of a stretch, a piece of work for a thread; no more than there are 16-bit codes.
pub(super) const STRETCH: usize = 1 << 14;

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Nothing.
    Empty,
    /// Numbers, or nothing.
    Numbers,
    /// Something else, first on this 1-based line; above it perhaps numbers.
    Text { line: u64, numbers: bool },
}

impl ColumnKind {
    /// Counts the cell of the present record.
    fn see(&mut self, cell: Cell, table: &Table) {
        *self = match (*self, cell) {
            (ColumnKind::Empty, Cell::Number(_) | Cell::Infinite) => ColumnKind::Numbers,
            (ColumnKind::Empty, Cell::Text) => ColumnKind::Text { line: table.line(), numbers: false },
            (ColumnKind::Numbers, Cell::Text) => ColumnKind::Text { line: table.line(), numbers: true },
            (seen, _) => seen,
        }
    }
}

/// The first pass over a table: which datasets, where, and what they measure.
pub(super) struct Survey {
    pub datasets: Vec<Part>,
    /// Dataset of each row, an index into `datasets`.
    pub of_row: Vec<u16>,
    /// Where each [`STRETCH`] of rows begins.
    pub marks: Vec<Mark>,
    /// Kinds of the columns looked at, `Empty` for the others, `[columns of the table]`.
    pub kinds: Vec<ColumnKind>,
}

/// The rows of one dataset.
pub(super) struct Part {
    pub name: String,
    /// How many there are.
    pub rows: u64,
    /// Whether any row has a value, `[columns of the table]`.
    pub measured: Vec<bool>,
}

/// Reads the table at `path` for its datasets, named by `dataset`, and for what
/// the columns `looked_at` hold.
pub(super) fn survey(path: &Path, dataset: &Template, looked_at: &[usize]) -> Result<Survey> {
    let mut table = Table::open(path)?;
    let width = table.header().len();
    let mut survey = Survey {
        datasets: Vec::new(),
        of_row: Vec::new(),
        marks: Vec::new(),
        kinds: vec![ColumnKind::Empty; width],
    };
    let mut codes: HashMap<Vec<u8>, u16> = HashMap::new();
    let (mut name, mut last) = (Vec::new(), (Vec::new(), 0u16));
    while table.advance()? {
        if survey.of_row.len().is_multiple_of(STRETCH) {
            survey.marks.push(table.mark());
        }
        if !dataset.fill(&table, &mut name) {
            return Err(table.fault("the row names no dataset"));
        }
        if name != last.0 {
            let code = match codes.get(&name) {
                Some(&code) => code,
                None if codes.len() >= MOST_DATASETS => {
                    return Err(
                        table.fault(format!("more than {MOST_DATASETS} datasets; is the column right?"))
                    );
                }
                None => {
                    let code = codes.len() as u16;
                    codes.insert(name.clone(), code);
                    let text = String::from_utf8(name.clone())
                        .map_err(|_| table.fault("the dataset is not UTF-8"))?;
                    if let Some(why) = names::why_not_dataset(&text) {
                        return Err(table.fault(why));
                    }
                    survey.datasets.push(Part { name: text, rows: 0, measured: vec![false; width] });
                    code
                }
            };
            last = (name.clone(), code);
        }
        let part = &mut survey.datasets[usize::from(last.1)];
        part.rows += 1;
        for &column in looked_at {
            let (kind, measured) = (&mut survey.kinds[column], &mut part.measured[column]);
            if *measured && matches!(kind, ColumnKind::Text { .. }) {
                continue;
            }
            let cell = look(table.cell(column));
            *measured |= cell != Cell::Missing;
            kind.see(cell, &table);
        }
        survey.of_row.push(last.1);
    }
    if survey.of_row.is_empty() {
        return Err(Error::table(path, 1, "has a header and no rows"));
    }
    if u32::try_from(survey.of_row.len()).is_err() {
        return Err(Error::table(path, 1, format!("has more than {} rows", u32::MAX)));
    }
    Ok(survey)
}
