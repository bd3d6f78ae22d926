//! Long response tables, one measurement a row, streamed into datasets.

use super::join::{Found, Lookup, Template};
use super::match_report::{ResponseMatch, remember};
use super::table::{Cell, Mark, Table, parse};
use crate::store::{PairBlock, StoreWriter};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

/// Pairs written at a time.
const BLOCK: usize = 1 << 16;
/// More datasets in one table are a wrong column.
const MOST_DATASETS: usize = 10_000;

/// What the columns of a response table mean.
pub(super) struct Columns {
    pub drug: Template,
    pub sample: Template,
    pub dataset: Template,
    pub dose: Option<(usize, DoseUnit)>,
    /// Column, name and units.
    pub endpoints: Vec<(usize, String, String)>,
    /// Column and name.
    pub labels: Vec<(usize, String)>,
}

/// The unit of a dose column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DoseUnit {
    /// This many molar.
    Molar(f64),
    /// log10 molar.
    Log10,
}

impl FromStr for DoseUnit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "M" => Ok(DoseUnit::Molar(1.0)),
            "mM" => Ok(DoseUnit::Molar(1e-3)),
            "uM" | "µM" | "μM" => Ok(DoseUnit::Molar(1e-6)),
            "nM" => Ok(DoseUnit::Molar(1e-9)),
            "pM" => Ok(DoseUnit::Molar(1e-12)),
            "log10M" => Ok(DoseUnit::Log10),
            other => Err(Error::Request(format!("dose unit {other:?}: use M, mM, uM, nM, pM or log10M"))),
        }
    }
}

impl DoseUnit {
    /// A dose as log10 molar; `None` where it is missing or not positive.
    fn log10_molar(self, dose: f32) -> Option<f32> {
        match self {
            DoseUnit::Molar(one) if dose > 0.0 => Some((f64::from(dose) * one).log10() as f32),
            DoseUnit::Log10 if !dose.is_nan() => Some(dose),
            _ => None,
        }
    }
}

/// Reads `COLUMN:UNIT`.
pub(super) fn dose_column(text: &str, table: &Table) -> Result<(usize, DoseUnit)> {
    let Some((column, unit)) = text.rsplit_once(':') else {
        return Err(Error::Request(format!("--dose {text:?}: write COLUMN:UNIT, such as conc_uM:uM")));
    };
    Ok((table.column(column)?, unit.parse()?))
}

/// Which columns hold numbers, told by the first cell of each that holds anything.
/// `true` for numbers, `false` for text, `None` for a column without any cell.
pub(super) fn numeric_columns(path: &Path) -> Result<Vec<Option<bool>>> {
    let mut table = Table::open(path)?;
    let mut kinds = vec![None; table.header().len()];
    let mut open: Vec<usize> = (0..kinds.len()).collect();
    while !open.is_empty() && table.advance()? {
        open.retain(|&c| {
            kinds[c] = match parse(table.cell(c)) {
                Cell::Missing => None,
                Cell::Text => Some(false),
                Cell::Number(_) | Cell::Infinite => Some(true),
            };
            kinds[c].is_none()
        });
    }
    Ok(kinds)
}

/// The first pass over a table: which datasets, where, and what they measure.
struct Survey {
    datasets: Vec<Part>,
    /// Dataset of each row.
    of_row: Vec<u16>,
}

struct Part {
    name: String,
    first: Mark,
    first_row: u64,
    rows: u64,
    /// For each endpoint, whether any row has it.
    measured: Vec<bool>,
}

/// What became of the rows of a table, to follow split files with: 6 bytes a
/// row are all of the import that grows with the table.
pub(super) struct Rows {
    /// Names of datasets.
    pub datasets: Vec<String>,
    /// Index into `datasets`, a row.
    pub of_row: Vec<u16>,
    /// Index of the pair within its dataset, a row; `DROPPED` where it did not join.
    pub pair: Vec<u32>,
}

/// Mark of a row that did not join.
pub(super) const DROPPED: u32 = u32::MAX;

