//! Stretches of a long response table, read on all threads.

use super::join::{Found, Lookup};
use super::match_report::{ResponseMatch, remember};
use super::response::Columns;
use super::survey::{STRETCH, Survey};
use super::table::{Mark, Table};
use crate::store::PairBlock;
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What to take from the rows of a table: those of one dataset.
pub(super) struct Job<'a> {
    pub columns: &'a Columns,
    /// Column, name and units of the endpoints that some row has.
    pub endpoints: Vec<&'a (usize, String, String)>,
    pub drugs: &'a Lookup,
    pub samples: &'a Lookup,
    /// Dataset of each row of the table.
    pub of_row: &'a [u16],
    /// The dataset.
    pub code: u16,
}

/// What a stretch gives.
pub(super) struct Taken {
    /// Its pairs; the codes of labels are indices into `texts`.
    pub pairs: PairBlock,
    /// The distinct texts of each label.
    pub texts: Vec<Vec<String>>,
    /// Pairs without a value, an endpoint.
    pub missing: Vec<u64>,
    /// Why rows did not join.
    pub found: ResponseMatch,
}

/// The stretches of a table that hold rows of a dataset, in blocks of a few.
pub(super) struct Stretches<'a> {
    job: &'a Job<'a>,
    path: &'a Path,
    marks: &'a [Mark],
    /// Numbers of the stretches to read.
    numbers: Vec<usize>,
    at_once: usize,
    /// The table itself, where it cannot be read but from its beginning to its end.
    whole: Option<Mutex<Table>>,
}

impl<'a> Stretches<'a> {
    /// Of `table`, which lies at `path` and stands at its beginning.
    pub fn new(table: Table, path: &'a Path, survey: &'a Survey, job: &'a Job) -> Stretches<'a> {
        let any = |&stretch: &usize| job.of_row[rows(stretch, job)].contains(&job.code);
        let mut numbers: Vec<usize> = (0..survey.marks.len()).filter(any).collect();
        let whole = (!table.can_seek()).then(|| {
            numbers = (0..numbers.last().map_or(0, |last| last + 1)).collect();
            Mutex::new(table)
        });
        let at_once = 2 * rayon::current_num_threads();
        Stretches { job, path, marks: &survey.marks, numbers, at_once, whole }
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.numbers.len().div_ceil(self.at_once)
    }

    /// Reads a block. Blocks have to be read in their order.
    pub fn take(&self, block: usize) -> Vec<Result<Taken>> {
        let begin = block * self.at_once;
        let numbers = &self.numbers[begin..self.numbers.len().min(begin + self.at_once)];
        let rows = |stretch: usize| rows(stretch, self.job);
        match &self.whole {
            Some(table) => {
                let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                numbers.iter().map(|&n| take(&mut table, rows(n), self.path, self.job)).collect()
            }
            None => numbers
                .par_iter()
                .map(|&n| {
                    let mut table = Table::open(self.path)?;
                    table.seek(self.marks[n])?;
                    take(&mut table, rows(n), self.path, self.job)
                })
                .collect(),
        }
    }
}

/// The rows of a stretch.
fn rows(stretch: usize, job: &Job) -> Range<usize> {
    stretch * STRETCH..job.of_row.len().min((stretch + 1) * STRETCH)
}

/// Reads the next rows of `table`, which are those numbered `rows`.
fn take(table: &mut Table, rows: Range<usize>, path: &Path, job: &Job) -> Result<Taken> {
    let Columns { drug: drug_key, sample: sample_key, dose, labels, .. } = job.columns;
    let (mut found, mut missing) = (ResponseMatch::default(), vec![0; job.endpoints.len()]);
    let mut texts: Vec<Texts> = labels.iter().map(|_| Texts::default()).collect();
    let mut block = PairBlock {
        endpoints: vec![Vec::new(); job.endpoints.len()],
        labels: vec![Vec::new(); labels.len()],
        ..PairBlock::default()
    };
    let (mut drug_id, mut sample_id, mut folded) = (Vec::new(), Vec::new(), Vec::new());
    let (mut last_id, mut last_sample) = (Vec::new(), Found::Unknown);
    for row in rows {
        if !table.advance()? {
            return Err(Error::table(path, table.line(), "the table became shorter while it was read"));
        }
        if job.of_row[row] != job.code {
            continue;
        }
        let named = drug_key.fill(table, &mut drug_id);
        if !sample_key.fill(table, &mut sample_id) || !named {
            found.missing_id += 1;
            continue;
        }
        // Tables are mostly in the order of their samples.
        if sample_id != last_id {
            last_sample = job.samples.find(&sample_id, &mut folded);
            last_id.clone_from(&sample_id);
        }
        let (drug, sample) = (job.drugs.find(&drug_id, &mut folded), last_sample);
        let (Found::One(drug), Found::One(sample)) = (drug, sample) else {
            count_reason(&mut found, (drug, &drug_id), (sample, &sample_id));
            continue;
        };
        if let Some((column, unit)) = dose {
            let Some(dose) = unit.log10_molar(table.number(*column)?) else {
                found.no_dose += 1;
                continue;
            };
            block.dose.push(dose);
        }
        for ((values, missing), (column, ..)) in
            block.endpoints.iter_mut().zip(&mut missing).zip(&job.endpoints)
        {
            let value = table.number(*column)?;
            *missing += u64::from(value.is_nan());
            values.push(value);
        }
        for ((codes, texts), (column, _)) in block.labels.iter_mut().zip(&mut texts).zip(labels) {
            codes.push(texts.code(table, *column)?);
        }
        block.drug.push(drug);
        block.sample.push(sample);
        block.row.push(row as u64);
    }
    Ok(Taken { pairs: block, texts: texts.into_iter().map(|t| t.values).collect(), missing, found })
}

/// The distinct texts of a label in a stretch, which has fewer rows than there are codes.
#[derive(Default)]
struct Texts {
    codes: HashMap<Vec<u8>, u16>,
    values: Vec<String>,
    last: u16,
}

impl Texts {
    fn code(&mut self, table: &Table, column: usize) -> Result<u16> {
        let text = table.cell(column);
        if self.values.get(usize::from(self.last)).is_some_and(|last| last.as_bytes() == text) {
            return Ok(self.last);
        }
        self.last = match self.codes.get(text) {
            Some(&code) => code,
            None => {
                let code = self.values.len() as u16;
                self.values.push(table.text(column)?);
                self.codes.insert(text.to_vec(), code);
                code
            }
        };
        Ok(self.last)
    }
}

fn count_reason(found: &mut ResponseMatch, drug: (Found, &[u8]), sample: (Found, &[u8])) {
    match (drug.0, sample.0) {
        (Found::Unknown, Found::Unknown) => found.unknown_both += 1,
        (Found::Unknown, _) => found.unknown_drug += 1,
        (_, Found::Unknown) => found.unknown_sample += 1,
        _ => found.ambiguous += 1,
    }
    for (_, key) in
        [drug, sample].into_iter().filter(|&(f, key)| !matches!(f, Found::One(_)) && !key.is_empty())
    {
        remember(&mut found.examples, key);
    }
}
