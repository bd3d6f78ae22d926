//! One file a subcommand: raw arguments, checked, become one call into the rooms below.

mod command_line;
/// `crossrx import`.
pub mod import;
/// `crossrx inspect`.
pub mod inspect;
/// `crossrx synth`: made-up corpora.
pub mod synth;

pub use command_line::command_line;
