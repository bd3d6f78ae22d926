use super::divergence::Diverged;
use super::{State, StepTimes};
use crate::Result;
use crate::graph::{Parameters, Product};
use crate::op::Step;
use std::time::Duration;

/// Takes the steps of a training on one kind of device. It holds the
/// parameters and what the optimiser remembers, and sums gradients over the
/// ranks of its group; ranks call it alike.
pub trait Engine {
    /// Goes on from a state of this training.
    fn restore(&mut self, state: &State) -> Result<()>;
    /// Puts every lane in the order of this epoch, from zero.
    fn begin_epoch(&mut self, epoch: usize) -> Result<()>;
    /// Takes a step, or passes over it where a loss or a gradient is not finite.
    fn step(&mut self, step: EpochStep, asks: Asks) -> Result<Stepped>;
    /// Finishes whatever steps are still under way, and tells what they came to.
    fn settle(&mut self) -> Result<Stepped>;
    /// Where the training is, all steps settled.
    fn snapshot(&mut self) -> Result<Snapshot<'_>>;
    /// What this rank knows, without waiting, of the epoch under way: the sum of the losses of its lanes, and
    /// the training pairs of all lanes in the steps of which that is.
    fn losses_so_far(&self) -> (f64, usize);
    /// Starts the sums of an epoch anew.
    fn clear_sums(&mut self) -> Result<()>;
    /// The scaled predictions of the validation pairs, one list a lane of this rank.
    fn validate(&mut self) -> Result<Vec<Vec<f32>>>;
    /// What is not finite in the gradient of the last step.
    fn diverged(&mut self) -> Result<Vec<Diverged>>;
    /// The products of every dense layer, for the last lane of the last step.
    fn products(&self) -> Vec<Product>;
    /// Distinct drugs and samples in the last lane of the last step, or of what they were rounded up to.
    fn distinct(&self) -> [usize; 2];
    /// Takes a step whose every part is waited for, so that [`Self::spent`] can tell them apart; where
    /// it always can, a step like any other.
    fn profile(&mut self, step: EpochStep) -> Result<()> {
        self.step(step, Asks::default()).map(|_| ())
    }
    /// Time of all steps by what it went to, since the start or [`Self::reset_spent`].
    fn spent(&self) -> Vec<(&'static str, Duration)>;
    /// The same by the parts of a step; on a GPU of steps that were profiled, `None` where there are none.
    fn step_times(&self) -> Option<StepTimes>;
    /// Messages that a rank's gradients are cut into.
    fn buckets(&self) -> usize;
    /// Starts to count time anew.
    fn reset_spent(&mut self);
}

/// Which step an engine takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochStep {
    /// Its number in the epoch, from zero.
    pub at: usize,
    /// Seed, and its number in the training.
    pub step: Step,
    /// Learning rate.
    pub rate: f64,
}

/// What a rank asks of its group at the end of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    /// To stop here.
    pub stop: bool,
    /// To write a checkpoint.
    pub checkpoint: bool,
}

/// What the ranks of a group know after a step, all of them the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stepped {
    /// What any rank has asked for. A device that tells only every few steps tells then what is asked for then.
    pub asks: Asks,
    /// Steps found not finite, and passed over, since this was last told.
    pub skipped: usize,
    /// The number in the training of the last of them.
    pub last_skipped: u64,
}

/// Where a training is, in the host's memory.
pub struct Snapshot<'a> {
    /// The parameters.
    pub parameters: &'a Parameters<f32>,
    /// What the optimiser remembers of each, as [`super::OptimizerKind::memory`] names it.
    pub memory: Vec<&'a [f32]>,
    /// Steps of the optimiser, where they matter to it.
    pub optimizer_steps: i32,
    /// Sum of the losses of the epoch under way, one a lane of this rank.
    pub lane_losses: Vec<f64>,
    /// Training pairs, of all lanes, in the steps of the epoch under way that were not passed over.
    pub counted: usize,
}
