use serde::Serialize;

/// What a rank's time goes to. Those from [`Phase::Assemble`] to [`Phase::Rest`] add up to [`Phase::Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the pairs of the rank's lanes, fitting the scaling; once a training.
    Read,
    /// Choosing a step's pairs, their distinct entities and features.
    Assemble,
    /// From the inputs to the losses.
    Forward,
    /// Back to the gradients.
    Backward,
    /// Sums of gradients, as far as they hold the step up: lanes of the rank added, buckets handed
    /// over, and the shortest time that any rank was kept, from the end of its backward until the
    /// sums over ranks were there. The last rank to come waits for the sum alone.
    Reduce,
    /// What this rank was kept beyond that, as others were behind.
    Wait,
    /// Changing the parameters.
    Update,
    /// What lies between.
    Rest,
    /// A whole step.
    Step,
    /// What the thread that sums over ranks was busy for, beside backward and after it; no part of the step's sum.
    Sums,
    /// Scoring the validation pairs and summing the epoch up over ranks; once an epoch.
    Score,
}

impl Phase {
    /// Those that a step is made of, in its order.
    pub const OF_STEP: [Phase; 7] = [
        Phase::Assemble,
        Phase::Forward,
        Phase::Backward,
        Phase::Reduce,
        Phase::Wait,
        Phase::Update,
        Phase::Rest,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Read => "read",
            Phase::Assemble => "assemble",
            Phase::Forward => "forward",
            Phase::Backward => "backward",
            Phase::Reduce => "reduce",
            Phase::Wait => "wait",
            Phase::Update => "update",
            Phase::Rest => "rest",
            Phase::Step => "step",
            Phase::Sums => "sums",
            Phase::Score => "score",
        }
    }

    /// How often it is done: once a training, a step or an epoch.
    pub fn per(self) -> &'static str {
        match self {
            Phase::Read => "training",
            Phase::Score => "epoch",
            _ => "step",
        }
    }
}
