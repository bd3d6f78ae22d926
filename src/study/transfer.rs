use super::account::{Account, Peak, mib};
use super::farm::{Farm, Grouping};
use super::narrator::{Narrator, Progress};
use super::scoring::score;
use super::training::train;
use super::{Corpus, Task, model_folder};
use crate::comm::{Communicator, agree};
use crate::report::models::Models;
use crate::report::phrase::count;
use crate::report::run_json::{self, RunInfo};
use crate::report::truth_json::{self, Truth};
use crate::report::{corpus_json, runtime, tree};
use crate::status;
use crate::store::StoreSummary;
use crate::{Error, Result, atomic, baseline, report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How the program was started, for the record.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The command line.
    pub command: String,
    /// Start, UTC, ISO 8601.
    pub started: String,
    /// Threads of this rank.
    pub threads: usize,
    /// Libraries and their versions.
    pub versions: BTreeMap<String, String>,
}

/// Wall seconds of one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct TaskTime {
    task: String,
    training: f64,
    scoring: f64,
}

/// Trains every task of the deck, each on one group of ranks, and scores every
/// target of it. All ranks of `world` call this; results appear under `out`,
/// each under its final name when whole. On rank 0, returns the matrix as text
/// and the path of the report.
pub fn transfer(
    corpus: &Corpus,
    out: &Path,
    world: &dyn Communicator,
    launch: &Launch,
) -> Result<Option<(String, PathBuf)>> {
    let started = Instant::now();
    let tasks = corpus.tasks()?;
    let deck = &corpus.deck;
    let grouping = Grouping::of(world.size(), tasks.len(), deck.study.ranks_per_task, deck.train.lanes);
    let own = grouping.group_of(world.rank());
    let group = world.split(own);
    let ready = || {
        grouping.check(world.size())?;
        corpus.check_tasks(grouping.ranks)?;
        claim(out)?;
        report_usable(corpus)
    };
    agree(world, if world.rank() == 0 { ready() } else { Ok(()) })?;
    if world.rank() == 0 {
        log::info!("{grouping} for {}", count(tasks.len(), "task"));
        let idle = world.size() - grouping.ranks * grouping.groups;
        if idle > 0 {
            log::warn!("{idle} of {} ranks have nothing to do: there are too few tasks", world.size());
        }
    }

    let mut times: Vec<TaskTime> = Vec::new();
    if own < grouping.groups {
        let mut farm = Farm::new(world, group.as_ref(), grouping, tasks.len());
        let progress = Progress::new(tasks.len(), world.rank() == 0);
        while let Some(number) = farm.next() {
            times.push(run_task(corpus, out, &tasks[number], group.as_ref(), &mut farm, &progress)?);
        }
        farm.finish();
    }
    let _others_may_take_long = status::patience();
    let times = if group.rank() == 0 { times } else { Vec::new() };
    let times = world.all_gather(serde_json::json!(times).to_string().as_bytes());
    let peak = Peak::so_far(world);
    let finish = || {
        let times: Vec<Vec<TaskTime>> = times
            .iter()
            .map(|bytes| serde_json::from_slice(bytes))
            .collect::<serde_json::Result<_>>()
            .map_err(|e| Error::Ranks(format!("times of tasks do not come through: {e}")))?;
        let network = deck.model.build(corpus.widths(), deck.train.loss)?;
        let account = Account::of(corpus, &network, grouping)?;
        log::info!(
            "peak memory: {:.0} MiB on rank {}, which needed most, and {:.0} MiB on a node; accounted for beforehand: {:.0} and {:.0} MiB",
            mib(peak.rank),
            peak.which,
            mib(peak.node),
            mib(account.rank()),
            mib(account.node())
        );
        let info = RunInfo {
            model: deck.model.name().into(),
            endpoint: deck.data.endpoint.clone(),
            crossrx: env!("CARGO_PKG_VERSION").into(),
            versions: launch.versions.clone(),
            command: launch.command.clone(),
            ranks: world.size(),
            threads: launch.threads,
            groups: grouping.groups,
            started: launch.started.clone(),
            wall_s: started.elapsed().as_secs_f64(),
            peak_memory_mib: mib(peak.rank),
            estimated_memory_mib: mib(account.rank()),
            peak_node_memory_mib: mib(peak.node),
            estimated_node_memory_mib: mib(account.node()),
            sources: deck.data.sources.clone(),
            targets: deck.data.targets.clone(),
            splits: deck.data.splits.numbers(),
        };
        write_records(corpus, out, info, &times.concat())?;
        let runs = [tree::Run::read(out)?];
        let models = Models::of(&runs);
        let page = report::write(&models, out, None)?;
        Ok((report::text::matrix(&models), page))
    };
    if world.rank() == 0 { agree(world, finish().map(Some)) } else { agree(world, Ok(None)) }
}

