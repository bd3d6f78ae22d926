//! Expression of tumours of The Cancer Genome Atlas, added to a store as one
//! feature table of samples.

use super::gene_match::TumourMatch;
use super::gene_names::{FileGenes, Reference, choose};
use super::match_report::{MatchReport, TableMatch};
use super::one_hot;
use super::tumour_table::TumourTable;
use crate::store::{Encoding, Entity, FeatureInfo, StoreWriter};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

pub use super::tumour_table::Measure;

/// The table whose columns are the genes, unless another is named.
const GENES_OF: &str = "expression";
/// log2(x + 1) of counts or TPM is above this somewhere in a table.
const LOW: f32 = 6.0;
/// No logarithm of either is above this.
const HIGH: f32 = 40.0;

/// What tables of tumours are, as written on the command line.
#[derive(Debug, Clone, Default)]
pub struct TumourMap {
    /// Name of the feature table.
    pub name: String,
    /// Feature table whose columns are the genes to keep; `expression` where there is none given and
    /// the store has it.
    pub genes_of: Option<String>,
    /// Keep the other genes too.
    pub all_genes: bool,
    /// What the values are.
    pub measure: Measure,
    /// Name of a label table whose classes are the files' projects.
    pub label: Option<String>,
}

/// Adds the tumours of the tables `files` to `store`, as one feature table of
/// log2(x + 1), and, where asked for, a label table of their projects. A tumour
/// that the store has already keeps its index. Refuses a barcode that is there
/// twice, naming both places, and tables that share no gene with one another or
/// with the store. Each table is read twice; memory holds what is kept of one.
pub fn add_tumours(store: &Path, files: &[PathBuf], map: &TumourMap, command: &str) -> Result<MatchReport> {
    refuse_repeats(files)?;
    let mut writer = StoreWriter::amend(store, command)?;
    let reference = reference(&writer, map)?;
    let tables = files.iter().map(|file| TumourTable::survey(file)).collect::<Result<Vec<_>>>()?;
    refuse_twins(&tables)?;
    let genes: Vec<FileGenes> =
        tables.iter().map(|t| FileGenes { headers: &t.genes, known: &t.known }).collect();
    let (chosen, genes) = choose(&genes, reference.as_ref(), map.all_genes);
    if chosen.names.is_empty() {
        let first = tables.first().and_then(|t| t.genes.first()).map_or("", String::as_str);
        let way_out = match genes.table.as_str() {
            "" => "symbols such as TP53 are needed in every table".into(),
            table => format!("they are matched with the columns of {table}; --all-genes keeps all"),
        };
        let what = format!("none of the genes can be kept, the first is {first:.60?}; {way_out}");
        return Err(Error::run(files.first().map_or(store, PathBuf::as_path), what));
    }
    let (entities, new_ids) = add_samples(&mut writer, &tables)?;
    let origin = origin(files);
    let mut report = MatchReport { genes: Some(genes), ..MatchReport::default() };
    let mut found = TableMatch {
        file: origin.clone(),
        became: format!("{} (sample, {})", map.name, Encoding::F32.name()),
        rows: entities.len(),
        columns: chosen.names.len(),
        new_ids,
        ..TableMatch::default()
    };
    let info = FeatureInfo {
        entity: Entity::Sample,
        name: map.name.clone(),
        encoding: Encoding::F32,
        rows: entities.len(),
        columns: chosen.names.len(),
        units: map.measure.units().into(),
    };
    let mut feature = writer.feature(info, &chosen.names, &entities)?;
    feature.origin(&origin)?;
    for (table, places) in tables.iter().zip(&chosen.places) {
        let mut largest = f32::NEG_INFINITY;
        table.read(places, map.measure, |block| {
            found.missing += block.iter().filter(|v| v.is_nan()).count();
            largest = block.iter().copied().fold(largest, f32::max);
            feature.append(block)
        })?;
        report
            .notes
            .extend(doubt(map.measure, largest).map(|doubt| format!("{}: {doubt}", name_of(&table.path))));
        report.tumours.push(TumourMatch {
            file: name_of(&table.path),
            tumours: table.tumours.len(),
            genes: table.genes.len(),
            normals: table.normals,
            others: table.others,
        });
    }
    feature.finish()?;
    report.tables.push(found);
    if let Some(label) = &map.label {
        let projects = tables.iter().flat_map(|t| vec![project(&t.path); t.tumours.len()]);
        let of: BTreeMap<u32, String> = entities.iter().copied().zip(projects).collect();
        report.labels.push(one_hot::write(&mut writer, label, &origin, &of)?);
    }
    writer.finish()?;
    Ok(report)
}

