use super::super::json::write_json;
use super::super::placement;
use super::super::say::say;
use super::size::size;
use crate::Result;
use crate::bench::{CommRequest, measure_comm};
use crate::comm::Communicator;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Comm {
    /// The smallest message: bytes, or with KiB, MiB or GiB behind.
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = size)]
    from: usize,
    /// No message is larger.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    to: usize,
    /// About how many seconds for all.
    #[arg(long, value_name = "S", default_value_t = 20.0)]
    seconds: f64,
    /// Writes the figures as JSON, too, for `bench scaling --comm`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the figures as CSV, too.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Measures messages between all ranks; rank 0 prints.
pub fn run(args: Comm, world: &dyn Communicator) -> Result<()> {
    placement::tell(world, None)?;
    let request = CommRequest { from: args.from, to: args.to.max(args.from), seconds: args.seconds };
    let Some(report) = measure_comm(request, world)? else { return Ok(()) };
    say(&report)?;
    if let Some(csv) = &args.csv {
        report.write_csv(csv)?;
    }
    write_json(args.json, &report)
}
