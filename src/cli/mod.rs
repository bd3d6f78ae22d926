//! One file a subcommand: raw arguments, checked, become one call into the rooms below.

/// `crossrx synth`: made-up corpora.
pub mod synth;
/// `crossrx report`: tables and page of finished runs.
pub mod report;