/// The table that genes are matched with, if there is one.
fn reference(writer: &StoreWriter, map: &TumourMap) -> Result<Option<Reference>> {
    let table = match &map.genes_of {
        Some(table) => table,
        None if writer.features(Entity::Sample)?.iter().any(|f| f == GENES_OF) => GENES_OF,
        None => return Ok(None),
    };
    Ok(Some(Reference::new(table.into(), writer.feature_names(Entity::Sample, table)?)))
}

/// Refuses a file that is named twice.
fn refuse_repeats(files: &[PathBuf]) -> Result<()> {
    // One that is not there is named where it is read.
    let real = |file: &PathBuf| file.canonicalize().unwrap_or_else(|_| file.clone());
    let mut seen = HashSet::new();
    match files.iter().find(|file| !seen.insert(real(file))) {
        None => Ok(()),
        Some(file) => Err(Error::run(file, "is named twice; name each table once")),
    }
}

/// Refuses a barcode that is there twice, in one table or in two.
fn refuse_twins(tables: &[TumourTable]) -> Result<()> {
    let mut first = HashMap::new();
    for table in tables {
        for (barcode, place) in &table.tumours {
            if let Some((other, before)) = first.insert(barcode.as_str(), (&table.path, place)) {
                let where_else =
                    if *other == table.path { String::new() } else { format!(" of {}", other.display()) };
                let what = format!("the tumour {barcode} {place} is {before}{where_else} already");
                return Err(Error::run(&table.path, what));
            }
        }
    }
    Ok(())
}

/// The index of each tumour, those that the store lacks being added, and how many those are.
fn add_samples(writer: &mut StoreWriter, tables: &[TumourTable]) -> Result<(Vec<u32>, usize)> {
    let tumours = || tables.iter().flat_map(|t| &t.tumours).map(|(barcode, _)| barcode);
    let known: HashSet<&str> = writer.ids(Entity::Sample).iter().map(String::as_str).collect();
    let new: Vec<String> = tumours().filter(|b| !known.contains(b.as_str())).cloned().collect();
    if !new.is_empty() {
        writer.entities(Entity::Sample, &new)?;
    }
    let index: HashMap<&str, u32> = writer.ids(Entity::Sample).iter().map(String::as_str).zip(0..).collect();
    Ok((tumours().filter_map(|b| index.get(b.as_str()).copied()).collect(), new.len()))
}

/// What speaks against the values being what they are said to be.
fn doubt(measure: Measure, largest: f32) -> Option<&'static str> {
    match measure {
        Measure::Log2 if largest > HIGH => {
            Some("values above 40 are hardly logarithms; --measure rsem or tpm?")
        }
        Measure::Rsem | Measure::Tpm if largest < LOW => {
            Some("no value is above 63, as if they were logarithms already; --measure log2?")
        }
        _ => None,
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The files in a few words.
fn origin(files: &[PathBuf]) -> String {
    const NAMED: usize = 4;
    let mut text = files.iter().take(NAMED).map(|f| name_of(f)).collect::<Vec<_>>().join(", ");
    if files.len() > NAMED {
        text += &format!(" and {} more", files.len() - NAMED);
    }
    text
}

/// The project that a file is named after: `ACC` of `tcga_ACC_rsem.tsv.gz` and of
/// `TCGA-ACC.tsv`, else its name without endings.
fn project(path: &Path) -> String {
    let name = name_of(path);
    let separator = |c: char| matches!(c, '_' | '-' | '.');
    let mut rest = name.as_str();
    while let Some(at) = rest.to_ascii_lowercase().find("tcga") {
        let Some(after) = rest.get(at + "tcga".len()..) else { break };
        let token = after.strip_prefix(separator).and_then(|token| token.split(separator).next());
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            return token.to_owned();
        }
        rest = after;
    }
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = [".tsv", ".csv", ".txt"].iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(stem);
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_told_from_file_names() {
        for (file, wanted) in [
            ("tcga_ACC_rsem.tsv.gz", "ACC"),
            ("a/TCGA-UVM.csv", "UVM"),
            ("TCGA.BRCA.sampleMap_HiSeqV2.gz", "BRCA"),
            ("rsem_tcga-ucs.tsv", "ucs"),
            ("tcga_.tsv", "tcga_"),
            ("my tumours.v2.tsv.gz", "my tumours.v2"),
            ("tcga", "tcga"),
        ] {
            assert_eq!(project(Path::new(file)), wanted, "{file}");
        }
    }
}
