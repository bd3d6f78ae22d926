//! Public file formats read into a store: complete IMPROVE trees ([`improve`](crate::import::improve)),
//! single long or entity-by-feature tables ([`long`](crate::import::long)), expression of tumours
//! ([`tcga`](crate::import::tcga)), and labels of samples ([`labels`](crate::import::labels)). Whatever does not
//! join, and why, stands in the [`MatchReport`](crate::import::MatchReport) of each import.

pub mod improve;
pub mod labels;
pub mod long;
pub mod tcga;

mod barcode;
mod cell;
mod column_names;
mod dose;
mod entity_table;
mod gene_match;
mod gene_names;
mod input;
mod join;
mod match_report;
mod omics;
mod one_hot;
mod response;
mod splits;
mod stretch;
mod survey;
mod table;
mod tumour_table;

pub use gene_match::{GeneMatch, TumourMatch};
pub use match_report::{MatchReport, ResponseMatch, SplitMatch, TableMatch};
pub use one_hot::LabelMatch;
