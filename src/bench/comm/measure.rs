use super::report::{CommReport, Message, MessageTime};
use crate::bench::places::Places;
use crate::bench::sums::time_sums;
use crate::bench::timing::{Quartiles, among, another, slowest};
use crate::comm::Communicator;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

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
        let measured = among(world, |rank| pair.contains(&rank), |group| Ok(ping_pong(&sizes, each, group)))?;
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
        let measured = among(world, |rank| rank < ranks, |group| sums(&sizes, each, group))?;
        let Some(measured) = measured else { continue };
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
    let flat =
        measured.unwrap_or_default().into_iter().flat_map(|(q, n)| [q.low, q.median, q.high, n as f64]);
    let mut bytes: Vec<u8> = flat.flat_map(f64::to_ne_bytes).collect();
    world.broadcast(from, &mut bytes);
    let values: Vec<f64> = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
    if values.len() != 4 * sizes {
        return Err(Error::Ranks(format!("rank {from} measured {} messages, not {sizes}", values.len() / 4)));
    }
    let quartiles = |v: &[f64]| (Quartiles { low: v[0], median: v[1], high: v[2] }, v[3] as usize);
    Ok(values.chunks_exact(4).map(quartiles).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_four_times_apart() {
        let sizes = |from, to| CommRequest { from, to, seconds: 1.0 }.sizes();
        assert_eq!(sizes(1 << 10, 1 << 28).len(), 10);
        assert_eq!(sizes(1, 70), [4, 16, 64]);
        assert_eq!(sizes(100, 10), [100]);
    }
}