/// Streams the table at `path` into one dataset for each value of
/// `columns.dataset`, in two passes: one that finds the datasets, one that
/// writes them. An endpoint that no row of a dataset has is left out of it.
pub(super) fn load(
    path: &Path,
    columns: &Columns,
    drugs: &mut Lookup,
    samples: &mut Lookup,
    writer: &mut StoreWriter,
) -> Result<(Vec<ResponseMatch>, Rows)> {
    let survey = survey(path, columns)?;
    let total = survey.of_row.len();
    let mut pair = vec![DROPPED; total];
    let mut matches = Vec::new();
    for (code, part) in survey.datasets.iter().enumerate() {
        matches.push(load_part(path, columns, part, drugs, samples, writer, |row, index| {
            debug_assert_eq!(usize::from(survey.of_row[row as usize]), code);
            pair[row as usize] = index;
        })?);
    }
    let datasets = survey.datasets.into_iter().map(|p| p.name).collect();
    Ok((matches, Rows { datasets, of_row: survey.of_row, pair }))
}

fn survey(path: &Path, columns: &Columns) -> Result<Survey> {
    let mut table = Table::open(path)?;
    let mut survey = Survey { datasets: Vec::new(), of_row: Vec::new() };
    let mut codes: HashMap<Vec<u8>, u16> = HashMap::new();
    let (mut name, mut last) = (Vec::new(), (Vec::new(), 0u16));
    while table.advance()? {
        if !columns.dataset.fill(&table, &mut name) {
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
                    survey.datasets.push(Part {
                        name: String::from_utf8(name.clone())
                            .map_err(|_| table.fault("the dataset is not UTF-8"))?,
                        first: table.mark(),
                        first_row: survey.of_row.len() as u64,
                        rows: 0,
                        measured: vec![false; columns.endpoints.len()],
                    });
                    code
                }
            };
            last = (name.clone(), code);
        }
        let part = &mut survey.datasets[usize::from(last.1)];
        part.rows += 1;
        for (measured, (column, ..)) in part.measured.iter_mut().zip(&columns.endpoints) {
            *measured = *measured || parse(table.cell(*column)) != Cell::Missing;
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

fn load_part(
    path: &Path,
    columns: &Columns,
    part: &Part,
    drugs: &mut Lookup,
    samples: &mut Lookup,
    writer: &mut StoreWriter,
    mut joined: impl FnMut(u64, u32),
) -> Result<ResponseMatch> {
    let mut table = Table::open(path)?;
    let header = table.header().to_vec();
    let mut row = if table.seek(part.first)? { part.first_row } else { 0 };
    let endpoints: Vec<_> =
        columns.endpoints.iter().zip(&part.measured).filter(|&(_, &m)| m).map(|(e, _)| e).collect();
    if endpoints.is_empty() {
        let what = format!("dataset {:?}: no row has a value of any endpoint", part.name);
        return Err(Error::Run { path: path.into(), what });
    }
    let named: Vec<(String, String)> = endpoints.iter().map(|e| (e.1.clone(), e.2.clone())).collect();
    let labels: Vec<String> = columns.labels.iter().map(|(_, name)| name.clone()).collect();
    let mut dataset = writer.dataset(&part.name, &named, columns.dose.is_some(), &labels, &header)?;
    let mut found = ResponseMatch { dataset: part.name.clone(), rows: part.rows, ..ResponseMatch::default() };
    let mut missing = vec![0u64; endpoints.len()];
    let mut texts: Vec<Texts> = labels.iter().map(|_| Texts::default()).collect();
    let mut block = empty_block(endpoints.len(), labels.len());
    let (mut name, mut drug_key, mut sample_key) = (Vec::new(), Vec::new(), Vec::new());
    let (mut left, mut next) = (part.rows, 0u32);
    while left > 0 && table.advance()? {
        let here = row;
        row += 1;
        columns.dataset.fill(&table, &mut name);
        if name != part.name.as_bytes() {
            continue;
        }
        left -= 1;
        let find = |template: &Template, lookup: &mut Lookup, key: &mut Vec<u8>| {
            if template.fill(&table, key) { lookup.find(key) } else { Found::Unknown }
        };
        let drug = find(&columns.drug, drugs, &mut drug_key);
        let sample = find(&columns.sample, samples, &mut sample_key);
        let (Found::One(drug), Found::One(sample)) = (drug, sample) else {
            count_reason(&mut found, (drug, &drug_key), (sample, &sample_key));
            continue;
        };
        if let Some((column, unit)) = columns.dose {
            let Some(dose) = unit.log10_molar(table.number(column)?) else {
                found.no_dose += 1;
                continue;
            };
            block.dose.push(dose);
        }
        for (k, (column, ..)) in endpoints.iter().enumerate() {
            let value = table.number(*column)?;
            missing[k] += u64::from(value.is_nan());
            block.endpoints[k].push(value);
        }
        for (k, (column, label)) in columns.labels.iter().enumerate() {
            let code = texts[k].code(&table, *column, label)?;
            block.labels[k].push(code);
        }
        block.drug.push(drug);
        block.sample.push(sample);
        block.row.push(here);
        joined(here, next);
        next += 1;
        if block.drug.len() == BLOCK {
            dataset.append(&block)?;
            block = empty_block(endpoints.len(), labels.len());
        }
    }
    dataset.append(&block)?;
    found.joined = u64::from(next);
    if next == 0 {
        return Err(Error::Run { path: path.into(), what: nothing_joined(&found) });
    }
    for (label, texts) in labels.iter().zip(texts) {
        dataset.label_values(label, &texts.values)?;
    }
    dataset.finish()?;
    let mut missing = missing.into_iter();
    for ((_, name, _), &measured) in columns.endpoints.iter().zip(&part.measured) {
        let rows = if measured { missing.next().unwrap_or(0) } else { found.joined };
        found.missing.push((name.clone(), rows));
    }
    Ok(found)
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

fn nothing_joined(found: &ResponseMatch) -> String {
    format!(
        "dataset {:?}: none of {} rows joined ({} unknown drug, {} unknown sample, {} unknown both, {} ambiguous, \
         {} without a dose); not found: {}",
        found.dataset,
        found.rows,
        found.unknown_drug,
        found.unknown_sample,
        found.unknown_both,
        found.ambiguous,
        found.no_dose,
        found.examples.join(", ")
    )
}

fn empty_block(endpoints: usize, labels: usize) -> PairBlock {
    PairBlock {
        endpoints: vec![Vec::with_capacity(BLOCK); endpoints],
        labels: vec![Vec::with_capacity(BLOCK); labels],
        ..PairBlock::default()
    }
}

/// The distinct texts of a column, numbered as they come.
#[derive(Default)]
struct Texts {
    codes: HashMap<Vec<u8>, u16>,
    values: Vec<String>,
}

impl Texts {
    fn code(&mut self, table: &Table, column: usize, label: &str) -> Result<u16> {
        let text = table.cell(column);
        if let Some(&code) = self.codes.get(text) {
            return Ok(code);
        }
        let Ok(code) = u16::try_from(self.values.len()) else {
            return Err(table.fault(format!("column {label:?} has more than {} different texts", u16::MAX)));
        };
        self.values.push(table.text(column)?);
        self.codes.insert(text.to_vec(), code);
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doses_become_log10_molar() {
        let unit = |u: &str| u.parse::<DoseUnit>().unwrap();
        assert_eq!(unit("uM").log10_molar(1.0), Some(-6.0));
        assert_eq!(unit("nM").log10_molar(100.0), Some(-7.0));
        assert_eq!(unit("log10M").log10_molar(-4.5), Some(-4.5));
        assert_eq!(unit("uM").log10_molar(0.0), None);
        assert_eq!(unit("M").log10_molar(f32::NAN), None);
        assert!("mg/ml".parse::<DoseUnit>().is_err());
    }
}
