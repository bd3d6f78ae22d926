//! The IMPROVE project's `raw_data` tree: `x_data/cancer_*.tsv` and
//! `x_data/drug_*.tsv`, `y_data/response.tsv`, `splits/*.txt`. The formats are
//! those that the `improvelib` package reads.

use super::column_names::ColumnNames;
use super::dose::dose_column;
use super::entity_table::{EntityTable, Key, Reading};
use super::join::{Lookup, Template};
use super::match_report::MatchReport;
use super::response::{self, Columns};
use super::survey::{ColumnKind, Survey, survey};
use super::table::Table;
use super::{omics, splits};
use crate::store::{Entity, StoreWriter, overlap};
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const SAMPLE: &str = "improve_sample_id";
const DRUG: &str = "improve_chem_id";
const SOURCE: &str = "source";

/// What IMPROVE's response tables measure: areas under and above the curve, and
/// the parameters of the fitted Hill curve with their errors.
const ENDPOINTS: [&str; 12] =
    ["auc", "auc1", "aac", "aac1", "ic50", "ec50", "ec50se", "einf", "hs", "dss1", "r2fit", "dose"];

/// Imports the tree below `raw_data` into the store that `writer` begins, and
/// finishes it. `dose` is `COLUMN:UNIT` where the response table has doses.
/// Entities are those of the tables in `x_data`; a response row joins when its
/// drug and its sample are among them. Memory holds two tables of `x_data` at a
/// time, and 6 bytes a response row.
pub fn import_into(mut writer: StoreWriter, raw_data: &Path, dose: Option<&str>) -> Result<MatchReport> {
    let response_path = raw_data.join("y_data").join("response.tsv");
    let mut report = MatchReport::default();
    let (surveyed, written) = rayon::join(
        || columns(&response_path, dose),
        || add_tables(&mut writer, &raw_data.join("x_data"), &mut report),
    );
    let (columns, survey, notes) = surveyed?;
    written?;
    report.notes.extend(notes);
    report.notes.sort();
    for entity in Entity::ALL {
        if writer.ids(entity).is_empty() {
            let kind = if entity == Entity::Drug { "drug_*.tsv" } else { "cancer_*.tsv" };
            return Err(Error::run(raw_data.join("x_data"), format!("holds no table {kind}")));
        }
    }
    let drugs = Lookup::by_id(writer.ids(Entity::Drug));
    let samples = Lookup::by_id(writer.ids(Entity::Sample));
    let (matches, rows) = response::load(&response_path, &columns, survey, &drugs, &samples, &mut writer)?;
    report.responses = matches;
    let folder = raw_data.join("splits");
    if folder.is_dir() {
        report.splits = splits::load(&folder, &rows, &mut writer, &mut report.notes)?;
    } else {
        report.notes.push("there is no folder splits; decks need a split rule".into());
    }
    writer.finish()?;
    Ok(report)
}

/// Surveys the response table. Columns of nothing but numbers are endpoints,
/// those with any text labels; what holds nothing or has no name is noted. Text
/// in one of IMPROVE's own endpoints is an error.
fn columns(path: &Path, dose: Option<&str>) -> Result<(Columns, Survey, Vec<String>)> {
    let mut notes = Vec::new();
    let table = Table::open(path)?;
    let dose = dose.map(|d| dose_column(d, &table)).transpose()?;
    if dose.is_none() && table.header().iter().any(|h| h == "dose") {
        let what = "has a column dose; name its unit, as in --dose dose:uM";
        return Err(Error::table(path, 1, what));
    }
    let ids = [table.column(SOURCE)?, table.column(SAMPLE)?, table.column(DRUG)?];
    let [source, sample, drug] = ids;
    let others =
        || (0..table.header().len()).filter(|c| !ids.contains(c) && dose.is_none_or(|(d, _)| d != *c));
    let survey = survey(path, &Template::column(source), &others().collect::<Vec<_>>())?;
    let mut columns = Columns {
        drug: Template::column(drug),
        sample: Template::column(sample),
        dataset: Template::column(source),
        dose,
        endpoints: Vec::new(),
        labels: Vec::new(),
    };
    let mut names = ColumnNames::default();
    for column in others() {
        let header = &table.header()[column];
        let Some(name) = names.give(header) else {
            notes.push(format!("response.tsv: column {} has no name, left out", column + 1));
            continue;
        };
        let kind = match survey.kinds[column] {
            // Reading it will name the row, rather than lose the endpoint.
            ColumnKind::Text { .. } if ENDPOINTS.contains(&header.as_str()) => ColumnKind::Numbers,
            kind => kind,
        };
        match kind {
            ColumnKind::Empty => {
                notes.push(format!("response.tsv: column {header:?} holds nothing, left out"))
            }
            ColumnKind::Numbers => {
                let units = units(&name).into();
                columns.endpoints.push((column, name, units));
            }
            ColumnKind::Text { line, numbers } => {
                if numbers {
                    notes.push(format!(
                        "response.tsv: column {header:?} has text on line {line}, so its numbers are kept as text"
                    ));
                }
                columns.labels.push((column, name));
            }
        }
    }
    if columns.endpoints.is_empty() {
        return Err(Error::table(path, 1, "has no column of numbers to be an endpoint"));
    }
    Ok((columns, survey, notes))
}

