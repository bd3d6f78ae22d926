use crate::metric::Epoch;
use crate::report::history;
use crate::report::tensorboard::EventFile;
use crate::{Error, Result};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Least time between two writings of a history that grows.
const PAUSE: Duration = Duration::from_secs(1);
/// A history is written again after so many times what writing it took, which keeps a slow disk out of the
/// time of short epochs.
const SHARE: u32 = 100;

/// What there is to see of a training while it goes on, in `logs/<SRC>/split_<k>/`: `history.csv`, whole
/// whenever it is looked at, and event files of TensorBoard. No training fails for it.
pub struct TrainingLog {
    /// What is trained, for messages.
    name: String,
    folder: PathBuf,
    events: Option<EventFile>,
    history: Vec<Epoch>,
    /// Training pairs an epoch.
    pairs: usize,
    written: Option<Instant>,
    took: Duration,
    /// The history has epochs that its file has not.
    behind: bool,
    failed: bool,
}

impl TrainingLog {
    /// Of the training `name` in `folder`, which is made when the training begins.
    pub fn new(name: String, folder: PathBuf) -> Self {
        Self {
            name,
            folder,
            events: None,
            history: Vec::new(),
            pairs: 0,
            written: None,
            took: Duration::ZERO,
            behind: false,
            failed: false,
        }
    }

    /// Begins, or goes on behind `history`; later epochs that an earlier job had come to are undone.
    pub fn begin(&mut self, history: &[Epoch], pairs: usize) {
        self.history = history.to_vec();
        self.pairs = pairs;
        let undone = history.last().map_or(0, |last| last.step + 1);
        let folder = &self.folder;
        let made = fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot create the folder", e));
        match made.and_then(|()| EventFile::create(folder, undone)) {
            Ok(events) => self.events = Some(events),
            Err(error) => self.fail(&error),
        }
        self.write();
    }

    /// Takes an epoch.
    pub fn epoch(&mut self, epoch: &Epoch) {
        self.history.push(*epoch);
        self.behind = true;
        let told = self.events.as_mut().map_or(Ok(()), |events| tell(events, epoch, self.pairs));
        if let Err(error) = told {
            self.events = None;
            self.fail(&error);
        }
        let pause = PAUSE.max(SHARE * self.took);
        if self.written.is_none_or(|written| written.elapsed() >= pause) {
            self.write();
        }
    }

    /// Brings the file up to the last epoch: the training has stopped.
    pub fn settle(&mut self) {
        if self.behind {
            self.write();
        }
    }

    /// Takes the history of a training that has ended, whether in this job or an earlier one.
    pub fn finish(&mut self, history: &[Epoch]) {
        self.behind |= self.written.is_none();
        self.history = history.to_vec();
        self.settle();
    }

    fn write(&mut self) {
        let started = Instant::now();
        let written = history::write(&self.folder.join("history.csv"), &self.history);
        (self.written, self.took) = (Some(Instant::now()), started.elapsed());
        match written {
            Ok(()) => self.behind = false,
            Err(error) => self.fail(&error),
        }
    }

    /// Says so, once.
    fn fail(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.failed, true) {
            log::warn!("{}: its log is not kept: {error}; the training goes on", self.name);
        }
    }
}

fn tell(events: &mut EventFile, epoch: &Epoch, pairs: usize) -> Result<()> {
    let Epoch { step, learning_rate, train_loss, val_loss, val_r2, seconds, .. } = *epoch;
    let scalars = [
        ("train_loss", train_loss),
        ("val_loss", val_loss),
        ("val_r2", val_r2),
        ("learning_rate", learning_rate),
        ("samples_per_second", pairs as f64 / seconds),
    ];
    events.scalars(step, &scalars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tensorboard::PREFIX;

    fn epoch(number: u32) -> Epoch {
        let step = 10 * u64::from(number);
        let (train_loss, val_loss) = (0.5, 0.25);
        Epoch { epoch: number, step, learning_rate: 1e-3, train_loss, val_loss, val_r2: 0.5, seconds: 2.0 }
    }

    #[test]
    fn the_history_is_whole_when_it_settles_and_goes_on_from_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs/Red/split_0");
        let log = || TrainingLog::new("Red split 0".into(), folder.clone());
        let epochs = || history::read(&folder.join("history.csv")).unwrap().len();
        let mut first = log();
        first.begin(&[], 100);
        assert_eq!(epochs(), 0);
        // As on a disk that is slow.
        first.took = Duration::from_secs(60);
        (1..=3).for_each(|number| first.epoch(&epoch(number)));
        assert_eq!(epochs(), 0, "it is written again too soon");
        first.settle();
        assert_eq!(epochs(), 3);
        let mut next = log();
        next.begin(&[epoch(1), epoch(2)], 100);
        assert_eq!(epochs(), 2);
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_str().unwrap().starts_with(PREFIX)).count(), 2);
        // An earlier job had finished it, and was killed before it could say so.
        log().finish(&[epoch(1), epoch(2), epoch(3)]);
        assert_eq!(epochs(), 3);
    }

    #[test]
    fn what_cannot_be_written_costs_the_log_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("logs"), "a file in the place of the folder").unwrap();
        let mut log = TrainingLog::new("Red split 0".into(), dir.path().join("logs/Red/split_0"));
        log.begin(&[], 100);
        log.epoch(&epoch(1));
        log.settle();
        assert!(log.failed && log.events.is_none() && log.history.len() == 1);
    }
}
