use crate::report::models::Models;
use crate::report::{self, text, tree::Run};
use crate::{Error, Result};
use std::path::PathBuf;

/// Make the tables and report.html of finished runs.
///
/// Reads any folder laid out as infer/<SOURCE>-<TARGET>/split_<k>/test_scores.json,
/// written by this program or another, and writes all_scores.csv, the
/// generalization matrices and one page that opens without a network. Several
/// folders are set side by side, a model each.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of finished runs.
    #[arg(required = true, value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// Folder for the tables and the page [default: the run's own; needed for several].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Title of the page.
    #[arg(long)]
    title: Option<String>,
}

/// Writes the report, prints the R2 matrices and where the page is.
pub fn run(args: Args) -> Result<()> {
    let out = match (&args.out, &args.runs[..]) {
        (Some(out), _) => out,
        (None, [run]) => run,
        (None, runs) => {
            return Err(Error::Request(format!(
                "name a folder for the report of {} runs with --out",
                runs.len()
            )));
        }
    };
    let runs = args.runs.iter().map(|dir| Run::read(dir)).collect::<Result<Vec<_>>>()?;
    for note in runs.iter().flat_map(|run| &run.notes) {
        log::warn!("{note}");
    }
    let page = report::write_runs(&runs, out, args.title.as_deref())?;
    print!("{}", text::matrix(&Models::of(&runs)));
    println!("report: {}", page.display());
    Ok(())
}
