use super::device::DeviceArgs;
use super::logging::LogArgs;
use crate::comm::Communicator;
use crate::deck::{Deck, Override, PretrainDeck};
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::study::Start;
use crate::{Result, stop};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What every command takes that trains by a deck.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The experiment (TOML).
    pub deck: PathBuf,
    /// Overrides a key of the deck with any TOML value; may be repeated.
    #[arg(long, value_name = "section.key=value")]
    set: Vec<Override>,
    /// Threads a rank [default: the processors, shared evenly by the ranks bound to them].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// What to compute on.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Where to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What every command takes that fills a folder with a run.
#[derive(Debug, Clone, clap::Args)]
pub struct StudyArgs {
    /// Stop when 99 % of so many hours have passed, with checkpoints and exit code 75.
    #[arg(long, value_name = "H", value_parser = hours)]
    max_hours: Option<f64>,
    /// Go on with the run in --out, which is what happens anyway; warn where there is none.
    #[arg(long)]
    resume: bool,
    /// Remove the run in --out and start over; not for a script that requeues.
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Seconds between lines that say how a training goes, whatever its epochs take; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    heartbeat: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(seconds),
        _ => Err("must be a number, zero or above".into()),
    }
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if hours > 0.0 && hours.is_finite() => Ok(hours),
        _ => Err("must be a number above zero".into()),
    }
}

impl StudyArgs {
    /// Listens to signals and to the clock from here on.
    pub fn listen(&self) -> Result<()> {
        stop::on_signals()?;
        if let Some(hours) = self.max_hours {
            stop::after_hours(hours);
        }
        Ok(())
    }

    /// Time between lines that say how a training goes.
    pub fn heartbeat(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.heartbeat).ok().filter(|every| !every.is_zero())
    }

    /// What to do with a run that the folder holds.
    pub fn start(&self) -> Start {
        match (self.resume, self.fresh) {
            (_, true) => Start::Fresh,
            (true, false) => Start::Resume,
            (false, false) => Start::GoOn,
        }
    }
}

impl RunArgs {
    /// Opens what to compute on, in the numbers that the deck asks for; every rank of `world` calls this. A deck that
    /// cannot be read, and asks for none, is told of by who uses it.
    pub fn open_device(&self, precision: Option<Precision>, world: &dyn Communicator) -> Result<Device> {
        self.device.open_on_ranks(world, precision.unwrap_or(Precision::Fp32))
    }

    /// Reads the deck with its overrides.
    pub fn read(&self) -> Result<Deck> {
        Deck::read(&self.deck, &self.set)
    }

    /// Reads the deck of a pretraining with its overrides.
    pub fn read_pretraining(&self) -> Result<PretrainDeck> {
        PretrainDeck::read(&self.deck, &self.set)
    }
}
