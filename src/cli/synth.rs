use super::say::say;
use crate::Result;
use crate::store::StoreWriter;
use crate::synth::{self, Corpus, Preset};
use std::path::PathBuf;

/// Write a made-up corpus whose best possible scores are known.
///
/// Drugs and samples have hidden factors; responses follow a dose curve of them; features show them
/// through noise; each study adds an offset, scale and noise of its own. The same preset and seed give
/// the same data, whatever the number of threads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which corpus; all but demo have the size of the published screen of that name.
    #[arg(long, value_enum)]
    preset: Preset,
    /// Chooses among the corpora of this preset.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The store to write (HDF5).
    #[arg(long, value_name = "STORE")]
    out: PathBuf,
    /// Replace a store that is there already.
    #[arg(long)]
    force: bool,
}

/// Writes the store and prints the best possible R2 of each source on each target.
pub fn run(args: Args) -> Result<()> {
    let corpus = Corpus::new(args.preset, args.seed);
    let command = super::command_line();
    let begin = if args.force { StoreWriter::replace } else { StoreWriter::create };
    let best = synth::write_into(begin(&args.out, &command)?, &corpus)?;
    let names = corpus.studies();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(6);
    let mut text = format!("{}\nBest possible R2, source by target:\n", args.out.display());
    let header = names.iter().map(|n| format!("{n:>width$}")).collect::<Vec<_>>();
    text += &format!("{:width$}  {}\n", "", header.join("  "));
    for (name, row) in names.iter().zip(best.rows()) {
        let cells = row.iter().map(|r2| format!("{r2:>width$.3}")).collect::<Vec<_>>();
        text += &format!("{name:width$}  {}\n", cells.join("  "));
    }
    say(text)
}
