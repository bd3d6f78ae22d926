use super::say::say;
use crate::bench::{Case, ScoreReport, StepReport, measure_score, measure_step};
use crate::comm::Communicator;
use crate::{Error, Result, atomic};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Measure how fast this machine trains
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
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
}

impl Args {
    /// Threads a rank that are asked for.
    pub fn threads(&self) -> Option<usize> {
        let (What::Step(Step { threads, .. }) | What::Score(Score { threads, .. })) = &self.what;
        threads.map(usize::from)
    }
}

/// Measures steps on all ranks, scoring on one; rank 0 prints.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    match args.what {
        What::Step(step) => {
            let cases = if step.case.is_empty() { Case::ALL.to_vec() } else { step.case };
            let mut reports: Vec<StepReport> = Vec::new();
            for case in cases {
                let report = measure_step(case, step.seconds, step.lanes.map(usize::from), world)?;
                if world.rank() == 0 {
                    say(&report)?;
                }
                reports.push(report);
            }
            if world.rank() == 0 { write(step.json, &reports) } else { Ok(()) }
        }
        What::Score(score) if world.rank() == 0 => {
            let report: ScoreReport = measure_score(score.case, score.pairs)?;
            say(&report)?;
            write(score.json, &report)
        }
        What::Score(_) => Ok(()),
    }
}

fn write(path: Option<PathBuf>, figures: &impl serde::Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)
        .map_err(|e| Error::Request(format!("figures that JSON cannot hold: {e}")))?;
    atomic::write_file(&path, |w| w.write_all(text.as_bytes()))
}
