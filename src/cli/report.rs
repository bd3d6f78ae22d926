use super::say::say;
use crate::report::models::Models;
use crate::report::{self, latent, text, tree::Run};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Make the tables and report.html of finished runs.
///
/// Reads any folder laid out as infer/SOURCE-TARGET/split_K/test_scores.json,
/// written by this program or another, and writes all_scores.csv, the
/// generalization matrices and one page that opens without a network. Several
/// folders are set side by side, a model each: the first is tested against
/// every other, split by split. The folder of a pretraining gets its page anew.
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
    if let Some(pretraining) = args.runs.iter().find(|dir| latent::is_pretraining(dir)) {
        return of_pretraining(pretraining, &args);
    }
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
    let models = Models::of(&runs);
    let page = report::write(&models, out, args.title.as_deref())?;
    say(format_args!("{}report: {}\n", text::matrix(&models), page.display()))
}

/// Writes the page of the pretraining `dir`, which has no place beside others.
fn of_pretraining(dir: &Path, args: &Args) -> Result<()> {
    if args.runs.len() > 1 || args.out.is_some() {
        return Err(Error::Request(format!(
            "{} is a pretraining, whose page goes into its own folder: report it alone and without --out",
            dir.display()
        )));
    }
    latent::write(dir, args.title.as_deref())?;
    say(format_args!("{}\nreport: {}\n", latent::summary(dir)?, dir.join(latent::PAGE).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn several_runs_need_a_folder_for_their_report() {
        let args = Line::parse_from(["report", "a", "b"]).args;
        assert!(run(args).unwrap_err().to_string().contains("--out"));
        assert!(Line::try_parse_from(["report"]).is_err());
    }

    #[test]
    fn a_pretraining_is_told_by_its_quality_and_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        std::fs::write(dir.path().join("quality.json"), "{}").unwrap();
        let refused = |line: &[&str]| run(Line::parse_from(line).args).unwrap_err().to_string();
        for line in [&["report", &path, "--out", "x"][..], &["report", "a", &path]] {
            let message = refused(line);
            assert!(message.contains(&path) && message.contains("alone"), "{message}");
        }
        let message = refused(&["report", &path]);
        assert!(message.contains("quality.json") && message.contains("missing field"), "{message}");
    }

    #[test]
    fn a_folder_without_a_run_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let args = Line::parse_from(["report", &dir.path().display().to_string()]).args;
        let message = run(args).unwrap_err().to_string();
        assert!(
            message.contains(&dir.path().display().to_string()) && message.contains("infer/"),
            "{message}"
        );
    }
}