/// The units of IMPROVE's endpoints: areas are fractions, concentrations -log10 molar.
fn units(endpoint: &str) -> &'static str {
    match endpoint {
        "ic50" | "ec50" => "-log10 M",
        _ => "1",
    }
}

/// The entity tables of `x_data` by file name; what is there and not read is noted.
fn tables(folder: &Path, notes: &mut Vec<String>) -> Result<Vec<(Entity, String, PathBuf)>> {
    let failed = |e| Error::io(folder, "cannot list the folder", e);
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".tsv");
        let entity = match stem {
            Some(s) if s.starts_with("drug_") => Some(Entity::Drug),
            Some(s) if s.starts_with("cancer_") && !s.contains("long_format") => Some(Entity::Sample),
            _ => None,
        };
        match (entity, stem) {
            (Some(entity), Some(stem)) => tables.push((entity, stem.to_owned(), path)),
            _ => notes.push(format!("x_data/{name}: not a table of one row a drug or sample, left out")),
        }
    }
    tables.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(tables)
}

/// Adds the entity tables of `folder`, each read while the one before is written.
fn add_tables(writer: &mut StoreWriter, folder: &Path, report: &mut MatchReport) -> Result<()> {
    let tables = tables(folder, &mut report.notes)?;
    let read = |table: usize| {
        let (entity, stem, path) = &tables[table];
        (*entity, stem, path, read_table(*entity, stem, path))
    };
    overlap(tables.len(), read, |(entity, stem, path, table)| {
        add_table(writer, entity, stem, path, table?, report)
    })
}

fn read_table(entity: Entity, stem: &str, path: &Path) -> Result<EntityTable> {
    let key = match entity {
        Entity::Drug => Key::Template(DRUG),
        Entity::Sample => Key::FirstOrNamed(SAMPLE),
    };
    EntityTable::read(path, &Reading { key, ignore: &[], levels: omics::levels(stem) })
}

fn add_table(
    writer: &mut StoreWriter,
    entity: Entity,
    stem: &str,
    path: &Path,
    table: EntityTable,
    report: &mut MatchReport,
) -> Result<()> {
    let known: HashSet<&[u8]> = writer.ids(entity).iter().map(|id| id.as_bytes()).collect();
    let new: Vec<String> = table
        .keys
        .iter()
        .filter(|key| !known.contains(key.as_slice()))
        .map(|key| String::from_utf8(key.clone()))
        .collect::<Result<_, _>>()
        .map_err(|e| Error::table(path, 1, format!("the id {:?} is not UTF-8", e.into_bytes())))?;
    if !new.is_empty() {
        writer.entities(entity, &new)?;
    }
    let lookup = Lookup::by_id(writer.ids(entity));
    let origin = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = table.write(writer, entity, &feature_name(stem), "1", &origin, &lookup)?;
    found.new_ids = new.len();
    report.tables.push(found);
    Ok(())
}

/// `cancer_gene_expression` is `expression`; what is not listed keeps its stem, in snake case.
fn feature_name(stem: &str) -> String {
    let short = stem.strip_prefix("cancer_").or(stem.strip_prefix("drug_")).unwrap_or(stem);
    match short {
        "gene_expression" => "expression".into(),
        "mutation_count" => "mutation".into(),
        "DNA_methylation" => "methylation".into(),
        "miRNA_expression" => "mirna".into(),
        "ecfp4_nbits512" => "ecfp4".into(),
        other => other.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::feature_name;

    #[test]
    fn features_have_short_names() {
        assert_eq!(feature_name("cancer_gene_expression"), "expression");
        assert_eq!(feature_name("cancer_RPPA"), "rppa");
        assert_eq!(feature_name("cancer_discretized_copy_number"), "discretized_copy_number");
        assert_eq!(feature_name("drug_ecfp4_nbits512"), "ecfp4");
        assert_eq!(feature_name("drug_Infomax v2"), "infomax_v2");
    }
}
