//! Which genes of tables of tumours are kept: those that all tables have, by
//! symbol, and that a feature table of the store has a column of.

use super::column_names::is_blank;
use super::gene_match::GeneMatch;
use super::match_report::remember;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The columns of the feature table that genes are matched with.
pub(super) struct Reference {
    table: String,
    names: Vec<String>,
    exact: HashMap<String, u32>,
    /// In capitals; none where several columns are.
    folded: HashMap<String, Option<u32>>,
}

impl Reference {
    /// The table `table` with columns `names`.
    pub fn new(table: String, names: Vec<String>) -> Reference {
        let mut folded = HashMap::with_capacity(names.len());
        for (name, column) in names.iter().zip(0..) {
            folded.entry(name.to_uppercase()).and_modify(|c| *c = None).or_insert(Some(column));
        }
        let exact = names.iter().cloned().zip(0..).collect();
        Reference { table, names, exact, folded }
    }

    /// The column of a symbol: spelt the same, else the only one that differs in case alone.
    fn find(&self, symbol: &str, capitals: &str) -> Option<u32> {
        self.exact.get(symbol).copied().or_else(|| self.folded.get(capitals).copied().flatten())
    }
}

/// The genes of one table as it names them, and whether it has a value of each.
pub(super) struct FileGenes<'a> {
    pub headers: &'a [String],
    pub known: &'a [bool],
}

