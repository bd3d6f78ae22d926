use super::ranges;
use crate::report::phrase::count;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a rank sits, as it says itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// Name of its node.
    pub host: String,
    /// The first rank of those that share its memory.
    pub node: usize,
    /// The processors it is bound to, as a list of runs; empty where the system does not tell.
    pub cores: String,
    /// How many these are.
    pub bound: usize,
    /// Of how many cores: fewer with hyperthreads.
    pub bound_cores: usize,
    /// Its threads.
    pub threads: usize,
    /// Processors that the ranks of its node may use between them.
    pub processors: usize,
    /// Cores of its node that the job may use and no rank does; told by the first rank of the node.
    pub idle: usize,
    /// Its GPU: number among those it sees, name, and what tells it from all others.
    pub gpu: Option<(usize, String, String)>,
    /// GPUs that it sees.
    pub gpus_seen: usize,
}

/// Who started the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `srun`.
    Slurm,
    /// `mpiexec` of HPE's PALS.
    Pals,
    /// `mpiexec` of MPICH and its kin.
    Hydra,
    /// Something else, or nobody.
    Unknown,
}

impl Launcher {
    /// What gives every rank `n` cores, each of which has so many processors.
    fn remedy(self, n: usize, processors: usize) -> String {
        let open_mpi = format!("mpirun --bind-to none, or --map-by slot:PE={n}");
        let slurm = format!("srun -c {}", n * processors);
        let pals = format!("mpiexec --depth={n} --cpu-bind depth");
        let hydra = format!("mpiexec -bind-to core:{n}");
        match self {
            Launcher::OpenMpi => open_mpi,
            Launcher::Slurm => slurm,
            Launcher::Pals => pals,
            Launcher::Hydra => hydra,
            Launcher::Unknown => format!("{open_mpi} (Open MPI); {slurm}; {pals} (PALS); {hydra} (MPICH)"),
        }
    }
}

/// Layouts that are told; a world of more is in the log file.
const LAYOUTS: usize = 16;
/// Ranks of a host whose cores are told one by one.
const PARTS: usize = 8;

