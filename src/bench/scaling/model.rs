use super::{Mode, Network, Work};
use serde::Serialize;

/// Efficiencies predicted from what a step computes and what its sums over ranks take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// What a step computes, measured.
    pub work: Work,
    /// What messages take.
    pub network: Network,
    /// For the measured step first, then for those that were asked for.
    pub predictions: Vec<Prediction>,
}

/// What is predicted for one time of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Milliseconds of a step on one rank.
    pub step_ms: f64,
    /// Whether it is the measured one.
    pub measured: bool,
    /// By number of ranks: powers of two from one.
    pub bands: Vec<Band>,
}

/// Between no and full overlap of sums with backward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    /// Ranks.
    pub ranks: usize,
    /// Efficiency where nothing of the sums goes on beside backward.
    pub low: f64,
    /// Efficiency where they hold a step up only as far as they take longer than backward.
    pub high: f64,
}

/// Most ranks that are predicted for.
pub const MOST: usize = 4096;

impl Model {
    /// Predicts for the step that was measured, and for steps of `step_ms` on one rank, whose parts are in
    /// the same proportion.
    pub fn new(work: Work, network: Network, step_ms: &[f64]) -> Self {
        let of = |step_ms: f64, measured| {
            let work = work.taking(step_ms * 1e-3);
            let counts = std::iter::successors(Some(1), |ranks| Some(2 * ranks));
            let counts = counts.take_while(|&ranks| ranks <= MOST && work.can_be_shared_by(ranks));
            Prediction {
                step_ms,
                measured,
                bands: counts.map(|ranks| band(&work, &network, ranks)).collect(),
            }
        };
        let own = of(work.on_one() * 1e3, true);
        let others = step_ms.iter().map(|&ms| of(ms, false));
        let predictions = std::iter::once(own).chain(others).collect();
        Self { work, network, predictions }
    }

    /// Seconds of a step's sums over `ranks` ranks, a power of two.
    pub fn sums(&self, ranks: usize) -> f64 {
        self.network.tree_sum(self.work.gradient_bytes as f64, self.work.buckets, ranks)
    }
}

fn band(work: &Work, network: &Network, ranks: usize) -> Band {
    let (alone, computing) = (work.on_one(), work.on(ranks));
    let sums = network.tree_sum(work.gradient_bytes as f64, work.buckets, ranks);
    let efficiency = |held_up: f64| {
        let step = computing + held_up;
        match work.mode {
            Mode::Strong => alone / (ranks as f64 * step),
            Mode::Weak => alone / step,
        }
    };
    let hidden = work.backward_on(ranks);
    Band { ranks, low: efficiency(sums), high: efficiency((sums - hidden).max(0.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scaling::{network, work};

    #[test]
    fn one_rank_is_whole_and_more_are_less() {
        for mode in [Mode::Strong, Mode::Weak] {
            let model = Model::new(work::tests::known(mode), network::tests::known(4), &[100.0]);
            assert_eq!(model.predictions.len(), 2);
            for prediction in &model.predictions {
                let bands = &prediction.bands;
                assert_eq!((bands[0].low, bands[0].high, bands[0].ranks), (1.0, 1.0, 1));
                assert_eq!(bands.last().unwrap().ranks, 4096);
                for pair in bands.windows(2) {
                    assert!(pair[1].low < pair[0].low && pair[1].high <= pair[0].high, "{pair:?}");
                    assert!(pair[1].low <= pair[1].high && pair[1].low > 0.0);
                }
            }
            // The longer a step, the less its sums are of it.
            let [own, long] = [0, 1].map(|i| model.predictions[i].bands[6]);
            assert!(long.low > own.low && model.predictions[1].step_ms == 100.0);
        }
    }

    #[test]
    fn without_messages_weak_scaling_is_perfect_and_strong_is_amdahls() {
        let mut free = network::tests::known(4);
        for link in [&mut free.within, &mut free.between] {
            (link.latency, link.per_byte) = (0.0, 0.0);
        }
        let of = |mode| Model::new(work::tests::known(mode), free, &[]).predictions[0].bands[5];
        let weak = of(Mode::Weak);
        assert_eq!((weak.low, weak.high), (1.0, 1.0));
        let strong = of(Mode::Strong);
        let amdahl = 1.0 / (0.1 * 32.0 + 0.9);
        assert!((strong.low - amdahl).abs() < 1e-12 && strong.low == strong.high, "{strong:?}");
    }

    #[test]
    fn a_step_is_not_shared_by_more_ranks_than_it_has_pairs() {
        let few = Work { most_ranks: 100, ..work::tests::known(Mode::Strong) };
        let model = Model::new(few, network::tests::known(4), &[]);
        assert_eq!(model.predictions[0].bands.last().unwrap().ranks, 64);
        assert!(model.sums(8) > model.sums(4));
    }
}
