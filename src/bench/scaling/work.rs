use super::{Measured, Mode, Phase};
use crate::{Error, Result};
use serde::Serialize;

/// What a step has to compute, and to sum, as far as a measurement tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// What grows with the ranks.
    pub mode: Mode,
    /// Seconds that every rank takes, however many there are.
    pub serial: f64,
    /// Seconds that the ranks share: all of it on one.
    pub parallel: f64,
    /// Of the first, seconds that go to the update of the parameters, which comes after the sums.
    pub update: f64,
    /// Backward, beside which sums may go on, as a part of both without the update.
    pub backward: f64,
    /// Bytes of a gradient.
    pub gradient_bytes: usize,
    /// Messages that it is cut into.
    pub buckets: usize,
    /// Most ranks that can share a step: one a pair, and one a lane where the deck fixes them.
    pub most_ranks: usize,
    /// Numbers of ranks that it was fitted on.
    pub ranks: Vec<usize>,
}

impl Work {
    /// Of numbers of ranks with processors of their own, one first. Strong: `serial + parallel / r` by least
    /// squares on relative errors; of one rank alone, its update of the parameters is what every rank
    /// does. Weak: every rank does what one does.
    pub fn of(measured: &[Measured], mode: Mode) -> Result<Self> {
        let one = measured.iter().find(|of| of.ranks == 1);
        let one = one.ok_or_else(|| Error::Ranks("one rank was not measured".into()))?;
        let fair = || measured.iter().filter(|of| of.ranks == 1 || !of.oversubscribed);
        let (serial, parallel) = match mode {
            Mode::Weak => (one.work, 0.0),
            Mode::Strong if fair().count() == 1 => {
                let serial = one.phase(Phase::Update).unwrap_or(0.0).min(one.work);
                (serial, one.work - serial)
            }
            Mode::Strong => {
                // Relative to the work of one rank, which the model then has as it was measured.
                let points: Vec<(f64, f64)> =
                    fair().map(|of| (of.ranks as f64, of.work / one.work)).collect();
                let (serial, parallel) = amdahl(&points);
                let whole = serial + parallel;
                (one.work * serial / whole, one.work * parallel / whole)
            }
        };
        // Where backward is not told apart, twice forward, as its products are twice as many.
        let computing = [Phase::Assemble, Phase::Forward, Phase::Backward];
        let computing: f64 = computing.iter().filter_map(|&phase| one.phase(phase)).sum();
        let backward = one.phase(Phase::Backward).map_or(2.0 / 3.0, |seconds| seconds / computing);
        Ok(Self {
            mode,
            serial,
            parallel,
            update: one.phase(Phase::Update).unwrap_or(0.0).min(one.work),
            backward: backward.clamp(0.0, 1.0),
            gradient_bytes: one.gradient_bytes,
            buckets: one.buckets,
            most_ranks: one.most_ranks,
            ranks: match mode {
                Mode::Weak => vec![1],
                Mode::Strong => fair().map(|of| of.ranks).collect(),
            },
        })
    }

    /// The same with another time on one rank, in seconds.
    pub fn taking(&self, seconds: f64) -> Self {
        let scale = seconds / self.on_one();
        let [serial, parallel, update] = [self.serial, self.parallel, self.update].map(|part| part * scale);
        Self { serial, parallel, update, ..self.clone() }
    }

    /// Seconds of a step on one rank.
    pub fn on_one(&self) -> f64 {
        self.serial + self.parallel
    }

    /// Seconds of a step on `ranks` ranks in which sums may go on beside.
    pub fn backward_on(&self, ranks: usize) -> f64 {
        self.backward * (self.on(ranks) - self.update).max(0.0)
    }

    /// Seconds that each of `ranks` ranks computes in a step.
    pub fn on(&self, ranks: usize) -> f64 {
        self.serial + self.parallel / ranks as f64
    }

    /// Whether a step has something for each of so many ranks.
    pub fn can_be_shared_by(&self, ranks: usize) -> bool {
        self.mode == Mode::Weak || ranks <= self.most_ranks
    }
}

/// `serial` and `parallel`, neither below zero, of times `serial + parallel / ranks`, by least squares on
/// relative errors (Amdahl 1967).
fn amdahl(points: &[(f64, f64)]) -> (f64, f64) {
    let rows = || points.iter().map(|&(ranks, seconds)| [1.0 / seconds, 1.0 / (ranks * seconds)]);
    let sum = |of: &dyn Fn([f64; 2]) -> f64| rows().map(of).sum::<f64>();
    let (aa, ab, bb) = (sum(&|[a, _]| a * a), sum(&|[a, b]| a * b), sum(&|[_, b]| b * b));
    let (a, b) = (sum(&|[a, _]| a), sum(&|[_, b]| b));
    let determinant = aa * bb - ab * ab;
    let (serial, parallel) = ((bb * a - ab * b) / determinant, (aa * b - ab * a) / determinant);
    match (serial >= 0.0, parallel >= 0.0) {
        (true, true) => (serial, parallel),
        (false, _) => (0.0, b / bb),
        _ => (a / aa, 0.0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::timing::Quartiles;

    /// A step of 10 ms; strong, every rank does a tenth of it.
    pub fn known(mode: Mode) -> Work {
        let serial = if mode == Mode::Strong { 1e-3 } else { 1e-2 };
        Work {
            mode,
            serial,
            parallel: 1e-2 - serial,
            update: 5e-4,
            backward: 0.6,
            gradient_bytes: 40 << 20,
            buckets: 8,
            most_ranks: 4096,
            ranks: vec![1],
        }
    }

    fn measured(ranks: usize, work: f64, oversubscribed: bool) -> Measured {
        let step = Quartiles { low: work, median: work, high: work };
        Measured {
            ranks,
            lanes: ranks,
            batch: 1024,
            most_ranks: 1024,
            pairs: 1024.0,
            oversubscribed,
            step,
            efficiency: step,
            work,
            gradient_bytes: 4,
            buckets: 1,
            phases: vec![],
        }
    }

    #[test]
    fn what_ranks_share_is_found_and_oversubscribed_ranks_say_nothing() {
        let all: Vec<Measured> = [1, 2, 4, 8].map(|r| measured(r, 0.1 + 0.9 / r as f64, false)).into();
        let work = Work::of(&all, Mode::Strong).unwrap();
        assert!((work.serial - 0.1).abs() < 1e-9 && (work.on(3) - 0.4).abs() < 1e-9, "{work:?}");
        assert_eq!((work.ranks.len(), work.backward), (4, 2.0 / 3.0));
        let crowded = [measured(1, 1.0, false), measured(2, 0.5, false), measured(4, 7.0, true)];
        let work = Work::of(&crowded, Mode::Strong).unwrap();
        assert!(work.serial.abs() < 1e-9 && (work.on_one() - 1.0).abs() < 1e-9, "{work:?}");
        assert_eq!(work.ranks, [1, 2]);
        assert_eq!(Work::of(&crowded, Mode::Weak).unwrap().on(64), 1.0);
        assert!(Work::of(&crowded[1..], Mode::Strong).is_err());
    }

    #[test]
    fn neither_part_is_below_zero() {
        let (serial, parallel) = amdahl(&[(1.0, 1.0), (2.0, 0.4)]);
        assert!(serial == 0.0 && parallel > 0.8, "{serial} {parallel}");
        let (serial, parallel) = amdahl(&[(1.0, 1.0), (2.0, 1.2)]);
        assert!(parallel == 0.0 && serial > 1.0, "{serial} {parallel}");
    }
}