/// Takes `out` for this run: it must not be there, or be an empty folder.
fn claim(out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, "cannot create the folder", e))?;
    let mut held = std::fs::read_dir(out).map_err(|e| Error::io(out, "cannot read the folder", e))?;
    match held.next() {
        Some(_) => {
            Err(Error::run(out, "holds another run or other files; choose another --out, or remove it"))
        }
        None => Ok(()),
    }
}

fn report_usable(corpus: &Corpus) -> Result<()> {
    let data = &corpus.deck.data;
    let targets = data.targets.iter().filter(|t| !data.sources.contains(t));
    for dataset in data.sources.iter().chain(targets) {
        let usable = corpus.usable(dataset)?;
        let (unmeasured, featureless) = (usable.unmeasured, usable.featureless);
        if unmeasured + featureless > 0 {
            log::warn!(
                "{dataset}: of {} pairs, {unmeasured} without '{}' and {featureless} without features are left out",
                corpus.store.dataset(dataset)?.pairs,
                data.endpoint
            );
        }
    }
    Ok(())
}

fn run_task(
    corpus: &Corpus,
    out: &Path,
    task: &Task,
    group: &dyn Communicator,
    farm: &mut Farm<'_>,
    progress: &Progress,
) -> Result<TaskTime> {
    let started = Instant::now();
    status::begin_task(&task.to_string());
    let speaks = group.rank() == 0;
    let mut narrator = Narrator { task, farm, progress, speaks, epochs: corpus.deck.train.epochs };
    let mut trained = train(corpus, task, group, &mut narrator)?;
    if group.rank() == 0 {
        let folder = out.join("models").join(&task.source).join(format!("split_{}", task.split));
        model_folder::save(&folder, &trained)?;
    }
    status::step(0);
    let training = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for (number, target) in corpus.deck.data.targets.iter().enumerate() {
        score(out, &mut trained, target, group, number % group.size())?;
        farm.serve();
    }
    let scoring = started.elapsed().as_secs_f64();
    if group.rank() == 0 {
        progress.log(|| {
            log::info!(
                "{task}: trained in {training:.1} s, best epoch {} of {}; {} scored in {scoring:.1} s",
                trained.best_epoch,
                trained.history.len(),
                count(corpus.deck.data.targets.len(), "target")
            );
        });
    }
    status::end_task();
    Ok(TaskTime { task: task.to_string(), training, scoring })
}

/// Writes what a run says of itself, and the same for each baseline.
fn write_records(corpus: &Corpus, out: &Path, info: RunInfo, times: &[TaskTime]) -> Result<()> {
    let deck = corpus.deck.to_toml()?;
    atomic::write_file(&out.join("deck.toml"), |w| w.write_all(deck.as_bytes()))?;
    corpus_json::write(&out.join("corpus.json"), &StoreSummary::of(&corpus.store)?)?;
    if let Some((order, best)) = corpus.store.best_r2()? {
        let best_r2 = best.rows().into_iter().map(|row| row.mapv(Some).to_vec()).collect();
        truth_json::write(&out.join("truth.json"), &Truth { order, best_r2 })?;
    }
    let mut parts: BTreeMap<String, f64> = BTreeMap::new();
    for time in times {
        *parts.entry("training".into()).or_default() += time.training;
        *parts.entry("scoring".into()).or_default() += time.scoring;
        parts.insert(time.task.clone(), time.training + time.scoring);
    }
    runtime::write(&out.join("runtime.json"), &runtime::Runtime::new(info.wall_s, parts))?;
    for name in baseline::NAMES {
        // Ranks, wall time and memory of the run are the network's own.
        let of = RunInfo {
            model: name.into(),
            endpoint: info.endpoint.clone(),
            crossrx: info.crossrx.clone(),
            versions: info.versions.clone(),
            command: info.command.clone(),
            started: info.started.clone(),
            sources: info.sources.clone(),
            targets: info.targets.clone(),
            splits: info.splits.clone(),
            ..RunInfo::default()
        };
        run_json::write(&out.join(baseline::FOLDER).join(name).join("run.json"), &of)?;
    }
    run_json::write(&out.join("run.json"), &info)
}
