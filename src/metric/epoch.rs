/// How a training stood after one epoch: a row of `history.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Steps so far, those that were skipped included.
    pub step: u64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean loss over the epoch's training batches, dropout included, in the
    /// endpoint's units squared.
    pub train_loss: f64,
    /// Mean squared error over the validation rows, in the endpoint's units
    /// squared; NaN where there are none.
    pub val_loss: f64,
    /// R2 over the validation rows, NaN where it is not defined.
    pub val_r2: f64,
    /// Wall time of the epoch.
    pub seconds: f64,
}
