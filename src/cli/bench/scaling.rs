use super::super::command_line;
use super::super::run_args::RunArgs;
use super::super::say::say;
use super::super::train::only;
use crate::bench::CommReport;
use crate::bench::scaling::{Mode, NetworkWish, ScalingRequest, measure_scaling};
use crate::comm::{Communicator, agree};
use crate::study::Corpus;
use crate::{Error, Result};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Scaling {
    /// Numbers of ranks, such as 1,2,4,8; start as many as the largest.
    #[arg(long, value_name = "R", value_delimiter = ',', required = true)]
    ranks: Vec<NonZeroUsize>,
    /// What grows with the ranks.
    #[arg(long, value_name = "MODE", default_value = "strong")]
    mode: Mode,
    /// Folder for scaling.csv, comm.csv, scaling.json and scaling.html.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Dataset to train on [default: the deck's first].
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Number of the split [default: the deck's first].
    #[arg(long, value_name = "K")]
    split: Option<u32>,
    /// Steps that are timed for each number of ranks.
    #[arg(long, value_name = "N", default_value = "30")]
    steps: NonZeroUsize,
    /// Milliseconds of a step on one rank to predict for, beside the measured one; may be repeated.
    #[arg(long, value_name = "T", value_parser = above_zero)]
    step_ms: Vec<f64>,
    /// Message times that `bench comm --json` wrote, in place of measuring them.
    #[arg(long, value_name = "FILE")]
    comm: Option<PathBuf>,
    /// About how many seconds to measure messages.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    comm_seconds: f64,
    /// Latency between nodes in place of a measured one, in microseconds [assumed where none is measured: 2].
    #[arg(long, value_name = "US", value_parser = above_zero)]
    network_latency_us: Option<f64>,
    /// Rate of a node's network in place of a measured one, in gigabits a second each way [likewise: 100].
    #[arg(long, value_name = "GBPS", value_parser = above_zero)]
    network_gbps: Option<f64>,
    /// Ranks a node of the machine that is predicted [default: those of this job].
    #[arg(long, value_name = "Q")]
    ranks_per_node: Option<NonZeroUsize>,
    /// Deck and threads.
    #[command(flatten)]
    pub run: RunArgs,
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1e12 => Ok(number),
        _ => Err("must be a number above zero".into()),
    }
}

/// Measures on all ranks; rank 0 prints and writes.
pub fn run(args: Scaling, world: &dyn Communicator) -> Result<()> {
    let path = &args.run.deck;
    let deck = args.run.read().and_then(|deck| {
        let first = || deck.data.sources.first().cloned();
        let source = args.source.clone().or_else(first);
        let split = args.split.or_else(|| deck.data.splits.numbers().first().copied());
        match (source, split) {
            (Some(source), Some(split)) => only(deck, &source, split, path),
            _ => Err(Error::deck(path, "data", "has no source or no split")),
        }
    });
    let precision = deck.as_ref().ok().map(|deck| deck.train.precision);
    let device = args.run.open_device(precision, world)?;
    // Read on every rank, so that all of them refuse it.
    let comm = agree(world, args.comm.as_deref().map(CommReport::read).transpose())?;
    let request = ScalingRequest {
        ranks: args.ranks.iter().map(|&ranks| ranks.into()).collect(),
        mode: args.mode,
        steps: args.steps.into(),
        step_ms: args.step_ms.clone(),
        comm,
        comm_seconds: args.comm_seconds,
        folder: args.out.clone(),
        network: NetworkWish {
            latency_us: args.network_latency_us,
            gigabits: args.network_gbps,
            ranks_per_node: args.ranks_per_node.map(usize::from),
        },
    };
    let corpus = Corpus::open(deck, path, world, device)?;
    let task = corpus.tasks()?.into_iter().next();
    let task = task.ok_or_else(|| Error::deck(path, "data", "has no source or no split"))?;
    let Some(report) = measure_scaling(&request, &corpus, &task, world)? else { return Ok(()) };
    say(&report)?;
    report.write(&args.out, &command_line())?;
    say(format_args!("page: {}\n", args.out.join("scaling.html").display()))
}
