//! How the training of a deck scales over ranks: measured on the first 1, 2, 4, ... ranks of a job,
//! and beside it a model of the sums over ranks, fitted on message times, for more ranks than there are.

mod csv;
mod fit;
mod measure;
mod model;
mod network;
mod page;
mod phase;
mod text;
mod work;

pub use measure::{Measured, RankPhases};
pub use model::{Band, Model, Prediction};
pub use network::{Link, Network, NetworkWish, Origin};
pub use phase::Phase;
pub use work::Work;

use super::comm::{CommReport, CommRequest, measure_comm};
use super::places::Places;
use super::timing::among;
use crate::comm::{Communicator, agree};
use crate::device::Device;
use crate::study::{Corpus, Task};
use crate::{Error, Result, atomic};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What grows with the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing: a step's pairs, those of the deck, are shared by more ranks
    Strong,
    /// The pairs of a step: the deck's for one rank, times the ranks
    Weak,
}

impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strong => "strong",
            Mode::Weak => "weak",
        }
    }
}

/// What to measure, and to predict.
#[derive(Debug)]
pub struct ScalingRequest {
    /// Numbers of ranks; one is measured anyway, to hold the others against.
    pub ranks: Vec<usize>,
    /// What grows with them.
    pub mode: Mode,
    /// Steps that are timed for each.
    pub steps: usize,
    /// Milliseconds of a step on one rank to predict for, beside the measured one.
    pub step_ms: Vec<f64>,
    /// Message times measured before; else they are measured.
    pub comm: Option<CommReport>,
    /// About how long to measure messages, in seconds.
    pub comm_seconds: f64,
    /// What is known of the network between nodes.
    pub network: NetworkWish,
    /// Where the report is to be written, made before anything is measured.
    pub folder: PathBuf,
}

/// What was measured, and what is predicted from it.
#[derive(Debug, Serialize)]
pub struct ScalingReport {
    /// What grew with the ranks.
    pub mode: Mode,
    /// The training, such as `CCLE split 0`.
    pub task: String,
    /// What computed, on the first rank.
    pub device: String,
    /// Hosts, in the order of ranks.
    pub hosts: Vec<String>,
    /// Processors of the hosts that the ranks may use.
    pub processors: usize,
    /// Whether the machine is too small for the measurement to be more than a proof that it works.
    pub functional_only: bool,
    /// By number of ranks, one first.
    pub measured: Vec<Measured>,
    /// Message times; `None` where there is one rank and nobody gave any.
    pub comm: Option<CommReport>,
    /// Predictions; `None` where there are no message times that they could stand on.
    pub model: Option<Model>,
}

/// Fewest processors on which a measurement says something of a cluster: the predictions begin at as many ranks.
const FEWEST: usize = 8;
/// Sizes of messages that are measured, in bytes.
const MESSAGES: [usize; 3] = [1 << 10, 1 << 22, 1 << 28];

/// Trains `task` of `corpus` for a few steps on the first r ranks of `world`, for each r of `request`,
/// measures messages, fits the model, and on rank 0 returns what came of it. All ranks call this;
/// those that have no part in a measurement sleep. Refuses numbers of ranks that the training's
/// pairs or lanes cannot be dealt to, before anything is measured.
pub fn measure_scaling(
    request: &ScalingRequest,
    corpus: &Corpus,
    task: &Task,
    world: &dyn Communicator,
) -> Result<Option<ScalingReport>> {
    let mut counts = request.ranks.clone();
    counts.push(1);
    counts.sort_unstable();
    counts.dedup();
    let plan = measure::Plan { corpus, task, mode: request.mode, steps: request.steps };
    agree(world, plan.check(&counts, world.size()))?;
    let folder = &request.folder;
    let made = if world.rank() == 0 { std::fs::create_dir_all(folder) } else { Ok(()) };
    agree(world, made.map_err(|e| Error::io(folder, "cannot create", e)))?;
    let places = Places::of(world);
    let mut measured: Vec<Measured> = Vec::new();
    for &ranks in &counts {
        if world.rank() == 0 {
            log::info!("{task}: {} steps on {ranks} of {} ranks", request.steps, world.size());
        }
        measured.extend(among(world, |rank| rank < ranks, |group| plan.measure(group, &places))?);
    }
    let comm = match &request.comm {
        Some(comm) => Some(comm.clone()),
        None if world.size() == 1 => None,
        None => {
            // Gradients may be larger than what is measured otherwise, within bounds.
            let mut largest = measured.first().map_or(0, |one| one.gradient_bytes).to_ne_bytes().to_vec();
            world.broadcast(0, &mut largest);
            let largest = largest.first_chunk().map_or(0, |bytes| usize::from_ne_bytes(*bytes));
            let [from, least, most] = MESSAGES;
            let request =
                CommRequest { from, to: (4 * largest).clamp(least, most), seconds: request.comm_seconds };
            measure_comm(request, world)?
        }
    };
    if world.rank() > 0 {
        return Ok(None);
    }
    measured.sort_by_key(|of| of.ranks);
    measure::set_efficiencies(&mut measured);
    let model = comm.as_ref().map(|comm| {
        let work = Work::of(&measured, request.mode)?;
        let per_node = places.per_node(world.size());
        if request.network.ranks_per_node.is_none() && !per_node.is_some_and(usize::is_power_of_two) {
            log::warn!("ranks are no power of two of neighbours on each node, which the model needs: it takes {} a node; --ranks-per-node says otherwise", 1usize << per_node.unwrap_or(1).ilog2());
        }
        let per_node = per_node.unwrap_or(1);
        let network = Network::fit(comm, &request.network, per_node)?;
        Ok::<_, Error>(Model::new(work, network, &request.step_ms))
    });
    // What was measured is worth keeping.
    let model = model.and_then(|model| model.map_err(|e| log::warn!("nothing is predicted: {e}")).ok());
    let processors = places.processors();
    Ok(Some(ScalingReport {
        mode: request.mode,
        task: task.to_string(),
        device: match &corpus.device {
            Device::Cpu => "processors".into(),
            Device::Cuda(stream) => stream.name(),
        },
        hosts: places.hosts(),
        processors,
        functional_only: processors < FEWEST || measured.iter().any(|of| of.oversubscribed),
        model,
        measured,
        comm,
    }))
}

impl ScalingReport {
    /// Writes `scaling.csv`, `comm.csv`, `scaling.json` and, last, `scaling.html` to `folder`, each under its
    /// name when whole.
    pub fn write(&self, folder: &Path, command: &str) -> Result<()> {
        csv::write(&folder.join("scaling.csv"), self)?;
        if let Some(comm) = &self.comm {
            comm.write_csv(&folder.join("comm.csv"))?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Request(format!("figures that JSON cannot hold: {e}")))?;
        atomic::write_file(&folder.join("scaling.json"), |out| out.write_all(text.as_bytes()))?;
        let page = page::page(self, command);
        atomic::write_file(&folder.join("scaling.html"), |out| out.write_all(page.as_bytes()))
    }
}
