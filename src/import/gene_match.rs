use super::match_report::EXAMPLES;
use std::fmt;

/// A table of tumours as read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TumourMatch {
    /// File name.
    pub file: String,
    /// Number of tumours.
    pub tumours: usize,
    /// Number of genes, those without a symbol included.
    pub genes: usize,
    /// Number of rows or columns left out because their barcodes are those of
    /// normal tissue or controls.
    pub normals: usize,
    /// Number of columns left out because they are neither genes nor tumours.
    pub others: usize,
}

/// How the genes of tables of tumours met the columns of a feature table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeneMatch {
    /// The feature table of the store; empty where there is none.
    pub table: String,
    /// Number of its columns.
    pub columns: usize,
    /// Number of them that are kept genes.
    pub matched: usize,
    /// The first columns that are not.
    pub lacking_examples: Vec<String>,
    /// Number of genes left out because they are no such column.
    pub strangers: usize,
    /// The first of them.
    pub stranger_examples: Vec<String>,
    /// Number of genes of one table, the most of any, left out because they have no symbol.
    pub unknown: usize,
    /// Symbols left out because a table has them more than once.
    pub twins: Vec<String>,
    /// Number of genes left out because not every table has them.
    pub partial: usize,
    /// The first of them.
    pub partial_examples: Vec<String>,
    /// Number of genes left out because no tumour has a value.
    pub empty: usize,
}

impl fmt::Display for TumourMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} tumours by {} genes", self.file, self.tumours, self.genes)?;
        if self.normals > 0 {
            writeln!(f, "  {} samples left out: normal tissue or controls", self.normals)?;
        }
        if self.others > 0 {
            writeln!(f, "  {} columns left out: neither genes nor tumours", self.others)?;
        }
        Ok(())
    }
}

impl fmt::Display for GeneMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.table.is_empty() {
            let (table, missing) = (&self.table, self.columns - self.matched.min(self.columns));
            writeln!(f, "{} of the {} columns of {table} are among the genes", self.matched, self.columns)?;
            if missing > 0 {
                writeln!(f, "  {missing} are not, among them {}", self.lacking_examples.join(", "))?;
            }
            if self.strangers > 0 {
                let examples = self.stranger_examples.join(", ");
                writeln!(f, "  {} genes left out: no column of {table}, as {examples}", self.strangers)?;
            }
        }
        if self.unknown > 0 {
            writeln!(f, "  {} genes left out: without a symbol", self.unknown)?;
        }
        if !self.twins.is_empty() {
            let shown = self.twins.iter().take(EXAMPLES).map(String::as_str).collect::<Vec<_>>().join(", ");
            writeln!(f, "  {} genes left out: more than once in a table, as {shown}", self.twins.len())?;
        }
        if self.partial > 0 {
            let examples = self.partial_examples.join(", ");
            writeln!(f, "  {} genes left out: not in every table, as {examples}", self.partial)?;
        }
        if self.empty > 0 {
            writeln!(f, "  {} genes left out: no tumour has a value", self.empty)?;
        }
        Ok(())
    }
}