/// The genes kept.
pub(super) struct Chosen {
    /// Their names: those of the reference's columns in its order, then other symbols in the first table's order.
    pub names: Vec<String>,
    /// For each table, for each name, the place among the table's genes.
    pub places: Vec<Vec<usize>>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Gene {
    /// A column of the reference.
    Column(u32),
    /// A symbol in capitals that it lacks.
    Other(String),
}

/// The symbol of a gene called `TP53` or, with its Entrez id, `TP53|7157`; none
/// of `?|100130426`, which has none.
fn symbol(header: &str) -> Option<&str> {
    let symbol = header.split('|').next().unwrap_or_default().trim();
    (symbol != "?" && !is_blank(symbol)).then_some(symbol)
}

/// Chooses genes: of those that all tables have once and with a value somewhere,
/// the ones that are columns of the reference; `all` keeps the others too, as
/// does a reference that is not there.
pub(super) fn choose(files: &[FileGenes], reference: Option<&Reference>, all: bool) -> (Chosen, GeneMatch) {
    let mut told = GeneMatch::default();
    let (mut twins, mut seen) = (BTreeSet::new(), HashSet::new());
    let mut of_files: Vec<HashMap<Gene, usize>> = Vec::new();
    let mut spelt: HashMap<Gene, &str> = HashMap::new();
    for file in files {
        let mut places = HashMap::with_capacity(file.headers.len());
        let mut unknown = 0;
        for (place, header) in file.headers.iter().enumerate() {
            let Some(symbol) = symbol(header) else {
                unknown += 1;
                continue;
            };
            let capitals = symbol.to_uppercase();
            let gene = match reference.and_then(|r| r.find(symbol, &capitals)) {
                Some(column) => Gene::Column(column),
                None => Gene::Other(capitals),
            };
            spelt.entry(gene.clone()).or_insert(symbol);
            match places.entry(gene) {
                Entry::Vacant(free) => {
                    free.insert(place);
                }
                Entry::Occupied(taken) => {
                    twins.insert(taken.key().clone());
                }
            }
        }
        told.unknown = told.unknown.max(unknown);
        seen.extend(places.keys().cloned());
        of_files.push(places);
    }
    let name = |gene: &Gene| match (gene, reference) {
        (Gene::Column(column), Some(reference)) => reference.names[*column as usize].clone(),
        _ => spelt.get(gene).copied().unwrap_or_default().to_owned(),
    };
    told.twins = twins.iter().map(name).collect();

    let mut seen: Vec<Gene> = seen.into_iter().collect();
    seen.sort_unstable();
    let mut kept: Vec<(Gene, Vec<usize>)> = Vec::new();
    for gene in seen {
        if twins.contains(&gene) {
            continue;
        }
        let places: Vec<usize> = of_files.iter().filter_map(|places| places.get(&gene).copied()).collect();
        if places.len() < files.len() {
            told.partial += 1;
            remember(&mut told.partial_examples, name(&gene).as_bytes());
        } else if matches!(gene, Gene::Other(_)) && reference.is_some() && !all {
            told.strangers += 1;
            remember(&mut told.stranger_examples, name(&gene).as_bytes());
        } else if !places.iter().zip(files).any(|(&place, file)| file.known[place]) {
            told.empty += 1;
        } else {
            kept.push((gene, places));
        }
    }
    kept.sort_by_cached_key(|(gene, places)| match gene {
        Gene::Column(column) => (0, *column as usize),
        Gene::Other(_) => (1, places.first().copied().unwrap_or_default()),
    });
    if let Some(reference) = reference {
        let mut found = vec![false; reference.names.len()];
        for (gene, _) in &kept {
            if let Gene::Column(column) = gene {
                found[*column as usize] = true;
            }
        }
        told.table.clone_from(&reference.table);
        told.columns = found.len();
        told.matched = found.iter().filter(|f| **f).count();
        for (name, _) in reference.names.iter().zip(found).filter(|(_, found)| !found) {
            remember(&mut told.lacking_examples, name.as_bytes());
        }
    }
    let names = kept.iter().map(|(gene, _)| name(gene)).collect();
    let places = (0..files.len()).map(|file| kept.iter().map(|(_, places)| places[file]).collect());
    (Chosen { names, places: places.collect() }, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn chosen(files: &[&[&str]], reference: Option<&[&str]>, all: bool) -> (Chosen, GeneMatch) {
        let headers: Vec<_> = files.iter().map(|f| strings(f)).collect();
        let known: Vec<_> = headers.iter().map(|h| vec![true; h.len()]).collect();
        let files: Vec<_> =
            headers.iter().zip(&known).map(|(headers, known)| FileGenes { headers, known }).collect();
        let reference = reference.map(|names| Reference::new("expression".into(), strings(names)));
        choose(&files, reference.as_ref(), all)
    }

    #[test]
    fn genes_of_the_reference_are_kept_in_its_order_and_spelling() {
        let file: &[&str] = &["KRAS|3845", "?|100130426", "tp53", "X", "C1orf112"];
        let (kept, told) = chosen(&[file], Some(&["TP53", "C1ORF112", "GONE", "KRAS"]), false);
        assert_eq!(kept.names, ["TP53", "C1ORF112", "KRAS"]);
        assert_eq!(kept.places, [[2, 4, 0]]);
        assert_eq!((told.columns, told.matched, told.unknown, told.strangers), (4, 3, 1, 1));
        assert_eq!((told.lacking_examples, told.stranger_examples), (strings(&["GONE"]), strings(&["X"])));
        let (kept, told) = chosen(&[file], Some(&["TP53", "KRAS"]), true);
        assert_eq!(kept.names, ["TP53", "KRAS", "X", "C1orf112"]);
        assert_eq!(told.strangers, 0);
        assert_eq!(chosen(&[file], None, false).0.names, ["KRAS", "tp53", "X", "C1orf112"]);
    }

    #[test]
    fn files_keep_what_they_share_and_no_twins() {
        let (kept, told) = chosen(&[&["A", "B", "C", "D"], &["C", "d", "A", "D|2", "E"]], None, false);
        assert_eq!((kept.names, kept.places), (strings(&["A", "C"]), vec![vec![0, 2], vec![2, 0]]));
        assert_eq!((told.twins, told.partial), (strings(&["D"]), 2));
        assert_eq!(told.partial_examples, ["B", "E"]);
    }

    #[test]
    fn spelling_decides_between_columns_that_differ_in_case() {
        let (kept, told) = chosen(&[&["Abc", "XYZ"]], Some(&["ABC", "Abc", "xyz", "xYz"]), false);
        assert_eq!(kept.names, ["Abc"]);
        assert_eq!(told.stranger_examples, ["XYZ"]);
    }

    #[test]
    fn genes_without_a_value_are_left_out() {
        let headers = strings(&["A", "B"]);
        let files = [
            FileGenes { headers: &headers, known: &[false, false] },
            FileGenes { headers: &headers, known: &[true, false] },
        ];
        let (kept, told) = choose(&files, None, false);
        assert_eq!((kept.names, told.empty), (strings(&["A"]), 1));
    }
}
