use crate::comm::Communicator;
use crate::device::threads;
use crate::status;

/// Where the ranks of a job sit, known on every rank.
#[derive(Debug, Clone)]
pub struct Places {
    ranks: Vec<Place>,
}

/// Where one rank sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of its host, up to the first dot.
    pub host: String,
    /// Lowest rank that shares its memory, which stands for the node.
    pub node: usize,
    /// Processors that the ranks of its node may use.
    pub processors: usize,
    /// Threads that it computes with.
    pub threads: usize,
}

impl Places {
    /// Those of the ranks of `world`, which all call this.
    pub fn of(world: &dyn Communicator) -> Self {
        let node = world.node();
        let (own, available) = (threads::affinity(), threads::available());
        let mut bound: Vec<u32> = Vec::new();
        for theirs in node.all_gather(bytemuck::cast_slice(&own)) {
            bound.extend(theirs.chunks_exact(4).map(bytemuck::pod_read_unaligned::<u32>));
        }
        bound.sort_unstable();
        bound.dedup();
        // Fewer than it is bound to are a quota of all ranks.
        let processors = if available < own.len() { available } else { bound.len().max(available) };
        let first = node.all_gather(&(world.rank() as u64).to_ne_bytes());
        let first = first.first().map_or(0, |bytes| bytemuck::pod_read_unaligned::<u64>(bytes));
        let numbers = [first, processors as u64, rayon::current_num_threads() as u64];
        let all = world.all_gather(bytemuck::cast_slice(&numbers));
        let hosts = world.all_gather(status::host().as_bytes());
        let place = |(numbers, host): (&Vec<u8>, &Vec<u8>)| {
            let at = |i: usize| {
                numbers.chunks_exact(8).nth(i).map_or(0, bytemuck::pod_read_unaligned::<u64>) as usize
            };
            Place {
                host: String::from_utf8_lossy(host).into_owned(),
                node: at(0),
                processors: at(1),
                threads: at(2),
            }
        };
        Self { ranks: all.iter().zip(&hosts).map(place).collect() }
    }

    /// Of one rank.
    pub fn rank(&self, rank: usize) -> &Place {
        &self.ranks[rank]
    }

    /// The hosts, once each, in the order of ranks.
    pub fn hosts(&self) -> Vec<String> {
        let first = self.ranks.iter().enumerate().filter(|(rank, place)| place.node == *rank);
        first.map(|(_, place)| place.host.clone()).collect()
    }

    /// Processors of all hosts that the ranks may use.
    pub fn processors(&self) -> usize {
        let first = self.ranks.iter().enumerate().filter(|(rank, place)| place.node == *rank);
        first.map(|(_, place)| place.processors).sum()
    }

    /// Nodes that the first `ranks` ranks sit on.
    pub fn nodes(&self, ranks: usize) -> usize {
        let mut nodes: Vec<usize> = self.ranks[..ranks].iter().map(|place| place.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len()
    }

    /// How many of the first `ranks` ranks sit on each node, where it is the same number of
    /// neighbours on all of them.
    pub fn per_node(&self, ranks: usize) -> Option<usize> {
        let nodes: Vec<usize> = self.ranks[..ranks].iter().map(|place| place.node).collect();
        let runs: Vec<usize> = nodes.chunk_by(|a, b| a == b).map(<[usize]>::len).collect();
        let even = runs.len() == self.nodes(ranks) && runs.windows(2).all(|pair| pair[0] == pair[1]);
        runs.first().copied().filter(|_| even)
    }

    /// Whether the first `ranks` ranks, of `threads` each or of as many as they have, are more on
    /// some node than it has processors.
    pub fn oversubscribed(&self, ranks: usize, threads: Option<usize>) -> bool {
        let among = &self.ranks[..ranks];
        among.iter().any(|place| {
            let here = among.iter().filter(|other| other.node == place.node);
            here.map(|other| threads.unwrap_or(other.threads)).sum::<usize>() > place.processors
        })
    }

    /// The first two ranks of which `wanted` says, of their nodes, that they are what is looked for.
    pub fn pair(&self, wanted: impl Fn(usize, usize) -> bool) -> Option<[usize; 2]> {
        let of = |a: usize| (a + 1..self.ranks.len()).map(move |b| [a, b]);
        let mut pairs = (0..self.ranks.len()).flat_map(of);
        pairs.find(|&[a, b]| wanted(self.ranks[a].node, self.ranks[b].node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    fn places(nodes: &[usize]) -> Places {
        let place = |&node| Place { host: format!("n{node}"), node, processors: 2, threads: 1 };
        Places { ranks: nodes.iter().map(place).collect() }
    }

    #[test]
    fn ranks_on_nodes_are_counted() {
        let six = places(&[0, 0, 2, 2, 4, 4]);
        assert_eq!([1, 2, 3, 6].map(|ranks| six.nodes(ranks)), [1, 1, 2, 3]);
        assert_eq!([1, 2, 3, 4].map(|ranks| six.per_node(ranks)), [Some(1), Some(2), None, Some(2)]);
        assert_eq!(places(&[0, 1, 0, 1]).per_node(4), None);
        assert_eq!(six.hosts(), ["n0", "n2", "n4"]);
        assert_eq!(six.pair(|a, b| a != b), Some([0, 2]));
        assert_eq!(places(&[0, 0]).pair(|a, b| a != b), None);
        assert!(!six.oversubscribed(6, None) && six.oversubscribed(6, Some(2)));
    }

    #[test]
    fn ranks_that_share_a_memory_are_one_node() {
        for places in on_ranks(3, |comm| Places::of(comm)) {
            assert_eq!((places.nodes(3), places.per_node(3)), (1, Some(3)));
            assert!(places.processors() >= 1 && places.rank(2).threads >= 1);
        }
    }
}
