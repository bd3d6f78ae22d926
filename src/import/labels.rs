//! Columns of a table, such as primary site or histology, as classes of samples.

use super::join::{Found, Lookup, Template};
use super::match_report::{MatchReport, TableMatch, remember};
use super::table::Table;
use super::{barcode, long, one_hot};
use crate::store::{Entity, StoreWriter, names};
use crate::{Error, Result};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What the columns of a table of labels are, as written on the command line.
#[derive(Debug, Clone, Default)]
pub struct LabelMap {
    /// Column or template of the sample as in [`ResponseMap`](super::long::ResponseMap); the first column where
    /// there is none.
    pub id: Option<String>,
    /// Columns of classes, at least one.
    pub columns: Vec<String>,
    /// Name of the label table of the only column; else each has the column's, in kebab-case.
    pub name: Option<String>,
    /// Whether an id means every sample whose id begins with it, up to a hyphen or its end.
    pub prefix: bool,
    /// Words that mean no label, besides those for no value.
    pub missing: Vec<String>,
}

/// How the id of a row finds its samples.
enum Joining {
    One(Lookup),
    Prefix(HashMap<String, Vec<u32>>),
}

impl Joining {
    fn of(map: &LabelMap, table: &Table, writer: &StoreWriter) -> Result<(Template, Joining)> {
        let ids = writer.ids(Entity::Sample);
        let Some(id) = &map.id else {
            let first = Template::column(0);
            return Ok((first, if map.prefix { by_prefix(ids) } else { Joining::One(Lookup::by_id(ids)) }));
        };
        if map.prefix {
            if id.contains('@') {
                let what = format!("--id {id:?}: --prefix compares ids; leave out the @");
                return Err(Error::Request(what));
            }
            return Ok((Template::parse_column(id, table)?, by_prefix(ids)));
        }
        let (key, lookup) = long::key(id, Entity::Sample, writer)?;
        Ok((Template::parse_column(key, table)?, Joining::One(lookup)))
    }

    /// Puts the samples that `id` means into `into`; says whether it could be several and is none.
    fn find(&self, id: &[u8], folded: &mut Vec<u8>, into: &mut Vec<u32>) -> bool {
        into.clear();
        match self {
            Joining::One(lookup) => match lookup.find(id, folded) {
                Found::One(sample) => into.push(sample),
                Found::Many => return true,
                Found::Unknown => {}
            },
            Joining::Prefix(samples) => {
                let barcode = barcode::parse(id);
                let id = barcode.as_deref().or_else(|| std::str::from_utf8(id).ok());
                into.extend(id.and_then(|id| samples.get(id)).into_iter().flatten());
            }
        }
        false
    }
}

fn by_prefix(ids: &[String]) -> Joining {
    let mut samples: HashMap<String, Vec<u32>> = HashMap::new();
    for (id, sample) in ids.iter().zip(0..) {
        for prefix in barcode::prefixes(id) {
            samples.entry(prefix.to_owned()).or_default().push(sample);
        }
    }
    Joining::Prefix(samples)
}

