//! Tables of tumours by genes, or genes by tumours, as the portals of The Cancer
//! Genome Atlas give them out: gone through once for what they hold, and once for
//! the values that are kept.

use super::barcode;
use super::cell::{Cell, look, parse};
use super::table::Table;
use crate::{Error, Result};
use ndarray::ArrayView2;
use std::fmt;
use std::path::{Path, PathBuf};

/// Tumours that are handed on at a time.
const BLOCK: usize = 128;

/// What the values of a table are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Normalised counts as RSEM estimates them (Li and Dewey 2011).
    #[default]
    Rsem,
    /// Transcripts per million.
    Tpm,
    /// Logarithms already; values are kept as they are.
    Log2,
}

impl Measure {
    /// The unit of the values kept.
    pub fn units(self) -> &'static str {
        match self {
            Measure::Rsem => "log2(RSEM + 1)",
            Measure::Tpm => "log2(TPM + 1)",
            Measure::Log2 => "log2",
        }
    }

    /// The value kept of a cell, NaN where it is missing.
    fn value(self, table: &Table, column: usize) -> Result<f32> {
        let x = table.number(column)?;
        if self == Measure::Log2 {
            return Ok(x);
        }
        if x < 0.0 {
            return Err(table.bad_cell(column, "is negative; logarithms need --measure log2"));
        }
        Ok((f64::from(x) + 1.0).log2() as f32)
    }
}

/// Where a tumour stands in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On this line, counted from 1.
    Line(u64),
    /// In this column, counted from 0.
    Column(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "on line {line}"),
            Place::Column(column) => write!(f, "in column {}", column + 1),
        }
    }
}

/// What a table of tumours holds.
pub(super) struct TumourTable {
    pub path: PathBuf,
    /// Barcode and place of each tumour.
    pub tumours: Vec<(String, Place)>,
    /// The genes as the table names them.
    pub genes: Vec<String>,
    /// Whether any tumour has a value of the gene, `[genes]`.
    pub known: Vec<bool>,
    /// Samples that are no tumours.
    pub normals: usize,
    /// Columns that are neither genes nor tumours.
    pub others: usize,
    layout: Layout,
}

#[derive(Clone, Copy)]
enum Layout {
    TumoursInRows,
    /// Firehose has a second header row, which says what the columns measure.
    GenesInRows {
        second_header: bool,
    },
}

impl TumourTable {
    /// Goes through the table at `path`. Which way round it stands is told by
    /// where the barcodes are: in the header, or in the first column. Neither is
    /// an error, as is a row without a barcode where the rows are tumours.
    pub fn survey(path: &Path) -> Result<TumourTable> {
        let mut table = Table::open(path)?;
        let header: Vec<Option<String>> =
            table.header().iter().skip(1).map(|h| barcode::parse(h.as_bytes())).collect();
        let found = if header.iter().any(Option::is_some) {
            TumourTable::genes_in_rows(path, &mut table, header)?
        } else {
            let Some(first) = table.peek(1)?.first().map(|r| r.get(0).unwrap_or_default().to_vec()) else {
                return Err(Error::table(path, 1, "has a header and no rows"));
            };
            if barcode::parse(first.trim_ascii()).is_none() {
                let what = "neither the header nor the first column holds barcodes such as TCGA-OR-A5J1-01A";
                return Err(Error::table(path, 1, what));
            }
            TumourTable::tumours_in_rows(path, &mut table)?
        };
        if found.tumours.is_empty() {
            return Err(Error::table(path, 1, "holds no tumours, only normal tissue or controls"));
        }
        if found.genes.is_empty() {
            return Err(Error::table(path, 1, "holds no genes"));
        }
        Ok(found)
    }

    fn tumours_in_rows(path: &Path, table: &mut Table) -> Result<TumourTable> {
        let genes = table.header().get(1..).unwrap_or_default().to_vec();
        let mut known = vec![false; genes.len()];
        let mut unseen: Vec<usize> = (0..genes.len()).collect();
        let (mut tumours, mut normals) = (Vec::new(), 0);
        while table.advance()? {
            let barcode = row_barcode(table)?;
            if !barcode::is_tumour(&barcode) {
                normals += 1;
                continue;
            }
            unseen.retain(|&gene| {
                known[gene] = look(table.cell(gene + 1)) != Cell::Missing;
                !known[gene]
            });
            tumours.push((barcode, Place::Line(table.line())));
        }
        let layout = Layout::TumoursInRows;
        Ok(TumourTable { path: path.into(), tumours, genes, known, normals, others: 0, layout })
    }

