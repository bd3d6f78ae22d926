//! Single tables added to a store that is there: long response tables, and
//! tables of one row a drug or sample.

use super::column_names::ColumnNames;
use super::dose::dose_column;
use super::entity_table::{EntityTable, Key, Reading};
use super::join::{Lookup, Template};
use super::match_report::MatchReport;
use super::omics::Level;
use super::response::{self, Columns};
use super::survey::survey;
use super::table::Table;
use crate::store::{Entity, StoreWriter, names};
use crate::{Error, Result};
use std::path::Path;

/// What the columns of a response table are, as written on the command line.
/// `drug` and `sample` are a column or a template such as `COSMIC-{cosmic_id}`,
/// and, after an `@`, the text column of the store that it is compared with
/// (ignoring case and punctuation) in place of the id.
#[derive(Debug, Clone, Default)]
pub struct ResponseMap {
    /// Name of the dataset, or a template that names it row by row.
    pub dataset: String,
    /// Column or template of the drug.
    pub drug: String,
    /// Column or template of the sample.
    pub sample: String,
    /// `COLUMN:UNIT`.
    pub dose: Option<String>,
    /// `[NAME=]COLUMN[:UNITS]`, at least one.
    pub endpoints: Vec<String>,
    /// Text columns to keep.
    pub labels: Vec<String>,
}

/// What an entity table is, as written on the command line.
#[derive(Debug, Clone)]
pub struct FeatureMap {
    /// Drug or sample.
    pub entity: Entity,
    /// Name of the feature table.
    pub name: String,
    /// Unit of its values.
    pub units: String,
    /// Column or template of the id as in [`ResponseMap`]; the first column where there is none.
    pub id: Option<String>,
    /// Columns to leave out.
    pub ignore: Vec<String>,
}

/// Adds the response table at `table` to `store` as one dataset or more. The
/// store is locked against other writers from the start, and joined with as it
/// is then.
pub fn add_response(store: &Path, table: &Path, map: &ResponseMap, command: &str) -> Result<MatchReport> {
    let mut writer = StoreWriter::amend(store, command)?;
    let (drug, drugs) = key(&map.drug, Entity::Drug, &writer)?;
    let (sample, samples) = key(&map.sample, Entity::Sample, &writer)?;
    let header = Table::open(table)?;
    let mut given = ColumnNames::default();
    let mut name_of = |header: &str| {
        let what = || Error::table(table, 1, format!("column {header:?}: a blank name; write NAME=COLUMN"));
        given.give(header).ok_or_else(what)
    };
    let mut endpoints = Vec::new();
    for text in &map.endpoints {
        let (name, rest) = text.split_once('=').map_or((None, text.as_str()), |(n, r)| (Some(n), r));
        // A colon may also be part of the column's own name.
        let whole = header.header().iter().any(|h| h == rest);
        let (column, units) = if whole { (rest, "1") } else { rest.rsplit_once(':').unwrap_or((rest, "1")) };
        let name = match name {
            Some(name) => match names::why_not(name) {
                Some(why) => return Err(Error::Request(format!("--endpoint {text:?}: {why}"))),
                None => name.to_owned(),
            },
            None => name_of(column)?,
        };
        endpoints.push((header.column(column)?, name, units.to_owned()));
    }
    if endpoints.is_empty() {
        return Err(Error::Request("name at least one endpoint: --endpoint [NAME=]COLUMN[:UNITS]".into()));
    }
    let labels = map.labels.iter().map(|l| Ok((header.column(l)?, name_of(l)?)));
    let labels = labels.collect::<Result<_>>()?;
    let columns = Columns {
        drug: Template::parse_column(drug, &header)?,
        sample: Template::parse_column(sample, &header)?,
        dataset: Template::parse(&map.dataset, &header)?,
        dose: map.dose.as_deref().map(|d| dose_column(d, &header)).transpose()?,
        endpoints,
        labels,
    };
    let looked_at: Vec<usize> = columns.endpoints.iter().map(|e| e.0).collect();
    let survey = survey(table, &columns.dataset, &looked_at)?;
    let (responses, _) = response::load(table, &columns, survey, &drugs, &samples, &mut writer)?;
    writer.finish()?;
    Ok(MatchReport { responses, ..MatchReport::default() })
}

/// Adds the entity table at `table` to `store`. Rows of entities that are not
/// in the store are left out and counted.
pub fn add_features(store: &Path, table: &Path, map: &FeatureMap, command: &str) -> Result<MatchReport> {
    let mut writer = StoreWriter::amend(store, command)?;
    let (key, lookup) = match &map.id {
        Some(id) => {
            let (id, lookup) = key(id, map.entity, &writer)?;
            (Key::Template(id), lookup)
        }
        None => (Key::First, Lookup::by_id(writer.ids(map.entity))),
    };
    let reading = Reading { key, ignore: &map.ignore, levels: &[Level::Symbol] };
    let read = EntityTable::read(table, &reading)?;
    let origin = table.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let found = read.write(&mut writer, map.entity, &map.name, &map.units, &origin, &lookup)?;
    writer.finish()?;
    Ok(MatchReport { tables: vec![found], ..MatchReport::default() })
}

/// Takes `KEY[@COLUMN]` apart and makes the lookup that it asks for.
pub(super) fn key<'a>(text: &'a str, entity: Entity, store: &StoreWriter) -> Result<(&'a str, Lookup)> {
    match text.rsplit_once('@') {
        Some((key, column)) => Ok((key, Lookup::by_text(&store.text_values(entity, column)?))),
        None => Ok((text, Lookup::by_id(store.ids(entity)))),
    }
}
