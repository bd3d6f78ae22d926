//! How long messages between ranks take, by their size: measured, kept, read again.

mod measure;
mod report;

pub use measure::{CommRequest, measure_comm};
pub use report::{CommReport, Message, MessageTime, size_in_words};
