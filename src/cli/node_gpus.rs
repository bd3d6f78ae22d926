use crate::comm::Communicator;
use crate::device::cuda::devices::Gpu;

/// Which GPU each rank of a node takes. Ranks that see the same GPUs take them in turn; a batch system may as
/// well have given each rank a GPU of its own, which every one of them then sees as its first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeGpus {
    /// What each rank of the node sees, by identity.
    seen: Vec<Vec<String>>,
    rank: usize,
}

impl NodeGpus {
    /// Of the ranks of `node`, this one of which sees `gpus`. Every one of them calls this.
    pub fn of(node: &dyn Communicator, gpus: &[Gpu]) -> Self {
        let own: Vec<&str> = gpus.iter().map(|gpu| gpu.identity.as_str()).collect();
        let seen = node.all_gather(own.join(" ").as_bytes());
        let list = |bytes: &Vec<u8>| {
            String::from_utf8_lossy(bytes).split_whitespace().map(str::to_string).collect::<Vec<_>>()
        };
        Self { seen: seen.iter().map(list).collect(), rank: node.rank() }
    }

    /// The number of this rank's GPU among those that it sees; `None` where it sees none.
    pub fn own(&self) -> Option<usize> {
        self.of_rank(self.rank)
    }

    /// Most ranks that take the same GPU.
    pub fn most_on_one(&self) -> usize {
        let taken = |rank: usize| self.of_rank(rank).map(|index| &self.seen[rank][index]);
        let taken: Vec<&String> = (0..self.seen.len()).filter_map(taken).collect();
        taken.iter().map(|gpu| taken.iter().filter(|other| other == &gpu).count()).max().unwrap_or(0)
    }

    fn of_rank(&self, rank: usize) -> Option<usize> {
        let same = &self.seen[rank];
        let before = self.seen[..rank].iter().filter(|seen| *seen == same).count();
        before.checked_rem(same.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(seen: &[&str]) -> (Vec<Option<usize>>, usize) {
        let list = |text: &&str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        let seen: Vec<Vec<String>> = seen.iter().map(list).collect();
        let of = |rank| NodeGpus { seen: seen.clone(), rank };
        ((0..seen.len()).map(|rank| of(rank).own()).collect(), of(0).most_on_one())
    }

    #[test]
    fn ranks_that_see_all_gpus_take_them_in_turn() {
        assert_eq!(dealt(&["a b", "a b", "a b"]), (vec![Some(0), Some(1), Some(0)], 2));
        assert_eq!(dealt(&["a", "a", "a", "a", "a"]).1, 5);
    }

    #[test]
    fn ranks_that_were_given_one_each_take_it_and_share_none() {
        let eight = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert_eq!(dealt(&eight), (vec![Some(0); 8], 1));
        // Two ranks for each pair of GPUs.
        assert_eq!(dealt(&["a b", "a b", "c d", "c d"]), (vec![Some(0), Some(1), Some(0), Some(1)], 1));
    }

    #[test]
    fn a_rank_that_sees_none_takes_none() {
        assert_eq!(dealt(&["", "a"]), (vec![None, Some(0)], 1));
    }
}
