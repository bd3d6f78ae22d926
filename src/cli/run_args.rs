use crate::Result;
use crate::deck::{Deck, Override};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What every command takes that trains by a deck.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The experiment (TOML).
    pub deck: PathBuf,
    /// Overrides a key of the deck with any TOML value; may be repeated.
    #[arg(long, value_name = "section.key=value")]
    set: Vec<Override>,
    /// Threads a rank [default: the processors, shared evenly by the ranks bound to them].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl RunArgs {
    /// Reads the deck with its overrides.
    pub fn read(&self) -> Result<Deck> {
        Deck::read(&self.deck, &self.set)
    }
}
