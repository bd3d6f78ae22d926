//! The HDF5 layout, schema version 1. `docs/store.md` describes it for other programs.
//!
//! ```text
//! /                                   attrs: format, schema_version, program, command, created
//! /drugs/id  /samples/id              strings, one an entity, distinct
//! /drugs/text/<column>                strings, such as smiles and drug_name (optional)
//! /features/<drug|sample>/<name>/     attrs: encoding ("f32" | "bits"), columns, units, missing, origin (optional)
//!     entity                          u32 [rows], index into /drugs/id or /samples/id, distinct
//!     names                           strings [columns]
//!     values                          f32 [rows, columns], NaN where missing, or u8 [rows, ceil(columns / 8)], bit 0 first
//! /datasets/<name>/                   attrs: columns (the response table's header, for output)
//!     drug  sample                    u32 [pairs]
//!     row                             u64 [pairs], 0-based row of the table it came from
//!     dose                            f32 [pairs], log10 molar (optional), attrs: units
//!     endpoint/<name>                 f32 [pairs], NaN where not measured, attrs: units
//!     label/<name>/code|value         u16 [pairs] and strings: text columns of the table (optional)
//!     split/<k>/train|val|test        u32, indices into this dataset's pairs
//! /truth/                             made-up corpora only: best possible R2, attrs: order
//!     best_r2                         f64 [datasets, datasets], source by target
//! ```

mod array;
mod array_reader;
mod array_writer;
mod chunk;
mod chunk_io;
mod digest;
mod fault;
mod feature_rules;
mod feature_writer;
mod features;
mod filters;
mod fletcher32;
mod links;
pub(crate) mod names;
mod overlap;
mod pair_writer;
mod pairs;
mod provenance;
mod reader;
mod scalar;
mod split_rows;
mod strings;
mod summary;
mod target;
mod verify;
mod version;
mod writer;

pub use feature_writer::FeatureWriter;
pub(crate) use overlap::overlap;
pub use pair_writer::DatasetWriter;
pub use provenance::{Provenance, utc_now};
pub use reader::Store;
pub use summary::{DatasetSummary, EndpointSummary, FeatureSummary, Overlap, StoreSummary};
pub use verify::{VerifyReport, verify};
pub use writer::StoreWriter;

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The layout written by this program and the only one it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The two things that a pair joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// A compound.
    Drug,
    /// A cell line or a tumour.
    Sample,
}

impl Entity {
    /// Both, drugs first.
    pub const ALL: [Entity; 2] = [Entity::Drug, Entity::Sample];

    /// Singular name, as in `/features/<name>` and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Entity::Drug => "drug",
            Entity::Sample => "sample",
        }
    }

    /// Plural name, as in `/drugs`.
    pub fn plural(self) -> &'static str {
        match self {
            Entity::Drug => "drugs",
            Entity::Sample => "samples",
        }
    }
}

/// How the values of a feature table are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// One f32 a value.
    F32,
    /// One bit a value, eight columns a byte, lowest bit first.
    Bits,
}

impl Encoding {
    /// Both.
    pub const ALL: [Encoding; 2] = [Encoding::F32, Encoding::Bits];

    /// Name, as in the attribute `encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::F32 => "f32",
            Encoding::Bits => "bits",
        }
    }

    /// Values stored for a row of `columns` columns.
    pub fn width(self, columns: usize) -> usize {
        match self {
            Encoding::F32 => columns,
            Encoding::Bits => columns.div_ceil(8),
        }
    }
}

/// A feature table without its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureInfo {
    /// Drug or sample.
    pub entity: Entity,
    /// Name, as in a deck.
    pub name: String,
    /// How values are kept.
    pub encoding: Encoding,
    /// Entities that have a row.
    pub rows: usize,
    /// Values a row.
    pub columns: usize,
    /// Unit of the values, "1" for none.
    pub units: String,
}

/// A feature table read whole.
#[derive(Debug, Clone)]
pub struct FeatureTable {
    /// Name, shape and encoding.
    pub info: FeatureInfo,
    /// Column names, `[columns]`.
    pub names: Vec<String>,
    /// Entity index of each row, `[rows]`, distinct.
    pub entity: Vec<u32>,
    /// `[rows, columns]`, NaN where a value is missing; bits are widened to 0 and 1.
    pub values: ndarray::Array2<f32>,
}

/// What a dataset has, without its pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Name, as in a deck.
    pub name: String,
    /// Number of pairs.
    pub pairs: usize,
    /// Whether pairs carry a dose (log10 molar).
    pub dose: bool,
    /// Endpoint names with units.
    pub endpoints: Vec<(String, String)>,
    /// Text columns.
    pub labels: Vec<String>,
    /// Numbers of the imported splits, ascending.
    pub splits: Vec<u32>,
    /// The columns of the response table in their order, for tables written out.
    pub columns: Vec<String>,
}

impl DatasetInfo {
    /// Ranges of all pairs in their order, of a size that is read at a time.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let pairs = self.pairs;
        (0..pairs).step_by(array::BLOCK_PAIRS).map(move |start| start..pairs.min(start + array::BLOCK_PAIRS))
    }
}

/// A run of pairs of one dataset with one endpoint, as parallel arrays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Drug index, `[n]`.
    pub drug: Vec<u32>,
    /// Sample index, `[n]`.
    pub sample: Vec<u32>,
    /// log10 molar, `[n]`, or empty where the dataset has no dose.
    pub dose: Vec<f32>,
    /// The endpoint, `[n]`, NaN where not measured.
    pub value: Vec<f32>,
}

impl Pairs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.drug.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.drug.is_empty()
    }

    /// The pairs at `rows` of these.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn select(&self, rows: &[u32]) -> Pairs {
        let pick = |from: &[f32]| rows.iter().map(|&r| from[r as usize]).collect::<Vec<_>>();
        Pairs {
            drug: rows.iter().map(|&r| self.drug[r as usize]).collect(),
            sample: rows.iter().map(|&r| self.sample[r as usize]).collect(),
            dose: if self.dose.is_empty() { Vec::new() } else { pick(&self.dose) },
            value: pick(&self.value),
        }
    }
}

/// A block of pairs with all endpoints, as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairBlock {
    /// Drug index, `[n]`.
    pub drug: Vec<u32>,
    /// Sample index, `[n]`.
    pub sample: Vec<u32>,
    /// 0-based row of the table it came from, `[n]`.
    pub row: Vec<u64>,
    /// log10 molar, `[n]`, or empty.
    pub dose: Vec<f32>,
    /// One array an endpoint, each `[n]`, in the dataset's order.
    pub endpoints: Vec<Vec<f32>>,
    /// One array of codes a text column, each `[n]`, in the dataset's order.
    pub labels: Vec<Vec<u16>>,
}

/// The rows of one split, indices into the dataset's pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitRows {
    /// Rows to train on.
    pub train: Vec<u32>,
    /// Rows that choose the epoch.
    pub val: Vec<u32>,
    /// Rows that are scored once.
    pub test: Vec<u32>,
}
