use super::fit::{Fit, Point, fit};
use crate::bench::comm::{CommReport, Message, MessageTime};
use crate::{Error, Result};
use serde::Serialize;

/// What the user knows of the network between nodes, and how it is to be used.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkWish {
    /// Microseconds of a short message between two nodes.
    pub latency_us: Option<f64>,
    /// Gigabits a second of a node, each way.
    pub gigabits: Option<f64>,
    /// Ranks a node of the machine that is predicted.
    pub ranks_per_node: Option<usize>,
}

/// Times of tree sums: by recursive halving and doubling over `p` ranks, `q` a node, both powers of two,
///
/// `T(n) = m (2 log2(q) a1 + 2 log2(p/q) a2) + n ((1 - 1/q) g1 + (1 - q/p) g2)`
///
/// for `n` bytes a rank in `m` messages: a latency `a` and an inverse bandwidth `g` within a node
/// (1) and between nodes (2). `g1` is of a rank's bytes and holds sending, receiving and adding; `g2`
/// is of a node's, whose ranks share its way out. (Thakur, Rabenseifner and Gropp 2005.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Network {
    /// Ranks a node, a power of two.
    pub ranks_per_node: usize,
    /// Within a node.
    pub within: Link,
    /// Between nodes.
    pub between: Link,
}

/// What messages of one kind take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// Seconds a message.
    pub latency: f64,
    /// Seconds a byte, both ways of the sum together.
    pub per_byte: f64,
    /// Where both come from.
    pub origin: Origin,
}

/// Where the figures of a link come from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Fitted on measured sums.
    Fitted {
        /// Number of them.
        points: usize,
        /// Root mean square of the logarithm of predicted over measured time.
        deviation: f64,
        /// Least and most bytes a rank.
        bytes: [usize; 2],
        /// Fewest and most ranks.
        ranks: [usize; 2],
        /// Whether there were more ranks than processors in all of them.
        oversubscribed: bool,
    },
    /// Given by the user, or a common network: no sum between nodes was measured.
    Assumed,
    /// No message goes this way.
    Unused,
}

/// A network of today's clusters, where nothing else is known: HDR100 InfiniBand.
const LATENCY_US: f64 = 2.0;
const GIGABITS: f64 = 100.0;

impl Network {
    /// Of the tree sums of `comm`: those over the ranks of one node give what happens within, those
    /// over several what happens between nodes. Where the latter are missing, or `wish` says
    /// otherwise, it is assumed. `per_node` is how many ranks a node this job has.
    pub fn fit(comm: &CommReport, wish: &NetworkWish, per_node: usize) -> Result<Self> {
        let ranks_per_node = wish.ranks_per_node.unwrap_or(per_node).max(1);
        let ranks_per_node = 1 << ranks_per_node.ilog2();
        let sums = || comm.messages.iter().filter(|m| usable(m));
        let link = |chosen: Vec<&MessageTime>, point: &dyn Fn(&MessageTime) -> Point| {
            // Sums for which ranks had to take turns say nothing of the messages.
            let free: Vec<_> = chosen.iter().copied().filter(|m| !m.oversubscribed).collect();
            let oversubscribed = free.is_empty();
            let chosen = if oversubscribed { chosen } else { free };
            let points: Vec<Point> = chosen.iter().map(|m| point(m)).collect();
            let Fit { latency, per_byte, deviation } = fit(&points)?;
            let range = |of: fn(&MessageTime) -> usize| {
                let all = || chosen.iter().map(|m| of(m));
                [all().min().unwrap_or(0), all().max().unwrap_or(0)]
            };
            let origin = Origin::Fitted {
                points: points.len(),
                deviation,
                bytes: range(|m| m.bytes),
                ranks: range(|m| m.ranks),
                oversubscribed,
            };
            Some(Link { latency, per_byte, origin })
        };
        let within = link(sums().filter(|m| m.nodes == 1).collect(), &|m| {
            let (p, n) = (m.ranks as f64, m.bytes as f64);
            Point {
                known: 0.0,
                latencies: 2.0 * p.log2(),
                bytes: (1.0 - 1.0 / p) * n,
                seconds: undisturbed(m),
            }
        });
        let unused = Link { latency: 0.0, per_byte: 0.0, origin: Origin::Unused };
        let within = match within {
            Some(within) => within,
            None if ranks_per_node == 1 => unused,
            None => {
                return Err(Error::Request(
                    "no tree sums of several sizes over the ranks of one node were measured, which ranks on a node need: start two ranks a node, or give --ranks-per-node 1".into(),
                ));
            }
        };
        let measured = link(sums().filter(|m| m.nodes > 1).collect(), &|m| {
            let per_node = m.ranks / m.nodes;
            let (p, q, n) = (m.ranks as f64, per_node as f64, m.bytes as f64);
            let inside = Network { ranks_per_node: per_node, within, between: unused };
            Point {
                known: inside.tree_sum(m.bytes as f64, 1, per_node),
                latencies: 2.0 * (p / q).log2(),
                bytes: (1.0 - q / p) * n,
                seconds: undisturbed(m),
            }
        });
        // Where ranks a node are no power of two, no sum tells; a message does, by one of the ranks that share
        // a node's way out. It goes one way, a sum out and back.
        let ball = |m: &&MessageTime| m.message == Message::PingPong && m.nodes == 2;
        let measured = measured.or_else(|| {
            link(comm.messages.iter().filter(ball).collect(), &|m| Point {
                known: 0.0,
                latencies: 1.0,
                bytes: 0.5 * m.bytes as f64,
                seconds: undisturbed(m),
            })
        });
        let wished = wish.latency_us.is_some() || wish.gigabits.is_some();
        let between = measured.filter(|_| !wished).unwrap_or_else(|| Link {
            latency: wish.latency_us.unwrap_or(LATENCY_US) * 1e-6,
            // Out in halving, and back in doubling.
            per_byte: 2.0 * 8e-9 / wish.gigabits.unwrap_or(GIGABITS),
            origin: Origin::Assumed,
        });
        Ok(Self { ranks_per_node, within, between })
    }

