use crate::Result;
use crate::device::cuda::{Address, Kernel, Storage, Stream};
use crate::graph::{CudaGradients, CudaLayout};
use crate::op::EIGHT;
use std::ops::Range;
use std::sync::Arc;

/// Sums the gradients of a rank's lanes on a device in the tree of
/// [`super::lane_sum::LaneSum`], to the same bits. Holds one gradient a level.
#[derive(Debug)]
pub struct CudaLaneSum {
    stream: Stream,
    levels: Vec<CudaGradients>,
    taken: usize,
    depth: usize,
}

/// The last lane's gradient, and what the lanes before it have come to.
#[derive(Debug)]
pub struct LastLane<'a> {
    stream: &'a Stream,
    earlier: &'a [CudaGradients],
    last: &'a CudaGradients,
}

/// `added` of `kernels/lane_sum.cu`.
const ADDED: Kernel = Kernel::new("lane_sum", "added");

impl CudaLaneSum {
    /// For this many lanes of gradients of this layout. Fails if there is no memory for them.
    pub fn new(stream: &Stream, layout: &Arc<CudaLayout>, lanes: usize) -> Result<Self> {
        let levels = 1 + lanes.max(1).next_power_of_two().ilog2() as usize;
        let levels = (0..levels).map(|_| CudaGradients::zeros(stream, layout.clone()));
        Ok(Self { stream: stream.clone(), levels: levels.collect::<Result<_>>()?, taken: 0, depth: 0 })
    }

    /// Goes to where lane `local` of this rank comes in, those before it summed.
    pub fn go_to(&mut self, local: usize) {
        (self.taken, self.depth) = (local, local.count_ones() as usize);
    }

    /// Where the next lane's gradient goes, if it is not the last; follow with [`Self::taken`].
    pub fn next(&self) -> &CudaGradients {
        &self.levels[self.depth]
    }

    /// Adds the gradient just computed to those before it.
    pub fn taken(&mut self) -> Result<()> {
        self.taken += 1;
        self.depth += 1;
        let mut lanes = self.taken;
        while lanes.is_multiple_of(2) {
            let [sum, other] = [self.depth - 2, self.depth - 1].map(|level| &self.levels[level]);
            add(&self.stream, sum, other, 0..sum.layout().length())?;
            self.depth -= 1;
            lanes /= 2;
        }
        Ok(())
    }

    /// Where the last lane's gradient goes. Starts anew.
    pub fn last(&mut self) -> LastLane<'_> {
        let (earlier, last) = self.levels.split_at(self.depth);
        (self.taken, self.depth) = (0, 0);
        LastLane { stream: &self.stream, earlier, last: &last[0] }
    }

    /// The sum of all lanes, once every bucket was added by [`LastLane::add`].
    pub fn sum(&self) -> &CudaGradients {
        &self.levels[0]
    }
}

impl LastLane<'_> {
    /// Where the gradient goes.
    pub fn gradients(&self) -> &CudaGradients {
        self.last
    }

    /// What becomes the sum of all lanes, bucket by bucket.
    pub fn sum(&self) -> &CudaGradients {
        self.earlier.first().unwrap_or(self.last)
    }

    /// Adds a bucket of the gradient, whole by now, to those before it. What comes of it is
    /// that bucket of [`CudaLaneSum::sum`].
    pub fn add(&self, bucket: usize) -> Result<()> {
        let place = &self.last.layout().buckets()[bucket];
        let mut sum = self.last;
        for level in self.earlier.iter().rev() {
            add(self.stream, level, sum, place.clone())?;
            sum = level;
        }
        Ok(())
    }
}

/// Puts the addition of some values of a gradient to those of another on the stream.
fn add(stream: &Stream, sum: &CudaGradients, other: &CudaGradients, place: Range<usize>) -> Result<()> {
    let at = |gradients: &CudaGradients| gradients.memory().at().offset(place.start * Storage::F32.bytes());
    add_values(stream, at(sum), at(other), place.len())
}

/// Puts the addition of values in single precision to as many others on the stream. Their number is
/// a multiple of eight, and both places are multiples of 32 bytes.
pub fn add_values(stream: &Stream, sum: Address, other: Address, values: usize) -> Result<()> {
    debug_assert!(values.is_multiple_of(EIGHT), "{values} values");
    let eights = values / EIGHT;
    stream.launch_over(ADDED, Storage::F32, eights, &[sum.into(), other.into(), eights.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::HostDriver;
    use crate::graph::{Gradients, Graph};
    use crate::op::{Activation, Linear};
    use crate::train::lane_sum::LaneSum;

    /// A network of two buckets, with rows of 3 and 17 values.
    fn graph() -> Graph {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 3);
        let x = graph.add("l", Linear::new(3, 17, Activation::Identity), &[x]).unwrap();
        graph.add("m", Linear::new(17, 5, Activation::Identity), &[x]).unwrap();
        graph
    }

    /// What bucket `bucket` of lane `lane` has at `i`: of many magnitudes, so that the order of sums shows.
    fn leaf(lane: usize, bucket: usize, i: usize) -> f32 {
        let x = (lane * 977 + bucket * 131 + i) as f32;
        x.sin() * 10f32.powi((lane * 5 + i) as i32 % 9 - 4)
    }

    fn fill(gradients: &mut Gradients<f32>, layout: &CudaLayout, lane: usize) -> Vec<f32> {
        let mut all = Vec::new();
        for bucket in 0..gradients.buckets() {
            let values = gradients.bucket_mut(bucket);
            values.iter_mut().enumerate().for_each(|(i, v)| *v = leaf(lane, bucket, i));
            all.extend_from_slice(values);
        }
        layout.spread(&all)
    }

    #[test]
    fn lanes_are_summed_to_the_bits_of_the_cpu() {
        let (graph, stream) = (graph(), HostDriver::stream());
        let layout = CudaLayout::new(&graph).unwrap();
        let buckets = layout.buckets().len();
        assert_eq!(buckets, 2);
        for lanes in 1..=9 {
            let mut expected = LaneSum::new(Gradients::zeros(&graph).unwrap(), lanes).unwrap();
            let mut sum = CudaLaneSum::new(&stream, &layout, lanes).unwrap();
            for pass in 0..2 {
                for lane in 0..lanes - 1 {
                    let values = fill(expected.next(), &layout, lane + pass);
                    expected.taken();
                    sum.next().memory().upload(0, &values).unwrap();
                    sum.taken().unwrap();
                }
                let (mut earlier, gradient) = expected.last();
                let values = fill(gradient, &layout, lanes - 1 + pass);
                let whole: Vec<f32> = (0..buckets).flat_map(|b| earlier.take(gradient, b)).collect();
                let last = sum.last();
                last.gradients().memory().upload(0, &values).unwrap();
                (0..buckets).for_each(|bucket| last.add(bucket).unwrap());
                let mut got = vec![0.0f32; layout.length()];
                sum.sum().memory().download(0, &mut got).unwrap();
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&layout.spread(&whole)), "{lanes} lanes");
                let mut start = 0;
                for bucket in 0..buckets {
                    let length = expected.sum().place(bucket).len();
                    expected.sum().put(bucket, whole[start..start + length].to_vec());
                    start += length;
                }
            }
        }
    }
}
