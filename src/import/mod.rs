//! Public file formats read into a store: complete IMPROVE trees ([`improve`](crate::import::improve)),
//! and single long or entity-by-feature tables ([`long`](crate::import::long)). Whatever does not
//! join, and why, stands in the [`MatchReport`](crate::import::MatchReport) of each import.

pub mod improve;
pub mod long;

mod cell;
mod column_names;
mod dose;
mod entity_table;
mod input;
mod join;
mod match_report;
mod omics;
mod response;
mod splits;
mod stretch;
mod survey;
mod table;

pub use match_report::{MatchReport, ResponseMatch, SplitMatch, TableMatch};
