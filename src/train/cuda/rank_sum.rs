use super::staging::CudaStaging;
use super::tree_sum::{CudaTreeSum, Link};
use crate::comm::{Communicator, Nccl, agree};
use crate::device::cuda::{Address, Memory, Storage, Stream, devices};
use crate::graph::{CudaGradients, CudaLayout};
use crate::train::TrainSpec;
use crate::train::reduction::Words;
use crate::{Error, Result};
use std::rc::Rc;
use std::sync::Arc;

/// Sums gradients over the ranks of a group.
pub enum CudaRankSum<'a> {
    /// There is one rank.
    Alone,
    /// From GPU to GPU, beside backward, in the order of [`crate::comm::TreeSum`]: of lanes fixed in
    /// the deck, whose sum does not depend on how they are dealt to ranks.
    Tree(Stream, CudaTreeSum<ByNccl>),
    /// From GPU to GPU, beside backward, in an order of the library's choosing.
    Library(Stream, Rc<Nccl>),
    /// By way of the host.
    Staged(Box<CudaStaging<'a>>),
}

/// NCCL on a stream.
pub struct ByNccl {
    nccl: Rc<Nccl>,
    stream: Stream,
}

impl Link for ByNccl {
    fn rank(&self) -> usize {
        self.nccl.rank()
    }

    fn size(&self) -> usize {
        self.nccl.size()
    }

    fn exchange(&self, partner: usize, give: (Address, usize), take: (Address, usize)) -> Result<()> {
        let plain = |(at, values): (Address, usize)| (at.0, values);
        self.nccl.exchange(partner, plain(give), plain(take), self.stream.handle())
    }
}

impl<'a> CudaRankSum<'a> {
    /// For the ranks of `comm`, which all call this: by NCCL where each has a GPU of its own and
    /// the library is there, by the host where not, which rank 0 says.
    pub fn new(
        stream: &Stream,
        comm: &'a dyn Communicator,
        layout: Arc<CudaLayout>,
        spec: &TrainSpec,
    ) -> Result<Self> {
        if comm.size() == 1 {
            return Ok(CudaRankSum::Alone);
        }
        let identity = agree(comm, stream.identity())?;
        let mut all = comm.all_gather(identity.as_bytes());
        all.sort();
        let shared = all.windows(2).any(|pair| pair[0] == pair[1]);
        let by_host = |why: &str| {
            if comm.rank() == 0 {
                log::info!("gradients are summed by way of the host: {why}");
            }
            CudaStaging::new(stream, comm, layout.clone())
                .map(|staging| CudaRankSum::Staged(Box::new(staging)))
        };
        if shared {
            return by_host("ranks share a GPU");
        }
        let nccl = match Nccl::new(comm, devices::nccl().as_deref()) {
            Ok(nccl) => Rc::new(nccl),
            Err(Error::Device(why)) => return by_host(&why),
            Err(error) => return Err(error),
        };
        if spec.lanes.is_none() {
            return Ok(CudaRankSum::Library(stream.clone(), nccl));
        }
        let most =
            layout.buckets().iter().map(ExactSizeIterator::len).max().unwrap_or(0) + CudaGradients::WORDS;
        let link = ByNccl { nccl, stream: stream.clone() };
        Ok(CudaRankSum::Tree(stream.clone(), CudaTreeSum::new(stream, link, most)?))
    }

    /// Whether there is one rank.
    pub fn is_alone(&self) -> bool {
        matches!(self, CudaRankSum::Alone)
    }

    /// Whether sums go from GPU to GPU, so that a rank whose device is waited for waits for all.
    pub fn by_nccl(&self) -> bool {
        !self.is_alone() && !self.by_host()
    }

    /// Whether sums go by the host, after all of backward: by [`Self::sum_by_host`].
    pub fn by_host(&self) -> bool {
        matches!(self, CudaRankSum::Staged(_))
    }

    /// Puts the sum of a bucket that is whole beside what follows on the stream.
    pub fn give(&self, bucket: usize, gradients: &CudaGradients) -> Result<()> {
        let buckets = gradients.layout().buckets();
        let words = if bucket + 1 == buckets.len() { CudaGradients::WORDS } else { 0 };
        let at = gradients.memory().at().offset(buckets[bucket].start * Storage::F32.bytes());
        let values = buckets[bucket].len() + words;
        match self {
            CudaRankSum::Alone | CudaRankSum::Staged(_) => Ok(()),
            CudaRankSum::Tree(stream, tree) => stream.aside(|| tree.all_reduce(at, values)),
            CudaRankSum::Library(stream, nccl) => {
                stream.aside(|| nccl.all_reduce(at.0, values, stream.handle()))
            }
        }
    }

    /// What follows on the stream comes after all sums.
    pub fn join(&self) -> Result<()> {
        match self {
            CudaRankSum::Alone | CudaRankSum::Staged(_) => Ok(()),
            CudaRankSum::Tree(stream, _) | CudaRankSum::Library(stream, _) => stream.join(),
        }
    }

    /// Sums by way of the host, where sums go that way; returns the words of all ranks.
    pub fn sum_by_host(&mut self, gradients: &Memory) -> Result<Words> {
        match self {
            CudaRankSum::Staged(staging) => Ok(staging.sum(gradients)?.words),
            _ => Ok(Words::default()),
        }
    }
}
