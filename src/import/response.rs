//! Long response tables, one measurement a row, streamed into datasets.

use super::join::{Found, Lookup, Template};
use super::match_report::{ResponseMatch, remember};
use super::table::{Cell, Mark, Table, parse};
use crate::store::{PairBlock, StoreWriter, names};
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
    datasets: Vec<Part>,
    /// Dataset of each row.
    of_row: Vec<u16>,
    /// Kinds of the columns looked at, `Empty` for the others, `[columns of the table]`.
    pub kinds: Vec<ColumnKind>,
}

struct Part {
    name: String,
    first: Mark,
    first_row: u64,
    rows: u64,
    /// Whether any row has a value, `[columns of the table]`.
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

/// Streams the table at `path`, once surveyed, into one dataset for each value
/// of `columns.dataset`. An endpoint that no joined row of a dataset has is left
/// out of it; so is a dataset of which nothing joins, or no row with a value. An
/// error if that is all.
pub(super) fn load(
    path: &Path,
    columns: &Columns,
    survey: Survey,
    drugs: &mut Lookup,
    samples: &mut Lookup,
    writer: &mut StoreWriter,
) -> Result<(Vec<ResponseMatch>, Rows)> {
    let total = survey.of_row.len();
    let mut pair = vec![DROPPED; total];
    let mut matches = Vec::new();
    for (code, part) in survey.datasets.iter().enumerate() {
        let of_part = |row: usize| usize::from(survey.of_row[row]) == code;
        let found = load_part(path, columns, part, drugs, samples, writer, |row, index| {
            debug_assert!(of_part(row as usize));
            pair[row as usize] = index;
        })?;
        if found.left_out.is_some() {
            pair.iter_mut().enumerate().filter(|(row, _)| of_part(*row)).for_each(|(_, p)| *p = DROPPED);
        }
        matches.push(found);
    }
    if matches.iter().all(|found| found.left_out.is_some()) {
        let reasons: Vec<String> = matches.iter().take(3).map(nothing_joined).collect();
        return Err(Error::table(path, 1, format!("no row joined: {}", reasons.join("; "))));
    }
    let datasets = survey.datasets.into_iter().map(|p| p.name).collect();
    Ok((matches, Rows { datasets, of_row: survey.of_row, pair }))
}

/// Reads the table at `path` for its datasets, named by `dataset`, and for what
/// the columns `looked_at` hold.
pub(super) fn survey(path: &Path, dataset: &Template, looked_at: &[usize]) -> Result<Survey> {
    let mut table = Table::open(path)?;
    let width = table.header().len();
    let mut survey =
        Survey { datasets: Vec::new(), of_row: Vec::new(), kinds: vec![ColumnKind::Empty; width] };
    let mut codes: HashMap<Vec<u8>, u16> = HashMap::new();
    let (mut name, mut last) = (Vec::new(), (Vec::new(), 0u16));
    while table.advance()? {
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
                    if let Some(fault) = names::dataset_fault(&text) {
                        return Err(table.fault(fault));
                    }
                    survey.datasets.push(Part {
                        name: text,
                        first: table.mark(),
                        first_row: survey.of_row.len() as u64,
                        rows: 0,
                        measured: vec![false; width],
                    });
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
            let cell = parse(table.cell(column));
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
    let endpoints: Vec<_> = columns.endpoints.iter().filter(|e| part.measured[e.0]).collect();
    let units: Vec<(String, String)> = endpoints.iter().map(|e| (e.1.clone(), e.2.clone())).collect();
    let labels: Vec<String> = columns.labels.iter().map(|(_, name)| name.clone()).collect();
    let mut found = ResponseMatch { dataset: part.name.clone(), rows: part.rows, ..ResponseMatch::default() };
    if endpoints.is_empty() {
        found.left_out = Some("no row has a value of any endpoint".into());
        return Ok(found);
    }
    let mut dataset = writer.dataset(&part.name, &units, columns.dose.is_some(), &labels, &header)?;
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
        let named = columns.drug.fill(&table, &mut drug_key);
        if !columns.sample.fill(&table, &mut sample_key) || !named {
            found.missing_id += 1;
            continue;
        }
        let (drug, sample) = (drugs.find(&drug_key), samples.find(&sample_key));
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
        for (k, (column, _)) in columns.labels.iter().enumerate() {
            block.labels[k].push(texts[k].code(&table, *column)?);
        }
        block.drug.push(drug);
        block.sample.push(sample);
        block.row.push(here);
        joined(here, next);
        next += 1;
        if block.drug.len() == BLOCK {
            dataset.append(&block)?;
            clear(&mut block);
        }
    }
    found.joined = u64::from(next);
    if next == 0 {
        found.left_out = Some("none of its rows joined".into());
        return dataset.abandon().map(|()| found);
    }
    dataset.append(&block)?;
    for (label, texts) in labels.iter().zip(texts) {
        if texts.too_many {
            dataset.leave_out_label(label)?;
            found.dropped_labels.push(label.clone());
        } else {
            dataset.label_values(label, &texts.values)?;
        }
    }
    let empty = |missing: u64| missing == found.joined;
    if missing.iter().all(|&m| empty(m)) {
        found.left_out = Some("no row that joined has a value of any endpoint".into());
        dataset.abandon()?;
    } else {
        for ((_, name, _), _) in endpoints.iter().zip(&missing).filter(|(_, m)| empty(**m)) {
            dataset.leave_out_endpoint(name)?;
        }
        dataset.finish()?;
    }
    let mut missing = missing.into_iter();
    for (column, name, _) in &columns.endpoints {
        let rows = if part.measured[*column] { missing.next().unwrap_or(0) } else { found.joined };
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
        "dataset {:?}: {} ({} rows: {} without an id, {} unknown drug, {} unknown sample, {} unknown both, \
         {} ambiguous, {} without a dose; not found: {})",
        found.dataset,
        found.left_out.as_deref().unwrap_or_default(),
        found.rows,
        found.missing_id,
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
        endpoints: vec![Vec::new(); endpoints],
        labels: vec![Vec::new(); labels],
        ..PairBlock::default()
    }
}

fn clear(block: &mut PairBlock) {
    block.drug.clear();
    block.sample.clear();
    block.row.clear();
    block.dose.clear();
    block.endpoints.iter_mut().for_each(Vec::clear);
    block.labels.iter_mut().for_each(Vec::clear);
}

/// The distinct texts of a column, numbered as they come.
#[derive(Default)]
struct Texts {
    codes: HashMap<Vec<u8>, u16>,
    values: Vec<String>,
    /// More than there are numbers; the column is left out.
    too_many: bool,
}

impl Texts {
    fn code(&mut self, table: &Table, column: usize) -> Result<u16> {
        let text = table.cell(column);
        if let Some(&code) = self.codes.get(text) {
            return Ok(code);
        }
        let Ok(code) = u16::try_from(self.values.len()) else {
            self.too_many = true;
            return Ok(0);
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
