//! The header generations of IMPROVE's omics tables. The first benchmark
//! release gave a column several names, one header row each, in an order that
//! differs between files (`improvelib`'s `omics_utils.py` lists it); later
//! releases have one row.

use super::cell::{Cell, parse};
use super::column_names::{ColumnNames, is_blank};
use super::table::Table;
use crate::Result;
use csv::ByteRecord;
use std::collections::HashMap;

/// The naming systems of a file's header rows, top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Symbol,
    Entrez,
    Ensembl,
    /// Transcription start site; several a gene.
    Site,
}

/// Header rows of the first release, by file stem; one row where it is not listed.
pub(super) fn levels(stem: &str) -> &'static [Level] {
    use Level::{Ensembl, Entrez, Site, Symbol};
    match stem {
        "cancer_gene_expression" => &[Ensembl, Entrez, Symbol],
        "cancer_copy_number" | "cancer_discretized_copy_number" | "cancer_mutation_count" => {
            &[Entrez, Symbol, Ensembl]
        }
        "cancer_DNA_methylation" => &[Site, Entrez, Ensembl, Symbol],
        _ => &[Symbol],
    }
}

/// Reads on past whatever header rows follow the first and names the columns
/// (the first, of ids, included): symbol, else Entrez, else Ensembl. Columns
/// that share a name get their other names too, then a number.
pub(super) fn column_names(table: &mut Table, levels: &[Level], id_column: &str) -> Result<Vec<String>> {
    let mut rows: Vec<Vec<String>> = vec![table.header().to_vec()];
    let further = table.peek(levels.len().saturating_sub(1))?;
    if further.len() + 1 == levels.len() && further.iter().any(is_header) {
        for _ in 1..levels.len() {
            table.advance()?;
            rows.push((0..table.header().len()).map(|c| table.text(c)).collect::<Result<_>>()?);
        }
    }
    // pandas writes the name of the index on a line of its own below such headers.
    let blank =
        |r: &ByteRecord| &r[0] == id_column.as_bytes() && r.iter().skip(1).all(|c| c.trim_ascii().is_empty());
    if rows.len() > 1 && table.peek(1)?.first().is_some_and(blank) {
        table.advance()?;
    }
    let order: Vec<usize> = if rows.len() == 1 {
        vec![0]
    } else {
        let at = |level| levels.iter().position(|&l| l == level);
        [Level::Symbol, Level::Entrez, Level::Ensembl, Level::Site].into_iter().filter_map(at).collect()
    };
    Ok(distinct(&rows, &order))
}

/// Whether a record is one more header row: mostly not numbers. (Entrez rows are
/// numbers, but every file has symbols or Ensembl ids below its first row.)
fn is_header(record: &ByteRecord) -> bool {
    let kinds = || record.iter().skip(1).map(|c| parse(c.trim_ascii())).filter(|&k| k != Cell::Missing);
    kinds().filter(|&k| k == Cell::Text).count() * 2 > kinds().count()
}

fn distinct(rows: &[Vec<String>], order: &[usize]) -> Vec<String> {
    let width = rows.first().map_or(0, Vec::len);
    // pandas writes a name that is not there as "nan", and calls a blank one "Unnamed: 7_level_1".
    let known = |column: usize| {
        order.iter().map(move |&r| rows[r][column].as_str()).filter(|n| *n != "nan" && !is_blank(n))
    };
    let first = |c: usize| known(c).next().map_or_else(|| format!("column {c}"), str::to_owned);
    let mut uses: HashMap<String, usize> = HashMap::new();
    for column in 0..width {
        *uses.entry(first(column)).or_default() += 1;
    }
    let mut given = ColumnNames::default();
    (0..width)
        .map(|column| {
            let short = first(column);
            let twins = uses.get(&short).is_some_and(|&n| n > 1);
            let long = if twins { known(column).collect::<Vec<_>>().join("|") } else { short };
            given.distinct(long)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stem: &str, text: &str) -> (Vec<String>, u64) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tsv");
        std::fs::write(&path, text).unwrap();
        let mut table = Table::open(&path).unwrap();
        let names = column_names(&mut table, levels(stem), "improve_sample_id").unwrap();
        table.advance().unwrap();
        (names[1..].to_vec(), table.line())
    }

    #[test]
    fn both_generations_give_symbols() {
        let expression =
            "\tENSG1\tENSG2\tENSG3\n\t1\t2\t3\nimprove_sample_id\tTP53\tKRAS\tnan\nS1\t0.5\t1\t2\n";
        assert_eq!(
            names("cancer_gene_expression", expression),
            (vec!["TP53".into(), "KRAS".into(), "3".into()], 4)
        );
        let mutation = "\t1\t2\n\tTP53\tTP53\n\tENSG1\tENSG2\nimprove_sample_id\t\t\nS1\t0\t1\n";
        let twins = vec!["TP53|1|ENSG1".to_string(), "TP53|2|ENSG2".to_string()];
        assert_eq!(names("cancer_mutation_count", mutation), (twins, 5));
        let single = "improve_sample_id\tTP53\tKRAS\nS1\t0\t1\nS2\t0\t1\nS3\t0\t1\n";
        assert_eq!(names("cancer_mutation_count", single), (vec!["TP53".into(), "KRAS".into()], 2));
        let nameless = "improve_sample_id\tTP53\tKRAS\n\t0\t1\nS2\t0\t1\n";
        assert_eq!(names("cancer_mutation_count", nameless).1, 2, "a row without id is no header");
        assert_eq!(names("cancer_RPPA", "\tA\tA\nS1\t0\t1\n").0, ["A", "A.2"]);
    }
}
