use super::gene_match::{GeneMatch, TumourMatch};
use super::one_hot::LabelMatch;
use std::fmt;

/// What an import took and what it left, with the reasons; printed at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchReport {
    /// One entry a table of tumours.
    pub tumours: Vec<TumourMatch>,
    /// How their genes met the store's.
    pub genes: Option<GeneMatch>,
    /// One entry an entity table.
    pub tables: Vec<TableMatch>,
    /// One entry a dataset.
    pub responses: Vec<ResponseMatch>,
    /// One entry a dataset that has splits.
    pub splits: Vec<SplitMatch>,
    /// One entry a label table.
    pub labels: Vec<LabelMatch>,
    /// Whatever else was left out, one line each.
    pub notes: Vec<String>,
}

/// An entity table as imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableMatch {
    /// File name.
    pub file: String,
    /// What it became, such as "expression (sample, f32)".
    pub became: String,
    /// Number of rows kept.
    pub rows: usize,
    /// Number of columns kept.
    pub columns: usize,
    /// Number of ids that the tables before it did not have.
    pub new_ids: usize,
    /// Number of cells of the rows and columns kept that hold no value.
    pub missing: usize,
    /// Number of columns left out because no cell held a value.
    pub empty_columns: usize,
    /// Number of columns of text left out because they have no name.
    pub nameless_columns: usize,
    /// Number of rows left out because the store has no such entity.
    pub unknown: usize,
    /// Number of rows left out because they could be several entities of the store.
    pub ambiguous: usize,
    /// The first ids of both.
    pub examples: Vec<String>,
}

/// The response rows of one dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseMatch {
    /// Dataset.
    pub dataset: String,
    /// Number of rows in the table.
    pub rows: u64,
    /// Number of rows that became pairs.
    pub joined: u64,
    /// Number of rows whose drug or sample is not named.
    pub missing_id: u64,
    /// Number of rows whose sample alone is not in the store.
    pub unknown_sample: u64,
    /// Number of rows whose drug alone is not in the store.
    pub unknown_drug: u64,
    /// Number of rows of which neither is in the store.
    pub unknown_both: u64,
    /// Number of rows whose drug or sample could be several entities of the store.
    pub ambiguous: u64,
    /// Number of rows that would have joined, but whose dose is missing or not positive.
    pub no_dose: u64,
    /// For each endpoint of the table, the number of joined rows without a value.
    pub missing: Vec<(String, u64)>,
    /// Why the dataset is not in the store, if it is not.
    pub left_out: Option<String>,
    /// Text columns left out for having more than 65,536 different texts.
    pub dropped_labels: Vec<String>,
    /// The first drugs and samples that were not found.
    pub examples: Vec<String>,
}

impl ResponseMatch {
    /// Adds why rows of a later stretch did not join.
    pub(super) fn add(&mut self, later: &ResponseMatch) {
        self.missing_id += later.missing_id;
        self.unknown_sample += later.unknown_sample;
        self.unknown_drug += later.unknown_drug;
        self.unknown_both += later.unknown_both;
        self.ambiguous += later.ambiguous;
        self.no_dose += later.no_dose;
        later.examples.iter().for_each(|id| remember(&mut self.examples, id.as_bytes()));
    }
}

/// The imported splits of one dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitMatch {
    /// Dataset.
    pub dataset: String,
    /// Number of splits imported.
    pub splits: usize,
    /// Numbers of the splits left out, a part of which lists no row that joined.
    pub left_out: Vec<u32>,
    /// Number of entries of their files that point at pairs.
    pub rows: u64,
    /// Number of entries that point at rows that did not join.
    pub dropped: u64,
}

/// Ids shown of those that were not found.
pub(super) const EXAMPLES: usize = 5;

/// Remembers `id` if it is among the first few.
pub(super) fn remember(examples: &mut Vec<String>, id: &[u8]) {
    if examples.len() < EXAMPLES {
        let id = String::from_utf8_lossy(id);
        if !examples.iter().any(|e| *e == id) {
            examples.push(id.into_owned());
        }
    }
}

impl fmt::Display for MatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tumours.iter().try_for_each(|t| write!(f, "{t}"))?;
        self.genes.iter().try_for_each(|g| write!(f, "{g}"))?;
        for t in &self.tables {
            writeln!(f, "{}: {} rows by {} columns -> {}", t.file, t.rows, t.columns, t.became)?;
            if t.new_ids > 0 {
                writeln!(f, "  {} ids are new", t.new_ids)?;
            }
            if t.missing > 0 {
                writeln!(f, "  {} cells hold no value", t.missing)?;
            }
            if t.empty_columns > 0 {
                writeln!(f, "  {} columns without any value left out", t.empty_columns)?;
            }
            if t.nameless_columns > 0 {
                writeln!(f, "  {} columns without a name left out", t.nameless_columns)?;
            }
            let reasons = [
                ("not in the store", t.unknown),
                ("could be several drugs or samples of the store", t.ambiguous),
            ];
            for (reason, rows) in reasons.into_iter().filter(|&(_, rows)| rows > 0) {
                writeln!(f, "  {rows} rows left out: {reason}")?;
            }
            if !t.examples.is_empty() {
                writeln!(f, "  not found, among others: {}", t.examples.join(", "))?;
            }
        }
        for r in &self.responses {
            writeln!(f, "{}: {} of {} rows joined", r.dataset, r.joined, r.rows)?;
            if let Some(reason) = &r.left_out {
                writeln!(f, "  this dataset is left out: {reason}")?;
            }
            let reasons = [
                ("no sample or no drug named", r.missing_id),
                ("unknown sample", r.unknown_sample),
                ("unknown drug", r.unknown_drug),
                ("unknown sample and drug", r.unknown_both),
                ("several possible drugs or samples", r.ambiguous),
                ("dose missing or not positive", r.no_dose),
            ];
            for (reason, rows) in reasons.into_iter().filter(|&(_, rows)| rows > 0) {
                writeln!(f, "  {rows} rows left out: {reason}")?;
            }
            if !r.examples.is_empty() {
                writeln!(f, "  not found, among others: {}", r.examples.join(", "))?;
            }
            for label in &r.dropped_labels {
                writeln!(f, "  column {label} left out: more than 65,536 different texts")?;
            }
            for (endpoint, rows) in r.missing.iter().filter(|(_, rows)| *rows > 0) {
                let all = if *rows == r.joined { ", so this dataset lacks the endpoint" } else { "" };
                writeln!(f, "  {rows} joined rows have no {endpoint}{all}")?;
            }
        }
        for s in &self.splits {
            write!(f, "{}: {} splits, {} entries", s.dataset, s.splits, s.rows)?;
            if s.dropped > 0 {
                write!(f, "; {} entries left out with their rows", s.dropped)?;
            }
            writeln!(f)?;
            for k in &s.left_out {
                writeln!(f, "  split {k} left out: none of the rows of one of its parts joined")?;
            }
        }
        self.labels.iter().try_for_each(|l| write!(f, "{l}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