/// Adds each of the columns that `map` names of the table at `table` to `store`
/// as a label table: a row a sample, a column a class, kept as bits. Rows of
/// samples that are not in the store are left out and counted, as are empty
/// labels. Refuses two rows that give one sample two labels, naming both, and a
/// column of which no row that joined has a label.
pub fn add_labels(store: &Path, table: &Path, map: &LabelMap, command: &str) -> Result<MatchReport> {
    let mut writer = StoreWriter::amend(store, command)?;
    let names = names(map)?;
    let path = table;
    let mut table = Table::open(path)?;
    let (key, joining) = Joining::of(map, &table, &writer)?;
    let columns = map.columns.iter().map(|c| table.column(c)).collect::<Result<Vec<_>>>()?;
    let mut found = TableMatch { columns: columns.len(), ..TableMatch::default() };
    found.file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    found.became = format!("labels {} of samples", names.join(", "));
    // For each column, the label of a sample and the line that it is from.
    let mut labels: Vec<BTreeMap<u32, (String, u64)>> = vec![BTreeMap::new(); columns.len()];
    let mut unlabelled = vec![0; columns.len()];
    let (mut id, mut folded, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    while table.advance()? {
        if !key.fill(&table, &mut id) {
            return Err(table.fault("has no id"));
        }
        let ambiguous = joining.find(&id, &mut folded, &mut samples);
        if samples.is_empty() {
            *(if ambiguous { &mut found.ambiguous } else { &mut found.unknown }) += 1;
            remember(&mut found.examples, &id);
            continue;
        }
        found.rows += 1;
        for ((&column, labels), unlabelled) in columns.iter().zip(&mut labels).zip(&mut unlabelled) {
            let label = table.known_text(column)?;
            if label.is_empty() || map.missing.contains(&label) {
                *unlabelled += 1;
                continue;
            }
            for &sample in &samples {
                match labels.entry(sample) {
                    Entry::Vacant(free) => {
                        free.insert((label.clone(), table.line()));
                    }
                    Entry::Occupied(taken) if taken.get().0 != label => {
                        let (before, line) = taken.get();
                        return Err(table.fault(format!(
                            "column {:?}: {label:?} for the sample {:?}, which is {before:?} on line {line}",
                            table.header()[column],
                            writer.ids(Entity::Sample)[sample as usize]
                        )));
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
    }
    if found.rows + found.unknown + found.ambiguous == 0 {
        return Err(Error::table(path, 1, "has a header and no rows"));
    }
    if found.rows == 0 {
        let first = found.examples.first().map_or("", String::as_str);
        let what = format!(
            "none of its {} rows is a sample of the store; the first is {first:?}; see --id and --prefix",
            found.unknown + found.ambiguous
        );
        return Err(Error::run(path, what));
    }
    let mut report = MatchReport::default();
    for (((name, labels), unlabelled), column) in names.iter().zip(labels).zip(unlabelled).zip(&map.columns) {
        if labels.is_empty() {
            let what = format!("column {column:?}: no row of a sample of the store has a label");
            return Err(Error::run(path, what));
        }
        let of = labels.into_iter().map(|(sample, (label, _))| (sample, label)).collect();
        let written = one_hot::write(&mut writer, name, &found.file, &of)?;
        report.labels.push(one_hot::LabelMatch { unlabelled, ..written });
    }
    report.tables.push(found);
    writer.finish()?;
    Ok(report)
}

/// The names of the label tables, one a column.
fn names(map: &LabelMap) -> Result<Vec<String>> {
    match (&map.name, &map.columns[..]) {
        (_, []) => Err(Error::Request("name at least one column of labels: --column COLUMN".into())),
        (Some(name), [_]) => Ok(vec![name.clone()]),
        (Some(name), several) => {
            let what = format!("--name {name:?} is for one column, and there are {}", several.len());
            Err(Error::Request(what))
        }
        (None, columns) => columns.iter().map(|column| kebab(column)).collect(),
    }
}

/// The header of a column in kebab-case: `site` of `Site`, `primary-site` of `Primary_Site` and `PrimarySite`.
fn kebab(header: &str) -> Result<String> {
    let mut name = String::new();
    let mut small = false;
    for c in header.chars() {
        if !c.is_alphanumeric() {
            small = false;
            if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
            continue;
        }
        if c.is_uppercase() && small {
            name.push('-');
        }
        small = !c.is_uppercase();
        name.extend(c.to_lowercase());
    }
    let name = name.trim_end_matches('-');
    match names::why_not(name) {
        Some(why) => Err(Error::Request(format!("--column {header:?}: {why}; give a --name"))),
        None => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn headers_become_kebab_case() {
        for (header, wanted) in [
            ("Site", "site"),
            ("tumour_type", "tumour-type"),
            ("PrimarySite", "primary-site"),
            ("MSI_FACTOR", "msi-factor"),
            (" X__primary disease ", "x-primary-disease"),
            ("Größe", "größe"),
        ] {
            assert_eq!(kebab(header).unwrap(), wanted, "{header}");
        }
        assert!(kebab("?").unwrap_err().to_string().contains("--name"));
    }
}
