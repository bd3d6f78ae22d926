use super::run_args::{RunArgs, StudyArgs};
use super::transfer::run_study;
use crate::comm::Communicator;
use crate::deck::{Deck, Splits};
use crate::study::Corpus;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Train one source and split of a deck on all ranks, and score its targets
///
/// One task of what `transfer` does, laid out the same way.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Dataset to train on.
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Number of the split.
    #[arg(long, value_name = "K")]
    split: u32,
    /// Folder for the results: new, or of the same study, which goes on.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Deck and threads.
    #[command(flatten)]
    pub run: RunArgs,
    /// When to stop and where to start.
    #[command(flatten)]
    pub study: StudyArgs,
}

/// Runs the task on all ranks.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    args.study.listen()?;
    let path = &args.run.deck;
    let deck = args.run.read().and_then(|deck| only(deck, &args.source, args.split, path));
    let precision = deck.as_ref().ok().map(|deck| deck.train.precision);
    let device = args.run.open_device(precision, world)?;
    run_study(&Corpus::open(deck, path, world, device)?, &args.out, &args.study, world)
}

/// The deck cut down to one task, which all ranks then share.
pub(super) fn only(mut deck: Deck, source: &str, split: u32, path: &Path) -> Result<Deck> {
    deck.data.sources = vec![source.into()];
    match &mut deck.data.splits {
        Splits::Imported(numbers) => *numbers = vec![split],
        Splits::Rule { only, .. } => *only = Some(vec![split]),
    }
    if let Some(what) = deck.data.splits.fault() {
        return Err(Error::deck(path, "data.splits", what));
    }
    Ok(deck)
}
