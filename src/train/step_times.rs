use std::time::Duration;

/// What the time of steps went to, as this rank's training thread saw it. The parts but
/// [`Self::sums`] follow one another, so that they add up to the steps but for what lies between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Choosing pairs, their distinct entities and features.
    pub assembly: Duration,
    /// The network from its inputs to the losses.
    pub forward: Duration,
    /// Its way back to the gradients, without what is done to gradients on the way.
    pub backward: Duration,
    /// Adding up the gradients of this rank's lanes, and handing them over to be summed over ranks.
    pub lanes: Duration,
    /// From the end of backward until the sums over ranks are back: what is left of the sums by
    /// then, and the wait for ranks that are behind. Where no thread of its own sums, all of them.
    pub wait: Duration,
    /// Changing the parameters.
    pub update: Duration,
    /// What the thread that sums gradients over ranks was busy for, from the moment it took a bucket
    /// to the moment its sum was there, waits for the same bucket of other ranks included. It runs
    /// beside backward and [`Self::wait`].
    pub sums: Duration,
}
