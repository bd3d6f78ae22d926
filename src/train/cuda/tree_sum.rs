use super::lane_sum::add_values;
use crate::Result;
use crate::device::cuda::{Address, Memory, Stream};
use std::cell::RefCell;
use std::ops::Range;

/// Moves floats between the devices of two ranks.
pub trait Link {
    /// This rank.
    fn rank(&self) -> usize;
    /// Number of ranks.
    fn size(&self) -> usize;
    /// Puts on the stream: `give`, an address and so many floats, goes to `partner`, and what it
    /// gives comes to `take`; either may be empty.
    fn exchange(&self, partner: usize, give: (Address, usize), take: (Address, usize)) -> Result<()>;
}

/// [`crate::comm::TreeSum`] on devices: the same exchanges and the same order of
/// additions, so the sum has the bits of that one, and those of lanes that were
/// summed within a rank.
pub struct CudaTreeSum<L> {
    link: L,
    stream: Stream,
    received: Memory,
    owned: RefCell<Vec<Range<usize>>>,
}

const FLOAT: usize = size_of::<f32>();
/// Values by which a halving is rounded, so that every part can be added eight at a time.
const CELL: usize = 16;

impl<L: Link> CudaTreeSum<L> {
    /// For sums of at most `most` values. Fails if there is no memory for what is received.
    pub fn new(stream: &Stream, link: L, most: usize) -> Result<Self> {
        let received = stream.zeros(most * FLOAT)?;
        Ok(Self { link, stream: stream.clone(), received, owned: RefCell::default() })
    }

    /// Replaces `values` floats at `at`, a multiple of sixteen, by their sum over all ranks.
    pub fn all_reduce(&self, at: Address, values: usize) -> Result<()> {
        let (rank, ranks) = (self.link.rank(), self.link.size());
        if ranks == 1 {
            return Ok(());
        }
        let place = |range: &Range<usize>| (at.offset(range.start * FLOAT), range.len());
        let none = (Address::NONE, 0);
        let whole = 0..values;
        let power = 1 << ranks.ilog2();
        if rank >= power {
            self.link.exchange(rank - power, place(&whole), none)?;
            return self.link.exchange(rank - power, none, place(&whole));
        }
        let above = (rank + power < ranks).then_some(rank + power);
        if let Some(above) = above {
            self.exchange_and_add(above, none, place(&whole))?;
        }
        let mut parts = self.owned.borrow_mut();
        parts.clear();
        let mut owned = whole.clone();
        let mut distance = 1;
        while distance < power {
            let (low, high) = halves(&owned);
            let (keep, give) = if rank & distance == 0 { (low, high) } else { (high, low) };
            self.exchange_and_add(rank ^ distance, place(&give), place(&keep))?;
            parts.push(std::mem::replace(&mut owned, keep));
            distance *= 2;
        }
        while let Some(part) = parts.pop() {
            distance /= 2;
            let (low, high) = halves(&part);
            let (mine, theirs) = if rank & distance == 0 { (low, high) } else { (high, low) };
            self.link.exchange(rank ^ distance, place(&mine), place(&theirs))?;
        }
        above.map_or(Ok(()), |above| self.link.exchange(above, place(&whole), none))
    }

    /// Gives `give` to `partner`, and adds what it gives to `keep`.
    fn exchange_and_add(&self, partner: usize, give: (Address, usize), keep: (Address, usize)) -> Result<()> {
        self.link.exchange(partner, give, (self.received.at(), keep.1))?;
        add_values(&self.stream, keep.0, self.received.at(), keep.1)
    }
}

fn halves(whole: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = whole.start + (whole.len() / 2).next_multiple_of(CELL).min(whole.len());
    (whole.start..middle, middle..whole.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads::on_ranks;
    use crate::comm::{Communicator, TreeSum};
    use crate::device::cuda::HostDriver;

    /// By the host, which the memory of a device on the host is in reach of.
    struct ByHost<'a>(&'a dyn Communicator, Stream);

    impl Link for ByHost<'_> {
        fn rank(&self) -> usize {
            self.0.rank()
        }

        fn size(&self) -> usize {
            self.0.size()
        }

        fn exchange(&self, partner: usize, give: (Address, usize), take: (Address, usize)) -> Result<()> {
            let held = self.1.zeros(give.1.max(take.1) * FLOAT)?;
            self.1.copy(held.at(), give.0, give.1 * FLOAT)?;
            let (mut out, mut back) = (vec![0.0f32; give.1], vec![0.0f32; take.1]);
            held.download(0, &mut out)?;
            self.0.exchange(partner, &out, &mut back);
            held.upload(0, &back)?;
            self.1.copy(take.0, held.at(), take.1 * FLOAT)
        }
    }

    #[test]
    fn the_sum_has_the_bits_of_that_on_processors() {
        let value = |rank: usize, at: usize| {
            ((rank * 131 + at * 17) as f32).sin() * 10f32.powi((rank + at) as i32 % 7 - 3)
        };
        for ranks in [1, 2, 3, 4, 6, 8] {
            for values in [16, 48, 1040] {
                let same = on_ranks(ranks, |comm| {
                    let mut expected: Vec<f32> = (0..values).map(|at| value(comm.rank(), at)).collect();
                    let stream = HostDriver::stream();
                    let memory = stream.holding(&expected).unwrap();
                    let sum = CudaTreeSum::new(&stream, ByHost(comm, stream.clone()), values).unwrap();
                    sum.all_reduce(memory.at(), values).unwrap();
                    let mut got = vec![0.0; values];
                    memory.download(0, &mut got).unwrap();
                    TreeSum::default().all_reduce(comm, &mut expected);
                    got == expected
                });
                assert_eq!(same, vec![true; ranks], "{ranks} ranks, {values} values");
            }
        }
    }
}
