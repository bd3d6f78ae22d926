use crate::Result;
use crate::comm::Communicator;
use crate::device::cuda::{Memory, Stream};
use crate::graph::{CudaGradients, CudaLayout};
use crate::train::reduction::{Reduced, Reduction};
use std::sync::Arc;

/// Sums gradients over ranks by way of the host and MPI, where no library sums
/// them from device to device: bucket after bucket is brought to the host,
/// goes the way of those of a training on processors ([`Reduction`]), and comes back.
/// The bits are those of that sum.
pub struct CudaStaging<'a> {
    layout: Arc<CudaLayout>,
    reduction: Reduction<'a>,
    /// Values of each bucket.
    lengths: Vec<usize>,
    /// On the host, a bucket each, the words behind the last.
    buckets: Vec<Vec<f32>>,
    stream: Stream,
}

impl<'a> CudaStaging<'a> {
    /// Between the ranks of `comm`, which all call this, for gradients of this layout.
    pub fn new(stream: &Stream, comm: &'a dyn Communicator, layout: Arc<CudaLayout>) -> Result<Self> {
        let reduction = Reduction::new(comm, layout.buckets().len())?;
        let lengths: Vec<usize> = layout.buckets().iter().map(ExactSizeIterator::len).collect();
        let held = |(bucket, &length)| vec![0.0f32; length + words_behind(bucket, lengths.len())];
        let buckets: Vec<Vec<f32>> = lengths.iter().enumerate().map(held).collect();
        // Copies to and from pages that cannot move need no second copy in the driver.
        for bucket in &buckets {
            if let Err(why) = stream.pin(bucket) {
                log::debug!("{why}; copies are slower");
            }
        }
        Ok(Self { layout, reduction, lengths, buckets, stream: stream.clone() })
    }

    /// Replaces `gradients` by their sum over all ranks. Waits for what is on the stream.
    pub fn sum(&mut self, gradients: &Memory) -> Result<Reduced> {
        let places = self.layout.buckets();
        let offset = |bucket: usize| places[bucket].start * size_of::<f32>();
        for (number, bucket) in self.buckets.iter_mut().enumerate() {
            // What comes back from the sum has lost its words.
            bucket.resize(self.lengths[number] + words_behind(number, places.len()), 0.0);
            gradients.download(offset(number), bucket)?;
            self.reduction.give(number, std::mem::take(bucket));
        }
        let buckets = &mut self.buckets;
        let reduced = self.reduction.finish_each(&self.lengths, &mut |number, values| {
            gradients.upload(offset(number), &values)?;
            buckets[number] = values;
            Ok(())
        })?;
        gradients.upload(self.layout.length() * size_of::<f32>(), &reduced.words)?;
        Ok(reduced)
    }
}

/// Words that travel behind a bucket.
fn words_behind(bucket: usize, buckets: usize) -> usize {
    if bucket + 1 == buckets { CudaGradients::WORDS } else { 0 }
}

impl Drop for CudaStaging<'_> {
    fn drop(&mut self) {
        self.buckets.iter().for_each(|bucket| self.stream.unpin(bucket));
    }
}
