use crate::bench::timing::Quartiles;
use crate::{Error, Result, atomic};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

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

/// Most bytes of a report that is read.
const MOST_READ: u64 = 16 << 20;

impl CommReport {
    /// Reads what `bench comm --json` has written. Refuses figures that no machine has.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |e: std::io::Error| Error::io(path, "cannot read", e);
        let mut text = String::new();
        let mut file = File::open(path).map_err(fault)?.take(MOST_READ + 1);
        file.read_to_string(&mut text).map_err(fault)?;
        if text.len() as u64 > MOST_READ {
            return Err(Error::run(path, "too long for message times"));
        }
        let report: Self = serde_json::from_str(&text)
            .map_err(|e| Error::run(path, format!("not what bench comm --json writes: {e}")))?;
        let sound = |m: &MessageTime| {
            let Quartiles { low, median, high } = m.seconds;
            let times = low > 0.0 && low <= median && median <= high && high < 1e6;
            let places = m.nodes >= 1 && m.nodes <= m.ranks && m.ranks_per_node != Some(0);
            times && places && (2..1 << 24).contains(&m.ranks) && (1..1 << 40).contains(&m.bytes)
        };
        match report.messages.iter().position(|m| !sound(m)) {
            None => Ok(report),
            Some(at) => Err(Error::run(
                path,
                format!(
                    "entry {at} of messages has figures that no machine has; measure anew with bench comm --json"
                ),
            )),
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
    fn sizes_are_said_in_the_largest_unit_that_fits() {
        assert_eq!(
            [1 << 30, 3 << 20, 1 << 10, 1000].map(size_in_words),
            ["1 GiB", "3 MiB", "1 KiB", "1000 B"]
        );
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