    /// Seconds of the sum of `bytes` a rank, in so many messages, over `ranks` ranks, a power of two.
    pub fn tree_sum(&self, bytes: f64, messages: usize, ranks: usize) -> f64 {
        let inside = ranks.min(self.ranks_per_node) as f64;
        let nodes = ranks as f64 / inside;
        let latency = 2.0 * (inside.log2() * self.within.latency + nodes.log2() * self.between.latency);
        let per_byte =
            (1.0 - 1.0 / inside) * self.within.per_byte + (1.0 - 1.0 / nodes) * self.between.per_byte;
        messages as f64 * latency + bytes * per_byte
    }
}

/// Seconds of a message by the quarter of the rounds that was disturbed least: what else goes on in a machine
/// only makes a message longer.
fn undisturbed(m: &MessageTime) -> f64 {
    m.seconds.low
}

/// Whether the model has a place for a measurement.
fn usable(m: &MessageTime) -> bool {
    let even = m.nodes == 1
        || m.ranks_per_node.is_some_and(|q| q.is_power_of_two() && q.checked_mul(m.nodes) == Some(m.ranks));
    m.message == Message::TreeSum && m.ranks.is_power_of_two() && m.ranks > 1 && even
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::timing::Quartiles;

    /// A network without noise.
    pub fn known(ranks_per_node: usize) -> Network {
        let link = |latency, per_byte| Link { latency, per_byte, origin: Origin::Assumed };
        Network { ranks_per_node, within: link(1e-6, 2e-10), between: link(4e-6, 8e-10) }
    }

    fn measured(network: &Network, ranks: &[usize]) -> CommReport {
        let sizes = (0..9).map(|power| 1024usize << (2 * power));
        let of = |(bytes, &ranks): (usize, &usize)| {
            // Some noise, the same every time.
            let noise = 1.0 + 0.08 * ((bytes / 1024 + 7 * ranks) as f64).sin();
            let median = network.tree_sum(bytes as f64, 1, ranks) * noise;
            let per_node = ranks.min(network.ranks_per_node);
            MessageTime {
                message: Message::TreeSum,
                ranks,
                nodes: ranks / per_node,
                ranks_per_node: Some(per_node),
                oversubscribed: false,
                bytes,
                rounds: 3,
                seconds: Quartiles { low: median, median, high: median },
            }
        };
        let messages = sizes.flat_map(|bytes| ranks.iter().map(move |r| (bytes, r))).map(of).collect();
        CommReport { hosts: vec![], ranks: 16, processors: 16, messages }
    }

    #[test]
    fn the_parameters_of_a_network_are_found_again_within_and_between_nodes() {
        let truth = known(4);
        let found = Network::fit(&measured(&truth, &[2, 4, 8, 16]), &NetworkWish::default(), 4).unwrap();
        for (found, truth) in [(found.within, truth.within), (found.between, truth.between)] {
            assert!((found.latency / truth.latency).ln().abs() < 0.15, "{found:?} {truth:?}");
            assert!((found.per_byte / truth.per_byte).ln().abs() < 0.15, "{found:?} {truth:?}");
            let Origin::Fitted { points: 18, deviation, bytes, .. } = found.origin else {
                panic!("{found:?}")
            };
            assert!(deviation < 0.1 && bytes == [1024, 1 << 26], "{found:?}");
        }
    }

    #[test]
    fn a_network_that_was_not_measured_is_assumed_and_what_the_user_says_comes_first() {
        let comm = measured(&known(4), &[2, 4]);
        let of = |wish| Network::fit(&comm, &wish, 3).unwrap();
        let found = of(NetworkWish::default());
        assert_eq!((found.ranks_per_node, found.between.origin), (2, Origin::Assumed));
        assert!((found.between.latency - 2e-6).abs() < 1e-12);
        let found = of(NetworkWish { gigabits: Some(200.0), ..NetworkWish::default() });
        assert!((found.between.per_byte - 8e-11).abs() < 1e-18);
        let both = measured(&known(4), &[2, 8]);
        let wish = NetworkWish { latency_us: Some(9.0), ..NetworkWish::default() };
        assert_eq!(Network::fit(&both, &wish, 4).unwrap().between.origin, Origin::Assumed);
        let far = measured(&known(1), &[2, 4]);
        assert_eq!(Network::fit(&far, &NetworkWish::default(), 1).unwrap().within.origin, Origin::Unused);
        assert!(Network::fit(&far, &NetworkWish::default(), 2).is_err());
    }

    #[test]
    fn one_rank_needs_no_sum_and_more_ranks_and_bytes_take_longer() {
        let network = known(8);
        assert_eq!(network.tree_sum(1e9, 8, 1), 0.0);
        let of = |power| network.tree_sum(1e6, 4, 1usize << power);
        assert!((0..12).all(|power: usize| of(power) < of(power + 1)));
        assert!(network.tree_sum(1e6, 1, 64) < network.tree_sum(1e7, 1, 64));
    }
}
