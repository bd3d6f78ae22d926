use super::run_args::{RunArgs, StudyArgs};
use super::say::say;
use super::transfer::launch;
use crate::Result;
use crate::comm::Communicator;
use crate::study::{PretrainCorpus, pretrain};
use std::path::PathBuf;

/// Fit an encoder of samples on their features alone, in parallel over ranks
///
/// An autoencoder, or principal components, of the rows of one or more studies,
/// with or without responses. The folder holds the encoder, the latent rows of
/// all samples, what they are worth, and a report to look at; transfer decks
/// take it as sample_features = ["latent:DIR"]. Run it under mpirun or srun for
/// more than one rank.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the results: new, or of the same pretraining, which goes on.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Deck and threads.
    #[command(flatten)]
    pub run: RunArgs,
    /// When to stop and where to start.
    #[command(flatten)]
    pub study: StudyArgs,
}

/// Runs the pretraining on all ranks.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    args.study.listen()?;
    let deck = args.run.read_pretraining();
    let precision = deck.as_ref().ok().map(|deck| deck.train.precision);
    let device = args.run.open_device(precision, world)?;
    let corpus = PretrainCorpus::open(deck, &args.run.deck, world, device)?;
    let launch = launch(&args.study, &corpus.device);
    match pretrain(&corpus, &args.out, args.study.start(), world, &launch)? {
        Some(line) => say(line),
        None => Ok(()),
    }
}
