use super::Corpus;
use super::account::{Account, Peak, mib};
use super::bar::Bar;
use super::farm::{Farm, Grouping};
use super::journal::{Claim, Journal, RUN, Start, TaskRecord};
use super::tally::Tally;
use super::task::run_task;
use crate::comm::{Communicator, agree, share};
use crate::report::models::Models;
use crate::report::phrase::count;
use crate::report::run_json::{self, RunInfo};
use crate::report::truth_json::{self, Truth};
use crate::report::{corpus_json, runtime, tree};
use crate::store::StoreSummary;
use crate::{Error, Result, atomic, baseline, report, status, stop};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Time between lines that say how a training goes.
    pub heartbeat: Option<Duration>,
}

/// Trains every task of the deck, each on one group of ranks, and scores every
/// target of it. All ranks of `world` call this; results appear under `out`,
/// each under its final name when whole. A study that `out` holds part of goes
/// on. On rank 0, returns the matrix as text and the path of the report.
/// [`Error::Stopped`] where it was told to stop before the end.
pub fn transfer(
    corpus: &Corpus,
    out: &Path,
    start: Start,
    world: &dyn Communicator,
    launch: &Launch,
) -> Result<Option<(String, PathBuf)>> {
    let tasks = corpus.tasks()?;
    let deck = &corpus.deck;
    let journal = agree(world, Journal::new(out, corpus))?;
    // Without fixed lanes a task's result depends on the size of its group, so that it must not change.
    let group_of = |missing: &[usize]| {
        let left = if deck.train.lanes.is_some() { missing.len() } else { tasks.len() };
        Grouping::of(world.size(), left, deck.study.ranks_per_task, deck.train.lanes)
    };
    let ready = || {
        // Whatever is refused leaves the folder as it is.
        let missing = journal.missing(corpus, &tasks, start)?;
        let grouping = group_of(&missing);
        grouping.check(world.size())?;
        corpus.check_tasks(grouping.ranks)?;
        let mut claim = journal.claim(corpus, &tasks, grouping.ranks, start)?;
        report_usable(corpus)?;
        if journal.missing(corpus, &tasks, Start::GoOn)? != missing {
            return Err(Error::run(out, "another job has just been at work in this folder; start again"));
        }
        if !missing.is_empty() {
            journal.reopen()?;
        }
        // A job that has but to conclude what another has left is one, too: the time that it keeps is its own.
        if !out.join(RUN).exists() {
            claim.begin(&launch.started, world.size())?;
        }
        let done = (0..tasks.len()).filter(|number| !missing.contains(number));
        let before = done.map(|number| journal.record(&tasks[number])).collect::<Result<Vec<_>>>()?;
        Ok((Some(claim), missing, before))
    };
    let nothing = || Ok((None, Vec::new(), Vec::new()));
    let (mut claim, mut missing, before) = agree(world, if world.rank() == 0 { ready() } else { nothing() })?;
    share(world, &mut missing);
    let grouping = group_of(&missing);
    let own = grouping.group_of(world.rank());
    let group = world.split(own);
    if world.rank() == 0 {
        let done = tasks.len() - missing.len();
        if done > 0 {
            log::info!("{done} of {} complete already", count(tasks.len(), "task"));
        }
        if !missing.is_empty() {
            log::info!("{grouping} for {}", count(missing.len(), "task"));
        }
        let idle = world.size() - grouping.ranks * grouping.groups.min(missing.len());
        if idle > 0 && !missing.is_empty() {
            log::warn!("{idle} of {} ranks have nothing to do: there are too few tasks", world.size());
        }
    }

    let bar = Bar::new(missing.len(), world.rank() == 0);
    let pairs: Vec<usize> = missing.iter().map(|&number| tasks[number].pairs).collect();
    let tally = Tally::new(&pairs, tasks.len() - missing.len(), grouping.groups);
    let mut farm = Farm::new(world, group.as_ref(), grouping, tally, launch.heartbeat, &bar);
    let mut completed: Vec<TaskRecord> = Vec::new();
    if own == grouping.groups {
        farm.idle();
    } else {
        while let Some(number) = farm.next() {
            let task = &tasks[missing[number]];
            match run_task(corpus, &journal, (number, task), group.as_ref(), &mut farm, &bar)? {
                Some(record) => completed.extend((group.rank() == 0).then_some(record)),
                None => farm.stop(),
            }
            claim.iter_mut().for_each(Claim::keep);
            status::end_task();
        }
        farm.finish();
    }
    drop(bar);
    let _others_may_take_long = status::patience();
    // By word of those who wrote them: a look at a network file system may be a minute old.
    let completed = all_records(world, &completed)?;
    if completed.len() < missing.len() {
        if let Some(claim) = &mut claim {
            claim.keep();
            let without = if start == Start::Fresh { " without --fresh" } else { "" };
            let why = stop::reason().unwrap_or_else(|| "as another rank was told to".into());
            log::info!(
                "stopped {why}, {} of {} complete; the same command{without} goes on from here",
                tasks.len() - missing.len() + completed.len(),
                count(tasks.len(), "task")
            );
        }
        return Err(Error::Stopped);
    }
    let peak = Peak::so_far(world);
    let finish = |claim: &mut Claim| {
        let network = corpus.network()?;
        let account = Account::of(corpus, &network, grouping)?;
        log::info!(
            "peak memory: {:.0} MiB on rank {}, which needed most, and {:.0} MiB on a node; accounted for beforehand: {:.0} and {:.0} MiB",
            mib(peak.rank),
            peak.which,
            mib(peak.node),
            mib(account.rank()),
            mib(account.node())
        );
        let (jobs, wall_s) = claim.jobs();
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
            wall_s,
            jobs,
            peak_memory_mib: mib(peak.rank),
            estimated_memory_mib: mib(account.rank()),
            peak_node_memory_mib: mib(peak.node),
            estimated_node_memory_mib: mib(account.node()),
            sources: deck.data.sources.clone(),
            targets: deck.data.targets.clone(),
            splits: deck.data.splits.numbers(),
        };
        // A study that was complete already keeps the record of the job that completed it.
        if !(missing.is_empty() && out.join(RUN).exists()) {
            claim.keep();
            let mut records = before;
            records.extend(completed);
            write_records(corpus, out, info, &records)?;
        }
        journal.finish()?;
        let runs = [tree::Run::read(out)?];
        let models = Models::of(&runs);
        let page = report::write(&models, out, None)?;
        Ok((report::text::matrix(&models), page))
    };
    let finished = claim.as_mut().map(finish).transpose();
    agree(world, finished)
}

/// The records that any rank of `world` has, on every rank.
fn all_records(world: &dyn Communicator, own: &[TaskRecord]) -> Result<Vec<TaskRecord>> {
    let own = serde_json::json!(own).to_string();
    let all = world.all_gather(own.as_bytes());
    let lists = all.iter().map(|bytes| serde_json::from_slice::<Vec<TaskRecord>>(bytes));
    let lists = lists.collect::<serde_json::Result<Vec<_>>>();
    lists
        .map(|lists| lists.concat())
        .map_err(|e| Error::Ranks(format!("records of tasks do not come through: {e}")))
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

/// Writes what a run says of itself, and the same for each baseline.
fn write_records(corpus: &Corpus, out: &Path, info: RunInfo, times: &[TaskRecord]) -> Result<()> {
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
        run_json::write(&out.join(baseline::FOLDER).join(name).join(RUN), &of)?;
    }
    run_json::write(&out.join(RUN), &info)
}
