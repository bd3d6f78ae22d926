use super::say::say;
use crate::bench::{Case, StepReport, measure};
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
}

#[derive(Debug, clap::Args)]
struct Step {
    /// Only this network; may be repeated.
    #[arg(long, value_name = "CASE")]
    case: Vec<Case>,
    /// Writes the figures as JSON, too: a list with one object a case.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seconds a case.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// Threads a rank [default: the processors, shared evenly by the ranks bound to them].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Args {
    /// Threads a rank that are asked for.
    pub fn threads(&self) -> Option<usize> {
        let What::Step(step) = &self.what;
        step.threads.map(usize::from)
    }
}

/// Measures on all ranks; rank 0 prints.
pub fn run(args: Args, world: &dyn Communicator) -> Result<()> {
    let What::Step(step) = args.what;
    let cases = if step.case.is_empty() { Case::ALL.to_vec() } else { step.case };
    let mut reports: Vec<StepReport> = Vec::new();
    for case in cases {
        let report = measure(case, step.seconds, world)?;
        if world.rank() == 0 {
            say(&report)?;
        }
        reports.push(report);
    }
    match step.json {
        Some(path) if world.rank() == 0 => {
            let text = serde_json::to_string_pretty(&reports)
                .map_err(|e| Error::Request(format!("figures that JSON cannot hold: {e}")))?;
            atomic::write_file(&path, |w| w.write_all(text.as_bytes()))
        }
        _ => Ok(()),
    }
}
