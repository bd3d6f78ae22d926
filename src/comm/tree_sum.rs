use super::{Communicator, Tag};
use std::ops::Range;

/// Sums an array over ranks in a fixed tree: neighbours at distance 1, then 2,
/// then 4, ... by recursive halving, and the pieces back by recursive doubling
/// (Thakur, Rabenseifner and Gropp 2005, in the other order of distances). For
/// powers of two the sum of a run of ranks is a subtree, so it has the same
/// bits however many of the leaves were summed inside a rank. Ranks above the
/// largest power of two first add theirs to one below.
#[derive(Debug, Default)]
pub struct TreeSum {
    received: Vec<f32>,
    owned: Vec<Range<usize>>,
}

impl TreeSum {
    /// Replaces `values` by their sum over all ranks, the same bits on each.
    pub fn all_reduce(&mut self, comm: &dyn Communicator, values: &mut [f32]) {
        let (rank, ranks) = (comm.rank(), comm.size());
        let power = 1 << ranks.ilog2();
        if rank >= power {
            comm.send(rank - power, Tag::Sum, bytemuck::cast_slice(values));
            let (_, sum) = comm.receive(Some(rank - power), Tag::Sum);
            bytemuck::cast_slice_mut(values).copy_from_slice(&sum);
            return;
        }
        let above = (rank + power < ranks).then_some(rank + power);
        if let Some(above) = above {
            let (_, bytes) = comm.receive(Some(above), Tag::Sum);
            let theirs = bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            values.iter_mut().zip(theirs).for_each(|(v, t)| *v += t);
        }
        self.received.resize(values.len().div_ceil(2), 0.0);
        self.owned.clear();
        let mut owned = 0..values.len();
        let mut distance = 1;
        while distance < power {
            let middle = owned.start + owned.len() / 2;
            let (low, high) = (owned.start..middle, middle..owned.end);
            let (keep, give) = if rank & distance == 0 { (low, high) } else { (high, low) };
            let received = &mut self.received[..keep.len()];
            comm.exchange(rank ^ distance, &values[give], received);
            values[keep.clone()].iter_mut().zip(received).for_each(|(v, t)| *v += *t);
            self.owned.push(std::mem::replace(&mut owned, keep));
            distance *= 2;
        }
        while let Some(whole) = self.owned.pop() {
            distance /= 2;
            let (left, right) = values[whole.clone()].split_at_mut(whole.len() / 2);
            let (mine, theirs) = if rank & distance == 0 { (left, right) } else { (right, left) };
            comm.exchange(rank ^ distance, mine, theirs);
        }
        if let Some(above) = above {
            comm.send(above, Tag::Sum, bytemuck::cast_slice(values));
        }
    }
}
