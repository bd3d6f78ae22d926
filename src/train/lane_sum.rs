use crate::graph::Parameters;
use rayon::prelude::*;

/// Sums the gradients of a rank's lanes in a binary tree: neighbours first,
/// then neighbours of neighbours, so that the sum over a power of two of lanes
/// is the same subtree whichever rank computes it. Holds one buffer a level.
#[derive(Debug)]
pub struct LaneSum {
    levels: Vec<Parameters<f32>>,
    taken: usize,
    depth: usize,
}

impl LaneSum {
    /// For this many lanes.
    pub fn new(parameters: &Parameters<f32>, lanes: usize) -> Self {
        let levels = lanes.max(1).next_power_of_two().ilog2() as usize + 1;
        Self { levels: (0..levels).map(|_| parameters.zeros_like()).collect(), taken: 0, depth: 0 }
    }

    /// Where the next lane's gradient goes; follow with [`Self::taken`].
    pub fn next(&mut self) -> &mut Parameters<f32> {
        &mut self.levels[self.depth]
    }

    /// Adds the gradient just computed to those before it.
    pub fn taken(&mut self) {
        self.taken += 1;
        self.depth += 1;
        let mut lanes = self.taken;
        while lanes.is_multiple_of(2) {
            self.merge();
            lanes /= 2;
        }
    }

    fn merge(&mut self) {
        let (low, high) = self.levels.split_at_mut(self.depth - 1);
        let sum = low[self.depth - 2].values_mut();
        sum.par_iter_mut().with_min_len(1 << 14).zip(high[0].values()).for_each(|(s, &v)| *s += v);
        self.depth -= 1;
    }

    /// The sum of all lanes taken, and starts anew.
    pub fn finish(&mut self) -> &mut Parameters<f32> {
        while self.depth > 1 {
            self.merge();
        }
        (self.taken, self.depth) = (0, 0);
        &mut self.levels[0]
    }
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
        let parameters = Parameters::<f32>::zeros(&graph).unwrap();
        let lanes = [1.0e8f32, 1.0, -1.0e8, 3.0, 0.1, 0.2, 0.3];
        let mut sum = LaneSum::new(&parameters, lanes.len());
        for _ in 0..2 {
            for lane in lanes {
                sum.next().values_mut().fill(lane);
                sum.taken();
            }
            let [a, b, c, d, e, f, g] = lanes;
            assert_eq!(sum.finish().values()[0], ((a + b) + (c + d)) + ((e + f) + g));
        }
    }
}
