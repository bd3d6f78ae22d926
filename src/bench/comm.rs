use super::places::Places;
use super::sums::time_sums;
use super::timing::{Quartiles, among, another, slowest};
use crate::comm::Communicator;
use crate::{Error, Result, atomic};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The sum that gradients go by, [`crate::comm::TreeSum`], with the messages of a thread that is waited for.
    TreeSum,
    /// The MPI library's own sum.
    LibrarySum,
    /// From one rank to another and back; half of it.
    PingPong,
}

impl Message {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Message::TreeSum => "tree sum",
            Message::LibrarySum => "library's sum",
            Message::PingPong => "ping-pong",
        }
    }
}

/// How long messages of one size take between so many ranks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageTime {
    /// What was sent.
    pub message: Message,
    /// Ranks that took part: the first ones of the job, or two.
    pub ranks: usize,
    /// Nodes that they sit on.
    pub nodes: usize,
    /// Ranks a node, neighbours, where all nodes have as many.
    pub ranks_per_node: Option<usize>,
    /// Whether there were more of them on a node than it has processors.
    pub oversubscribed: bool,
    /// Size of what each rank gave.
    pub bytes: usize,
    /// How often it was measured.
    pub rounds: usize,
    /// Seconds, by the slowest rank.
    pub seconds: Quartiles,
}

impl MessageTime {
    /// Bytes that a rank gave, a second, in units of 10⁹.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds.median / 1e9
    }
}

/// Message times of one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommReport {
    /// Hosts, in the order of ranks.
    pub hosts: Vec<String>,
    /// Ranks of the job.
    pub ranks: usize,
    /// Processors of the hosts that the ranks may use.
    pub processors: usize,
    /// Of every kind, number of ranks and size.
    pub messages: Vec<MessageTime>,
}

/// Which messages to measure.
#[derive(Debug, Clone, Copy)]
pub struct CommRequest {
    /// The smallest, in bytes.
    pub from: usize,
    /// No message is larger, in bytes.
    pub to: usize,
    /// About how long to take for all, in seconds.
    pub seconds: f64,
}

/// Most bytes of a report that is read.
const MOST_READ: u64 = 16 << 20;
/// From one size to the next.
const FACTOR: usize = 4;
/// Ping-pongs a round, and rounds before the clock runs.
const BALLS: usize = 8;
const WARM: usize = 2;
const ROUNDS: [usize; 2] = [3, 500];

impl CommRequest {
    /// The sizes, in bytes: whole numbers of `f32`, each four times the one before.
    fn sizes(&self) -> Vec<usize> {
        let first = self.from.next_multiple_of(size_of::<f32>()).max(size_of::<f32>());
        let sizes = std::iter::successors(Some(first), |bytes| bytes.checked_mul(FACTOR));
        sizes.take_while(|&bytes| bytes <= self.to.max(first)).collect()
    }
}

/// Measures sums over the first 2, 4, 8, ... and over all ranks of `world`, and ping-pong between two
/// ranks of a node and, where there are several, of two nodes; ranks that have no part sleep. All
/// ranks call this; rank 0 gets the report, whose figures are those of the slowest rank. Fails on one rank.
pub fn measure_comm(request: CommRequest, world: &dyn Communicator) -> Result<Option<CommReport>> {
    if world.size() == 1 {
        return Err(Error::Request("bench comm sends messages between ranks: start two or more".into()));
    }
    let (places, sizes) = (Places::of(world), request.sizes());
    let powers = std::iter::successors(Some(2), |ranks| Some(2 * ranks));
    let mut counts: Vec<usize> = powers.take_while(|&ranks| ranks < world.size()).collect();
    counts.push(world.size());
    let pairs: Vec<[usize; 2]> =
        [places.pair(|a, b| a == b), places.pair(|a, b| a != b)].into_iter().flatten().collect();
    let each = request.seconds / (sizes.len() * (counts.len() + pairs.len())) as f64;
    let mut messages = Vec::new();
    for pair in pairs {
        let measured = among(world, |rank| pair.contains(&rank), |group| ping_pong(&sizes, each, group));
        let nodes = if places.rank(pair[0]).node == places.rank(pair[1]).node { 1 } else { 2 };
        // Only rank 0 keeps them, and it may not have been one of the two.
        for (&bytes, seconds) in sizes.iter().zip(from_rank(world, pair[0], measured, sizes.len())?) {
            messages.push(MessageTime {
                message: Message::PingPong,
                ranks: 2,
                nodes,
                ranks_per_node: Some(2 / nodes),
                oversubscribed: nodes == 1 && places.rank(pair[0]).processors < 2,
                bytes,
                rounds: seconds.1,
                seconds: seconds.0,
            });
        }
    }
    for ranks in counts {
        let measured = among(world, |rank| rank < ranks, |group| sums(&sizes, each, group));
        let Some(measured) = measured.transpose()? else { continue };
        for (&bytes, [tree, library]) in sizes.iter().zip(&measured) {
            for (message, times) in [(Message::TreeSum, tree), (Message::LibrarySum, library)] {
                messages.push(MessageTime {
                    message,
                    ranks,
                    nodes: places.nodes(ranks),
                    ranks_per_node: places.per_node(ranks),
                    oversubscribed: places.oversubscribed(ranks, Some(1)),
                    bytes,
                    rounds: times.len(),
                    seconds: Quartiles::of(times),
                });
            }
        }
    }
    let (hosts, processors) = (places.hosts(), places.processors());
    let report = CommReport { hosts, ranks: world.size(), processors, messages };
    Ok((world.rank() == 0).then_some(report))
}

