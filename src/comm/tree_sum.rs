use super::Communicator;
use std::ops::Range;

/// Sums an array over ranks in a fixed tree: neighbours at distance 1, then 2,
/// then 4, ... by recursive halving, and the pieces back by recursive doubling
/// (Thakur, Rabenseifner and Gropp 2005, in the other order of distances). For
/// powers of two the sum of a run of ranks is a subtree, so it has the same
/// bits however many of the leaves were summed inside a rank, and however an
/// array is cut into several. Ranks above the largest power of two first add
/// theirs to one below.
#[derive(Debug, Default)]
pub struct TreeSum {
    received: Vec<f32>,
    owned: Vec<Range<usize>>,
}

/// Values that are sent, received and added at a time: 512 KiB, so that what has come is added while
/// the nearest caches hold it.
const PIECE: usize = if cfg!(test) { 16 } else { 1 << 17 };

impl TreeSum {
    /// Bytes that it holds, at most.
    pub const BYTES: usize = PIECE * size_of::<f32>();

    /// Replaces `values` by their sum over all ranks, the same bits on each.
    pub fn all_reduce(&mut self, comm: &dyn Communicator, values: &mut [f32]) {
        let (rank, ranks) = (comm.rank(), comm.size());
        if ranks == 1 {
            return;
        }
        let power = 1 << ranks.ilog2();
        if rank >= power {
            self.exchange_and_add(comm, rank - power, values, &mut []);
            comm.exchange(rank - power, &[], values);
            return;
        }
        let above = (rank + power < ranks).then_some(rank + power);
        if let Some(above) = above {
            self.exchange_and_add(comm, above, &[], values);
        }
        self.owned.clear();
        let mut owned = 0..values.len();
        let mut distance = 1;
        while distance < power {
            let (low, high) = halves(&owned);
            let (left, right) = values[owned.clone()].split_at_mut(low.len());
            let (keep, mine, theirs) =
                if rank & distance == 0 { (low, left, right) } else { (high, right, left) };
            self.exchange_and_add(comm, rank ^ distance, theirs, mine);
            self.owned.push(std::mem::replace(&mut owned, keep));
            distance *= 2;
        }
        while let Some(whole) = self.owned.pop() {
            distance /= 2;
            let (left, right) = values[whole.clone()].split_at_mut(halves(&whole).0.len());
            let (mine, theirs) = if rank & distance == 0 { (left, right) } else { (right, left) };
            comm.exchange(rank ^ distance, mine, theirs);
        }
        if let Some(above) = above {
            comm.exchange(above, values, &mut []);
        }
    }

    /// Gives `give` to `partner`, and adds what it gives to `keep`.
    fn exchange_and_add(&mut self, comm: &dyn Communicator, partner: usize, give: &[f32], keep: &mut [f32]) {
        let (mut give, mut keep) = (give, keep);
        self.received.resize(PIECE, 0.0);
        while !(give.is_empty() && keep.is_empty()) {
            let (out, rest) = give.split_at(give.len().min(PIECE));
            let length = keep.len().min(PIECE);
            let (sum, rest_of_keep) = keep.split_at_mut(length);
            let received = &mut self.received[..length];
            comm.exchange(partner, out, received);
            sum.iter_mut().zip(received).for_each(|(sum, term)| *sum += *term);
            (give, keep) = (rest, rest_of_keep);
        }
    }
}

fn halves(whole: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = whole.start + whole.len() / 2;
    (whole.start..middle, middle..whole.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;

    fn value(rank: usize, at: usize) -> f32 {
        ((rank * 131 + at * 17) as f32).sin() * 10f32.powi((rank + at) as i32 % 7 - 3)
    }

    /// The balanced tree over neighbours, as one rank would sum its lanes.
    fn tree(leaves: &[f32]) -> f32 {
        match leaves {
            [one] => *one,
            _ => tree(&leaves[..leaves.len() / 2]) + tree(&leaves[leaves.len() / 2..]),
        }
    }

    #[test]
    fn powers_of_two_sum_as_a_balanced_tree_on_every_rank() {
        for ranks in [1, 2, 4, 8] {
            for length in [0, 1, 2, 7, 64, 1001] {
                let sums = on_ranks(ranks, |comm| {
                    let mut values: Vec<f32> = (0..length).map(|at| value(comm.rank(), at)).collect();
                    TreeSum::default().all_reduce(comm, &mut values);
                    values
                });
                let leaves = |at| (0..ranks).map(|rank| value(rank, at)).collect::<Vec<_>>();
                let expected: Vec<f32> = (0..length).map(|at| tree(&leaves(at))).collect();
                assert!(sums.iter().all(|sum| *sum == expected), "{ranks} ranks, {length} values");
            }
        }
    }

    #[test]
    fn an_array_cut_into_several_has_the_bits_of_the_whole() {
        for ranks in [2, 3, 4] {
            let same = on_ranks(ranks, |comm| {
                let mut whole: Vec<f32> = (0..500).map(|at| value(comm.rank(), at)).collect();
                let mut cut = whole.clone();
                let mut sum = TreeSum::default();
                sum.all_reduce(comm, &mut whole);
                let (first, rest) = cut.split_at_mut(7);
                let (second, third) = rest.split_at_mut(333);
                [third, first, second].into_iter().for_each(|part| sum.all_reduce(comm, part));
                whole == cut
            });
            assert_eq!(same, vec![true; ranks]);
        }
    }

    #[test]
    fn any_number_of_ranks_ends_with_the_same_sum() {
        for ranks in [3, 5, 6, 7, 9] {
            let sums = on_ranks(ranks, |comm| {
                let mut sum = TreeSum::default();
                let mut values: Vec<f32> = (0..33).map(|at| value(comm.rank(), at)).collect();
                sum.all_reduce(comm, &mut values);
                sum.all_reduce(comm, &mut values);
                values
            });
            assert!(sums.windows(2).all(|w| w[0] == w[1]));
            for (at, &sum) in sums[0].iter().enumerate() {
                let exact: f64 = (0..ranks).map(|rank| f64::from(value(rank, at))).sum();
                assert!((f64::from(sum) - ranks as f64 * exact).abs() < 1e-3 * (1.0 + exact.abs()));
            }
        }
    }
}
