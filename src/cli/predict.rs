use super::device::DeviceArgs;
use super::say::say;
use crate::comm::Serial;
use crate::device::cuda::Precision;
use crate::study::predict;
use crate::{Error, Result};
use std::path::PathBuf;

/// Predict a dataset of any store with a trained model
///
/// Features are matched by name. A column that the store lacks is taken to
/// have its mean in training, and named; too many are refused. Pairs whose
/// drug or sample has no features are left out and counted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the model, `models/<SOURCE>/split_<k>` of a run.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The store (HDF5) to predict.
    #[arg(long, value_name = "STORE")]
    store: PathBuf,
    /// Which of its datasets.
    #[arg(long, value_name = "NAME")]
    dataset: String,
    /// The table to write.
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Largest fraction of the model's columns that the store may lack.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    max_missing: f64,
    /// What to compute on.
    #[command(flatten)]
    device: DeviceArgs,
}

/// Writes the predictions and says what was matched.
pub fn run(args: Args) -> Result<()> {
    if !(0.0..=1.0).contains(&args.max_missing) {
        return Err(Error::Request(format!("--max-missing {} is not from 0 to 1", args.max_missing)));
    }
    let device = args.device.open(&Serial, Precision::Fp32)?;
    let report = predict(&args.model, &args.store, &args.dataset, &args.out, args.max_missing, &device)?;
    for columns in &report.missing {
        say(format_args!(
            "{} features: {} of {} columns are not in the store and take their mean in training: {}\n",
            columns.entity.name(),
            columns.names.len(),
            columns.of,
            columns.summary()
        ))?;
    }
    say(format_args!(
        "{} pairs predicted; left out: {} without features of their drug, {} without features of their sample\n{}\n",
        report.predicted,
        report.drugless,
        report.sampleless,
        args.out.display()
    ))
}