/// Tree sums and library sums of every size.
fn sums(sizes: &[usize], seconds: f64, group: &dyn Communicator) -> Result<Vec<[Vec<f64>; 2]>> {
    // As gradients travel once backward is done.
    let own = group.for_thread(Arc::new(AtomicBool::new(true)));
    let by: &dyn Communicator = own.as_ref().map_or(group, |own| own.as_ref());
    let of = |&bytes: &usize| {
        let times = time_sums(group, by, bytes / size_of::<f32>(), seconds)?;
        Ok([times.tree, times.library])
    };
    sizes.iter().map(of).collect()
}

/// Half the time of a message there and back between the two ranks of `group`, of every size.
fn ping_pong(sizes: &[usize], seconds: f64, group: &dyn Communicator) -> Vec<(Quartiles, usize)> {
    let partner = 1 - group.rank();
    let of = |&bytes: &usize| {
        let mut ball = vec![0f32; bytes / size_of::<f32>()];
        let mut times = Vec::new();
        let begun = Instant::now();
        for round in 0.. {
            let time = slowest(group, || {
                for turn in 0..2 * BALLS {
                    if turn % 2 == group.rank() {
                        group.exchange(partner, &ball, &mut []);
                    } else {
                        group.exchange(partner, &[], &mut ball);
                    }
                }
            });
            if round >= WARM {
                times.push(time / (2 * BALLS) as f64);
            }
            let late = begun.elapsed().as_secs_f64() >= seconds || times.len() >= ROUNDS[1];
            if !another(group, times.len() < ROUNDS[0] || !late) {
                break;
            }
        }
        (Quartiles::of(&times), times.len())
    };
    sizes.iter().map(of).collect()
}

/// What rank `from` has measured, on every rank.
fn from_rank(
    world: &dyn Communicator,
    from: usize,
    measured: Option<Vec<(Quartiles, usize)>>,
    sizes: usize,
) -> Result<Vec<(Quartiles, usize)>> {
    let flat = measured.unwrap_or_default().into_iter().flat_map(|(q, n)| [q.low, q.median, q.high, n as f64]);
    let mut bytes: Vec<u8> = flat.flat_map(f64::to_ne_bytes).collect();
    world.broadcast(from, &mut bytes);
    let values: Vec<f64> = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
    if values.len() != 4 * sizes {
        return Err(Error::Ranks(format!("rank {from} measured {} messages, not {sizes}", values.len() / 4)));
    }
    let quartiles = |v: &[f64]| (Quartiles { low: v[0], median: v[1], high: v[2] }, v[3] as usize);
    Ok(values.chunks_exact(4).map(quartiles).collect())
}