/// Ranks, hosts and threads in one line, then a line for each layout of hosts.
pub fn lines(seats: &[Seat]) -> Vec<String> {
    // Not by name: virtual nodes and containers may all have the same.
    let hosts = by(seats, |seat| seat.node);
    let threads = seats.iter().map(|seat| seat.threads);
    let (fewest, most) = (threads.clone().min().unwrap_or(0), threads.max().unwrap_or(0));
    let range = if fewest < most { format!("{fewest} to ") } else { String::new() };
    let (ranks, on) = (count(seats.len(), "rank"), count(hosts.len(), "host"));
    let mut lines = vec![format!("{ranks} on {on}, {range}{} each", count(most, "thread"))];
    // Hosts of one layout, the first rank's first.
    let mut layouts: Vec<(Layout<'_>, Vec<usize>)> = Vec::new();
    for ranks in hosts.values() {
        let layout = Layout::of(seats, ranks, fewest < most);
        match layouts.iter_mut().find(|(other, _)| *other == layout) {
            Some((_, first)) => first.push(ranks[0]),
            None => layouts.push((layout, vec![ranks[0]])),
        }
    }
    layouts.sort_by_key(|(_, first)| first.iter().min().copied());
    let line = |(layout, first): &(Layout<'_>, Vec<usize>)| layout.line(seats, first);
    lines.extend(layouts.iter().take(LAYOUTS).map(line));
    if layouts.len() > LAYOUTS {
        let more = count(layouts.len() - LAYOUTS, "layout");
        lines.push(format!("  and {more} more: --log-file has every rank"));
    }
    lines
}

/// How ranks sit on a host, whichever they are.
#[derive(PartialEq)]
struct Layout<'a> {
    /// The ranks, counted from the first.
    steps: Vec<usize>,
    cores: Vec<&'a str>,
    /// Where they are not everywhere the same.
    threads: Option<Vec<usize>>,
    gpus: Vec<Option<usize>>,
    /// Whether no two ranks share one: of ranks that see their own alone, each calls it number 0.
    own_gpus: bool,
}

impl<'a> Layout<'a> {
    fn of(seats: &'a [Seat], ranks: &[usize], threads: bool) -> Self {
        let all = || ranks.iter().map(|&rank| &seats[rank]);
        let distinct: BTreeSet<_> = all().filter_map(|seat| Some(&seat.gpu.as_ref()?.2)).collect();
        Self {
            steps: ranks.iter().map(|rank| rank - ranks[0]).collect(),
            cores: all().map(|seat| seat.cores.as_str()).collect(),
            threads: threads.then(|| all().map(|seat| seat.threads).collect()),
            gpus: all().map(|seat| seat.gpu.as_ref().map(|gpu| gpu.0)).collect(),
            own_gpus: distinct.len() == ranks.len(),
        }
    }

    /// Of the hosts whose first ranks these are.
    fn line(&self, seats: &[Seat], first: &[usize]) -> String {
        let names = ranges::hosts(first.iter().map(|&rank| seats[rank].host.as_str()));
        let mut ranks: Vec<usize> =
            first.iter().flat_map(|first| self.steps.iter().map(move |step| first + step)).collect();
        ranks.sort_unstable();
        let noun = if ranks.len() == 1 { "rank" } else { "ranks" };
        let each = if first.len() > 1 { format!(", {} a host", self.steps.len()) } else { String::new() };
        let mut line = format!("  {names}: {noun} {}{each}", ranges::numbers(ranks));
        if self.cores.iter().any(|cores| !cores.is_empty()) {
            let comma = if each.is_empty() { "" } else { "," };
            let noun = if matches!(self.cores[..], [alone] if alone.parse::<u32>().is_ok()) {
                "core"
            } else {
                "cores"
            };
            line += &format!("{comma} on {noun} {}", parts(&self.cores, " shared"));
        }
        if let Some(threads) = &self.threads {
            line += &format!(", threads {}", parts(threads, " each"));
        }
        if self.gpus.iter().any(Option::is_some) {
            let number = |gpu: &Option<usize>| gpu.map_or("none".into(), |index| index.to_string());
            let all = if self.own_gpus { ", another for each" } else { " shared" };
            line += &format!(", GPU {}", parts(&self.gpus.iter().map(number).collect::<Vec<_>>(), all));
        }
        line
    }
}

/// What each rank of a host has, in their order; `alike` is said where all have the same.
fn parts<T: PartialEq + std::fmt::Display>(each: &[T], alike: &str) -> String {
    match each {
        [] => String::new(),
        [alone] => alone.to_string(),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => format!("{first}{alike}"),
        _ if each.len() <= PARTS => each.iter().map(T::to_string).collect::<Vec<_>>().join(" | "),
        _ => format!("{} | {} | ... | {}", each[0], each[1], each[each.len() - 1]),
    }
}

/// A line a rank.
pub fn table(seats: &[Seat]) -> Vec<String> {
    let line = |(rank, seat): (usize, &Seat)| {
        let Seat { host, cores, threads, gpu, .. } = seat;
        let cores = if cores.is_empty() { "unknown" } else { cores };
        let gpu =
            gpu.as_ref().map_or_else(String::new, |(index, name, id)| format!(", GPU {index} {name} ({id})"));
        format!("rank {rank} on {host}: cores {cores}, {}{gpu}", count(*threads, "thread"))
    };
    seats.iter().enumerate().map(line).collect()
}

/// What is amiss with the way that ranks sit.
pub fn warnings(seats: &[Seat], launcher: Launcher) -> Vec<String> {
    let nodes = by(seats, |seat| seat.node);
    let mut warnings = Vec::new();
    let threads = |ranks: &[usize]| ranks.iter().map(|&rank| seats[rank].threads).sum::<usize>();
    let crowded: Vec<&Vec<usize>> =
        nodes.values().filter(|ranks| threads(ranks) > seats[ranks[0]].processors).collect();
    if let Some(worst) = worst(&crowded, threads) {
        let first = &seats[worst[0]];
        warnings.push(format!(
            "{} threads share the {} of a host: the machine is oversubscribed ({}{})",
            threads(worst),
            count(first.processors, "processor"),
            first.host,
            others(crowded.len())
        ));
    }
    let idle: Vec<&Vec<usize>> = nodes.values().filter(|ranks| is_narrow(seats, ranks)).collect();
    if let Some(worst) = worst(&idle, |ranks| seats[ranks[0]].idle) {
        let first = &seats[worst[0]];
        let narrowest = worst.iter().map(|&rank| &seats[rank]).min_by_key(|seat| seat.bound);
        let (bound, cores) = narrowest.map_or((0, 0), |seat| (seat.bound, seat.bound_cores));
        // Its fair share, as far as what is idle goes.
        let fair = cores + first.idle / worst.len();
        let to = count(bound, "processor");
        let left = count(first.idle, "core");
        warnings.push(format!(
            "ranks are bound to {to} each, while no rank uses {left} of a host ({}{}): {}",
            first.host,
            others(idle.len()),
            launcher.remedy(fair, bound / cores.max(1))
        ));
    }
    let spare = |ranks: &[usize]| {
        let seen = ranks.iter().map(|&rank| seats[rank].gpus_seen).max().unwrap_or(0);
        let mut used: Vec<&str> =
            ranks.iter().filter_map(|&rank| Some(seats[rank].gpu.as_ref()?.2.as_str())).collect();
        used.sort_unstable();
        used.dedup();
        (seen.saturating_sub(used.len()), seen)
    };
    let spared: Vec<&Vec<usize>> = nodes.values().filter(|ranks| spare(ranks).0 > 0).collect();
    if let Some(worst) = worst(&spared, |ranks| spare(ranks).0) {
        let (unused, seen) = spare(worst);
        warnings.push(format!(
            "no rank uses {unused} of the {} of a host ({}{}): start at least a rank a GPU",
            count(seen, "GPU"),
            seats[worst[0]].host,
            others(spared.len())
        ));
    }
    warnings
}

/// Whether ranks of a node are bound to a core, or to clearly less than the node has for them.
fn is_narrow(seats: &[Seat], ranks: &[usize]) -> bool {
    let first = &seats[ranks[0]];
    let bound = ranks.iter().map(|&rank| seats[rank].bound).min().unwrap_or(0);
    // A few that are kept for the system, or that do not divide by the ranks, are nobody's fault.
    bound > 0 && first.idle >= ranks.len() && (bound == 1 || 3 * first.idle > first.processors)
}

/// The first node of those that have most of what is counted.
fn worst<'n>(nodes: &[&'n Vec<usize>], count: impl Fn(&[usize]) -> usize) -> Option<&'n Vec<usize>> {
    nodes.iter().rev().max_by_key(|ranks| count(ranks)).copied()
}

fn others(all: usize) -> String {
    if all > 1 { format!(" and {}", count(all - 1, "other host")) } else { String::new() }
}

/// The ranks that share something, ascending.
fn by<'a, K: Ord>(seats: &'a [Seat], what: impl Fn(&'a Seat) -> K) -> BTreeMap<K, Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (rank, seat) in seats.iter().enumerate() {
        groups.entry(what(seat)).or_default().push(rank);
    }
    groups
}

#[cfg(test)]
#[path = "seats_tests.rs"]
mod tests;
