/// Remembers the best validation loss and when to give up on a better one.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStop {
    patience: usize,
    best: f64,
    best_epoch: usize,
    epoch: usize,
}

impl EarlyStop {
    /// Gives up after `patience` epochs without a better loss.
    pub fn new(patience: usize) -> Self {
        Self { patience, best: f64::INFINITY, best_epoch: 0, epoch: 0 }
    }

    /// Takes an epoch's loss; whether it is the best so far.
    pub fn improved(&mut self, loss: f64) -> bool {
        self.epoch += 1;
        let better = loss < self.best;
        if better {
            (self.best, self.best_epoch) = (loss, self.epoch);
        }
        better
    }

    /// Whether to stop now.
    pub fn exhausted(&self) -> bool {
        self.epoch - self.best_epoch >= self.patience
    }

    /// The best epoch, from one.
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_when_patience_runs_out() {
        let mut stop = EarlyStop::new(2);
        let taken: Vec<(bool, bool)> =
            [3.0, 2.0, 2.5, 1.0, 1.0, f64::NAN].map(|loss| (stop.improved(loss), stop.exhausted())).into();
        let improved: Vec<bool> = taken.iter().map(|t| t.0).collect();
        assert_eq!(improved, [true, true, false, true, false, false]);
        assert_eq!(taken.iter().position(|t| t.1), Some(5));
        assert_eq!(stop.best_epoch(), 4);
    }
}
