//! Long response tables, one measurement a row, streamed into datasets.

use super::dose::DoseUnit;
use super::join::{Lookup, Template};
use super::match_report::ResponseMatch;
use super::stretch::{Job, Stretches, Taken};
use super::survey::{Part, Survey};
use super::table::Table;
use crate::store::{StoreWriter, overlap};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

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
    drugs: &Lookup,
    samples: &Lookup,
    writer: &mut StoreWriter,
) -> Result<(Vec<ResponseMatch>, Rows)> {
    let mut pair = vec![DROPPED; survey.of_row.len()];
    let mut matches = Vec::new();
    for (code, part) in survey.datasets.iter().enumerate() {
        let code = code as u16;
        let endpoints = columns.endpoints.iter().filter(|e| part.measured[e.0]).collect();
        let job = Job { columns, endpoints, drugs, samples, of_row: &survey.of_row, code };
        let found = load_part(path, &job, &survey, part, writer, &mut pair)?;
        if found.left_out.is_some() {
            let of_part = pair.iter_mut().zip(&survey.of_row).filter(|&(_, &of)| of == code);
            of_part.for_each(|(pair, _)| *pair = DROPPED);
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
    job: &Job,
    survey: &Survey,
    part: &Part,
    writer: &mut StoreWriter,
    pair: &mut [u32],
) -> Result<ResponseMatch> {
    let Job { columns, endpoints, .. } = job;
    let table = Table::open(path)?;
    let units: Vec<(String, String)> = endpoints.iter().map(|e| (e.1.clone(), e.2.clone())).collect();
    let labels: Vec<String> = columns.labels.iter().map(|(_, name)| name.clone()).collect();
    let mut found = ResponseMatch { dataset: part.name.clone(), rows: part.rows, ..ResponseMatch::default() };
    if endpoints.is_empty() {
        found.left_out = Some("no row has a value of any endpoint".into());
        return Ok(found);
    }
    let mut dataset = writer.dataset(&part.name, &units, columns.dose.is_some(), &labels, table.header())?;
    let mut missing = vec![0u64; endpoints.len()];
    let mut texts: Vec<Texts> = labels.iter().map(|_| Texts::default()).collect();
    let mut joined = 0u32;
    let stretches = Stretches::new(table, path, survey, job);
    overlap(
        stretches.blocks(),
        |block| stretches.take(block),
        |block: Vec<Result<Taken>>| {
            for taken in block {
                let Taken { pairs: mut block, texts: own, missing: lacks, found: counts } = taken?;
                for &row in &block.row {
                    pair[row as usize] = joined;
                    joined += 1;
                }
                for ((codes, texts), own) in block.labels.iter_mut().zip(&mut texts).zip(own) {
                    let of_own: Vec<u16> = own.into_iter().map(|text| texts.code(text)).collect();
                    codes.iter_mut().for_each(|code| *code = of_own[usize::from(*code)]);
                }
                missing.iter_mut().zip(lacks).for_each(|(all, lacks)| *all += lacks);
                found.add(&counts);
                dataset.append(&block)?;
            }
            Ok(())
        },
    )?;
    found.joined = u64::from(joined);
    if joined == 0 {
        found.left_out = Some("none of its rows joined".into());
        return dataset.abandon().map(|()| found);
    }
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

/// The distinct texts of a column, numbered as they come.
#[derive(Default)]
struct Texts {
    codes: HashMap<String, u16>,
    values: Vec<String>,
    /// More than there are numbers; the column is left out.
    too_many: bool,
}

impl Texts {
    fn code(&mut self, text: String) -> u16 {
        if let Some(&code) = self.codes.get(&text) {
            return code;
        }
        let Ok(code) = u16::try_from(self.values.len()) else {
            self.too_many = true;
            return 0;
        };
        self.values.push(text.clone());
        self.codes.insert(text, code);
        code
    }
}
