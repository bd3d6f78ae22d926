mod comm;
mod scaling;
mod size;

use super::device::DeviceArgs;
use super::json::write_json;
use super::logging::LogArgs;
use super::placement;
use super::say::say;
use crate::Result;
use crate::bench::{Case, ScoreReport, StepReport, measure_all_reduce, measure_score, measure_step};
use crate::comm::{Communicator, Serial};
use crate::device::cuda::Precision;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Measure how fast this machine trains
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Where to log.
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Training steps of networks of published shapes, on made-up data
    ///
    /// Prints pairs a second, the same for a step's matrix products alone (the
    /// floor), and where the time goes.
    Step(Step),
    /// Scoring of a dataset by a network of a published shape, on made-up data and one rank
    Score(Score),
    /// Sums over ranks: the tree sum that gradients go by, and the MPI library's own, in turn
    AllReduce(AllReduce),
    /// Messages between ranks, from small to large: latency and bandwidth of sums and of ping-pong
    ///
    /// Sums go over the first 2, 4, 8, ... and over all ranks, ping-pong between two ranks of a node
    /// and of two nodes. Prints microseconds and bytes a second, by the slowest rank.
    Comm(comm::Comm),
    /// Training by a deck on 1, 2, 4, ... of the ranks started: time by phase, efficiency, and what to expect of more
    ///
    /// Writes one CSV row a rank and phase, and a page with the efficiency beside a model that is
    /// fitted on message times and predicts for up to 4,096 ranks.
    Scaling(Box<scaling::Scaling>),
}

#[derive(Debug, clap::Args)]
struct Step {
    /// Only this network; may be repeated.
    #[arg(long, value_name = "CASE")]
    case: Vec<Case>,
    /// Writes the figures as JSON, too: a list with one object a case.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Lanes that a step's pairs are cut into: a power of two, or the number of ranks [default: one a rank].
    #[arg(long, value_name = "V")]
    lanes: Option<NonZeroUsize>,
    /// Seconds a case.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// Threads a rank [default: the processors, shared evenly by the ranks bound to them].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// In which numbers a GPU computes: fp32, tf32 or bf16.
    #[arg(long, value_name = "P", default_value = "fp32")]
    precision: Precision,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, clap::Args)]
struct Score {
    /// The network.
    #[arg(long, value_name = "CASE", default_value = "two-tower-1000")]
    case: Case,
    /// Pairs scored.
    #[arg(long, value_name = "N", default_value_t = 400_000)]
    pairs: usize,
    /// Writes the figures as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Threads [default: the processors].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// In which numbers a GPU computes: fp32, tf32 or bf16.
    #[arg(long, value_name = "P", default_value = "fp32")]
    precision: Precision,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, clap::Args)]
struct AllReduce {
    /// Size of what each rank adds, in binary megabytes.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    mebibytes: u32,
    /// Seconds for both.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// Writes the figures as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Args {
    /// Threads a rank that are asked for.
    pub fn threads(&self) -> Option<usize> {
        match &self.what {
            What::Step(Step { threads, .. }) | What::Score(Score { threads, .. }) => threads.map(usize::from),
            What::AllReduce(_) | What::Comm(_) => Some(1),
            What::Scaling(scaling) => scaling.run.threads.map(usize::from),
        }
    }
}

/// Measures steps and sums on all ranks, scoring on one; rank 0 prints.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    match args.what {
        What::Step(step) => {
            let cases = if step.case.is_empty() { Case::ALL.to_vec() } else { step.case };
            let device = step.device.open_on_ranks(world, step.precision)?;
            let mut reports: Vec<StepReport> = Vec::new();
            for case in cases {
                let lanes = step.lanes.map(usize::from);
                let report = measure_step(case, step.seconds, lanes, &device, step.precision, world)?;
                if world.rank() == 0 {
                    say(&report)?;
                }
                reports.push(report);
            }
            if world.rank() == 0 { write_json(step.json, &reports) } else { Ok(()) }
        }
        What::Score(score) if world.rank() == 0 => {
            let device = score.device.open(&Serial, score.precision)?;
            let report: ScoreReport = measure_score(score.case, score.pairs, &device, score.precision)?;
            say(&report)?;
            write_json(score.json, &report)
        }
        What::Score(_) => Ok(()),
        What::AllReduce(AllReduce { mebibytes, seconds, json }) => {
            placement::tell(world, None)?;
            let report = measure_all_reduce(mebibytes as usize, seconds, world)?;
            if world.rank() > 0 {
                return Ok(());
            }
            say(&report)?;
            write_json(json, &report)
        }
        What::Comm(args) => comm::run(args, world),
        What::Scaling(args) => scaling::run(*args, world),
    }
}