    fn genes_in_rows(path: &Path, table: &mut Table, header: Vec<Option<String>>) -> Result<TumourTable> {
        let (mut tumours, mut normals, mut others) = (Vec::new(), 0, 0);
        for (barcode, column) in header.into_iter().zip(1..) {
            match barcode {
                Some(barcode) if barcode::is_tumour(&barcode) => {
                    tumours.push((barcode, Place::Column(column)))
                }
                Some(_) => normals += 1,
                None => others += 1,
            }
        }
        let columns: Vec<usize> = tumours.iter().filter_map(|t| t.1.column()).collect();
        let words = |r: &csv::ByteRecord| {
            columns.iter().all(|&c| parse(r.get(c).unwrap_or_default().trim_ascii()) == Cell::Text)
        };
        let second_header = table.peek(1)?.first().is_some_and(words);
        if second_header {
            table.advance()?;
        }
        let (mut genes, mut known) = (Vec::new(), Vec::new());
        while table.advance()? {
            genes.push(table.text(0)?);
            known.push(columns.iter().any(|&c| look(table.cell(c)) != Cell::Missing));
        }
        let layout = Layout::GenesInRows { second_header };
        Ok(TumourTable { path: path.into(), tumours, genes, known, normals, others, layout })
    }

    /// Reads the table again for the genes at `places`: `each` gets blocks of
    /// their values, `[any, places]`, tumours in their order. Memory holds a block,
    /// or, where the genes are rows, all that is kept of the table. A value that is
    /// negative (but for logarithms), infinite or no number is an error that names
    /// line and column; so is a table that is no longer what it was.
    pub fn read(
        &self,
        places: &[usize],
        measure: Measure,
        mut each: impl FnMut(ArrayView2<f32>) -> Result<()>,
    ) -> Result<()> {
        let mut hand_on = |rows: usize, values: &[f32]| {
            let block = ArrayView2::from_shape((rows, places.len()), values);
            each(block.map_err(|e| Error::run(&self.path, e.to_string()))?)
        };
        let mut table = Table::open(&self.path)?;
        match self.layout {
            Layout::TumoursInRows => {
                if table.header().get(1..) != Some(&self.genes[..]) {
                    return Err(self.changed());
                }
                let (mut block, mut done) = (Vec::with_capacity(BLOCK * places.len()), 0);
                while table.advance()? {
                    let barcode = row_barcode(&table)?;
                    if !barcode::is_tumour(&barcode) {
                        continue;
                    }
                    if self.tumours.get(done).is_none_or(|(known, _)| *known != barcode) {
                        return Err(self.changed());
                    }
                    for &place in places {
                        block.push(measure.value(&table, place + 1)?);
                    }
                    done += 1;
                    if done % BLOCK == 0 {
                        hand_on(BLOCK, &block)?;
                        block.clear();
                    }
                }
                if done != self.tumours.len() {
                    return Err(self.changed());
                }
                hand_on(done % BLOCK, &block)
            }
            Layout::GenesInRows { second_header } => {
                let values = self.transposed(&mut table, second_header, places, measure)?;
                let blocks = values.chunks(BLOCK * places.len().max(1));
                blocks.into_iter().try_for_each(|block| hand_on(block.len() / places.len().max(1), block))
            }
        }
    }

    /// The values of the genes at `places`, `[tumours, places]`, of a table of one row a gene.
    fn transposed(
        &self,
        table: &mut Table,
        second_header: bool,
        places: &[usize],
        measure: Measure,
    ) -> Result<Vec<f32>> {
        let mut columns = Vec::with_capacity(self.tumours.len());
        for (barcode, place) in &self.tumours {
            match place.column().filter(|&c| c < table.header().len()) {
                Some(c) if barcode::parse(table.header()[c].as_bytes()).as_ref() == Some(barcode) => {
                    columns.push(c)
                }
                _ => return Err(self.changed()),
            }
        }
        let mut to: Vec<Option<usize>> = vec![None; self.genes.len()];
        for (at, &place) in places.iter().enumerate() {
            to[place] = Some(at);
        }
        let cells = columns.len().saturating_mul(places.len());
        let mut values: Vec<f32> = Vec::new();
        if values.try_reserve_exact(cells).is_err() {
            return Err(Error::run(&self.path, "holds more than this machine's memory"));
        }
        values.resize(cells, f32::NAN);
        if second_header {
            table.advance()?;
        }
        let mut row = 0;
        while table.advance()? {
            if self.genes.get(row).is_none_or(|gene| gene.as_bytes() != table.cell(0)) {
                return Err(self.changed());
            }
            if let Some(at) = to[row] {
                for (tumour, &column) in columns.iter().enumerate() {
                    values[tumour * places.len() + at] = measure.value(table, column)?;
                }
            }
            row += 1;
        }
        if row == self.genes.len() { Ok(values) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Error {
        Error::run(&self.path, "has changed while it was read; try again")
    }
}

impl Place {
    fn column(self) -> Option<usize> {
        if let Place::Column(column) = self { Some(column) } else { None }
    }
}

/// The barcode that the present row begins with.
fn row_barcode(table: &Table) -> Result<String> {
    let cell = table.cell(0);
    let shown = || format!("begins with {:.60?}, which is no TCGA barcode", String::from_utf8_lossy(cell));
    barcode::parse(cell).ok_or_else(|| table.fault(shown()))
}
