use crate::Result;
use crate::graph::Gradients;
use rayon::prelude::*;

/// Sums the gradients of a rank's lanes in a binary tree: neighbours first,
/// then neighbours of neighbours, so that the sum over a power of two of lanes
/// is the same subtree whichever rank computes it. Holds one gradient a level.
#[derive(Debug)]
pub struct LaneSum {
    levels: Vec<Gradients<f32>>,
    taken: usize,
    depth: usize,
}

/// What the lanes before the last have come to.
pub struct Earlier<'a> {
    levels: &'a mut [Gradients<f32>],
}

impl LaneSum {
    /// For this many lanes, whose gradients are as `first`. Fails if there is no memory for them.
    pub fn new(first: Gradients<f32>, lanes: usize) -> Result<Self> {
        let levels = lanes.max(1).next_power_of_two().ilog2() as usize;
        let others = (0..levels).map(|_| first.zeros_like()).collect::<Result<Vec<_>>>()?;
        Ok(Self { levels: [first].into_iter().chain(others).collect(), taken: 0, depth: 0 })
    }

    /// Where the next lane's gradient goes, if it is not the last; follow with [`Self::taken`].
    pub fn next(&mut self) -> &mut Gradients<f32> {
        &mut self.levels[self.depth]
    }

    /// Adds the gradient just computed to those before it.
    pub fn taken(&mut self) {
        self.taken += 1;
        self.depth += 1;
        let mut lanes = self.taken;
        while lanes.is_multiple_of(2) {
            let (low, high) = self.levels.split_at_mut(self.depth - 1);
            let sum = &mut low[self.depth - 2];
            (0..sum.buckets()).for_each(|bucket| add(sum, &high[0], bucket));
            self.depth -= 1;
            lanes /= 2;
        }
    }

    /// Where the last lane's gradient goes, and what it is to be added to, bucket by bucket. Starts anew.
    pub fn last(&mut self) -> (Earlier<'_>, &mut Gradients<f32>) {
        let (earlier, last) = self.levels.split_at_mut(self.depth);
        (self.taken, self.depth) = (0, 0);
        (Earlier { levels: earlier }, &mut last[0])
    }

    /// The sum of all lanes, once every bucket is back in its place.
    pub fn sum(&mut self) -> &mut Gradients<f32> {
        &mut self.levels[0]
    }

    /// Number of buckets of a gradient.
    pub fn buckets(&self) -> usize {
        self.levels[0].buckets()
    }
}

impl Earlier<'_> {
    /// A bucket of the sum of all lanes, the last one's included; it belongs to [`LaneSum::sum`].
    pub fn take(&mut self, last: &mut Gradients<f32>, bucket: usize) -> Vec<f32> {
        let mut sum = last;
        for level in self.levels.iter_mut().rev() {
            add(level, sum, bucket);
            sum = level;
        }
        sum.take(bucket)
    }
}

fn add(sum: &mut Gradients<f32>, other: &Gradients<f32>, bucket: usize) {
    let sum = sum.bucket_mut(bucket).par_iter_mut().with_min_len(1 << 14);
    sum.zip(other.bucket(bucket)).for_each(|(s, &v)| *s += v);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::op::{Activation, Linear};

    #[test]
    fn lanes_are_summed_as_a_balanced_tree() {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 1);
        graph.add("l", Linear::new(1, 1, Activation::Identity), &[x]).unwrap();
        let lanes = [1.0e8f32, 1.0, -1.0e8, 3.0, 0.1, 0.2, 0.3];
        let mut sum = LaneSum::new(Gradients::zeros(&graph).unwrap(), lanes.len()).unwrap();
        for _ in 0..2 {
            for lane in &lanes[..6] {
                sum.next().bucket_mut(0).fill(*lane);
                sum.taken();
            }
            let (mut earlier, last) = sum.last();
            last.bucket_mut(0).fill(lanes[6]);
            let bucket = earlier.take(last, 0);
            let [a, b, c, d, e, f, g] = lanes;
            assert_eq!(bucket[0], ((a + b) + (c + d)) + ((e + f) + g));
            sum.sum().put(0, bucket);
        }
    }
}
