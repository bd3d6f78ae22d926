//! Long response tables, one measurement a row, streamed into datasets.

use super::dose::DoseUnit;
use super::join::{Found, Lookup, Template};
use super::match_report::{ResponseMatch, remember};
use super::survey::{Part, Survey};
use super::table::Table;
use crate::store::{PairBlock, StoreWriter};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// Pairs written at a time.
const BLOCK: usize = 1 << 16;

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