impl CommReport {
    /// Reads what `bench comm --json` has written. Refuses figures that no machine has.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |e: std::io::Error| Error::io(path, "cannot read", e);
        let mut text = String::new();
        let mut file = File::open(path).map_err(fault)?.take(MOST_READ + 1);
        file.read_to_string(&mut text).map_err(fault)?;
        if text.len() as u64 > MOST_READ {
            return Err(Error::Request(format!("{}: too long for message times", path.display())));
        }
        let report: Self = serde_json::from_str(&text).map_err(|e| {
            Error::Request(format!("{}: not what bench comm --json writes: {e}", path.display()))
        })?;
        let sound = |m: &MessageTime| {
            let Quartiles { low, median, high } = m.seconds;
            let times = low > 0.0 && low <= median && median <= high && high < 1e6;
            let places = m.nodes >= 1 && m.nodes <= m.ranks && m.ranks_per_node != Some(0);
            times && places && (2..1 << 24).contains(&m.ranks) && (1..1 << 40).contains(&m.bytes)
        };
        match report.messages.iter().position(|m| !sound(m)) {
            None => Ok(report),
            Some(at) => Err(Error::Request(format!(
                "{}: entry {at} of messages has figures that no machine has; measure anew with bench comm --json",
                path.display()
            ))),
        }
    }

    /// Writes one row a kind, number of ranks and size.
    pub fn write_csv(&self, path: &Path) -> Result<()> {
        atomic::write_file(path, |out| {
            writeln!(
                out,
                "message,ranks,nodes,ranks_per_node,oversubscribed,bytes,rounds,seconds_low,seconds_median,seconds_high"
            )?;
            for m in &self.messages {
                let per_node = m.ranks_per_node.map(|n| n.to_string()).unwrap_or_default();
                let Quartiles { low, median, high } = m.seconds;
                writeln!(
                    out,
                    "{},{},{},{per_node},{},{},{},{low:e},{median:e},{high:e}",
                    m.message.name(),
                    m.ranks,
                    m.nodes,
                    m.oversubscribed,
                    m.bytes,
                    m.rounds
                )?;
            }
            Ok(())
        })
    }
}

/// A size in words, such as "64 KiB".
pub fn size_in_words(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

impl fmt::Display for CommReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>5} {:>5} {:>9} {:>12} {:>8}",
            "message", "ranks", "nodes", "size", "us", "GB/s"
        )?;
        for m in &self.messages {
            writeln!(
                f,
                "{:<14} {:>5} {:>5} {:>9} {:>12.1} {:>8.3}{}",
                m.message.name(),
                m.ranks,
                m.nodes,
                size_in_words(m.bytes),
                m.seconds.median * 1e6,
                m.gigabytes_per_second(),
                if m.oversubscribed { "  more ranks than processors" } else { "" }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(median: f64) -> CommReport {
        let message = MessageTime {
            message: Message::TreeSum,
            ranks: 2,
            nodes: 1,
            ranks_per_node: Some(2),
            oversubscribed: false,
            bytes: 1 << 20,
            rounds: 3,
            seconds: Quartiles { low: median, median, high: median },
        };
        CommReport { hosts: vec!["n".into()], ranks: 2, processors: 2, messages: vec![message] }
    }

    #[test]
    fn sizes_are_whole_numbers_four_times_apart() {
        let sizes = |from, to| CommRequest { from, to, seconds: 1.0 }.sizes();
        assert_eq!(sizes(1 << 10, 1 << 28).len(), 10);
        assert_eq!(sizes(1, 70), [4, 16, 64]);
        assert_eq!(sizes(100, 10), [100]);
        assert_eq!([1 << 30, 3 << 20, 1 << 10, 1000].map(size_in_words), ["1 GiB", "3 MiB", "1 KiB", "1000 B"]);
    }

    #[test]
    fn what_is_written_is_read_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("comm.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            CommReport::read(&path)
        };
        let text = serde_json::to_string(&report(1e-3)).unwrap();
        let back = read(&text).unwrap();
        assert_eq!((back.messages[0].bytes, back.messages[0].message), (1 << 20, Message::TreeSum));
        assert!((back.messages[0].gigabytes_per_second() - 1.048576).abs() < 1e-9);
        for (from, to) in [
            ("\"ranks\":2,\"nodes\":1", "\"ranks\":1,\"nodes\":1"),
            ("\"low\":0.001", "\"low\":-1.0"),
            ("\"bytes\":1048576", "\"bytes\":0"),
            ("\"hosts\"", "\"ghosts\""),
        ] {
            assert!(text.contains(from), "{text}");
            let error = read(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains("comm.json") && error.contains("bench comm --json"), "{error}");
        }
    }
}
