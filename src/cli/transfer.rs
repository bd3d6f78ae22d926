use super::command_line;
use super::run_args::{RunArgs, StudyArgs};
use super::say::say;
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::store::utc_now;
use crate::study::{Corpus, Launch, estimate, transfer};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Train on every source of a deck and score every target, in parallel over ranks
///
/// Every (source, split) is trained once; each target of it is scored as soon
/// as it is ready. Results are laid out as the IMPROVE tools lay them out, with
/// the mean-effects predictor beside them and a report to look at. Run it
/// under mpirun or srun for more than one rank.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the results: new, or of the same study, which goes on.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Print tasks, groups of ranks, memory and an estimate of time, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Deck and threads.
    #[command(flatten)]
    pub run: RunArgs,
    /// When to stop and where to start.
    #[command(flatten)]
    pub study: StudyArgs,
}

/// Runs the study on all ranks.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    if !args.dry_run {
        // Before the corpus is opened: that may take minutes of the hours given.
        args.study.listen()?;
    }
    let deck = args.run.read();
    let precision = deck.as_ref().ok().map(|deck| deck.train.precision);
    let device = args.run.open_device(precision, world)?;
    let corpus = Corpus::open(deck, &args.run.deck, world, device)?;
    if args.dry_run {
        let text = agree(
            world,
            if world.rank() == 0 { estimate(&corpus, world.size()) } else { Ok(String::new()) },
        )?;
        return say(text);
    }
    let out = args.out.ok_or_else(|| Error::Request("name a folder with --out".into()))?;
    run_study(&corpus, &out, &args.study, world)
}

/// Runs the study of `corpus` and prints, on rank 0, the matrix and where the report is.
pub fn run_study(corpus: &Corpus, out: &Path, args: &StudyArgs, world: &dyn Communicator) -> Result<()> {
    let launch = launch(args, &corpus.device);
    if let Some((matrix, page)) = transfer(corpus, out, args.start(), world, &launch)? {
        return say(format_args!("{matrix}report: {}\n", page.display()));
    }
    Ok(())
}

/// How the program was started.
pub(super) fn launch(args: &StudyArgs, device: &Device) -> Launch {
    Launch {
        command: command_line(),
        started: utc_now(),
        threads: rayon::current_num_threads(),
        versions: versions(device),
        heartbeat: args.heartbeat(),
    }
}

fn versions(device: &Device) -> std::collections::BTreeMap<String, String> {
    let (major, minor, micro) = hdf5::library_version();
    let mut versions = std::collections::BTreeMap::from([
        ("crossrx".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("HDF5".to_string(), format!("{major}.{minor}.{micro}")),
    ]);
    if let Device::Cuda(stream) = device {
        versions.insert("GPU".into(), stream.name());
    }
    #[cfg(feature = "mpi")]
    versions.insert("MPI".into(), crate::comm::MpiWorld::library());
    #[cfg(not(feature = "mpi"))]
    versions.insert("MPI".into(), "none".into());
    versions
}
