use super::bar::Bar;
use super::farm::Farm;
use super::heartbeat;
use super::journal::{Journal, TaskRecord};
use super::narrator::Narrator;
use super::scoring::score;
use super::training::{Trained, train};
use super::training_log::TrainingLog;
use super::{Corpus, model_folder};
use crate::Result;
use crate::comm::{Communicator, any, share};
use crate::report::phrase::{count, duration};
use crate::status;
use std::time::Instant;

/// One training of a study: a source and a split of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Dataset trained on.
    pub source: String,
    /// Number of the split.
    pub split: u32,
    /// Pairs of the source, by which tasks are ordered: the longest first.
    pub pairs: usize,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} split {}", self.source, self.split)
    }
}

/// Trains and scores one task, which the farm has dealt by its number. Its record, or `None` where it was told
/// to stop before its end.
pub fn run_task(
    corpus: &Corpus,
    journal: &Journal,
    (number, task): (usize, &Task),
    group: &dyn Communicator,
    farm: &mut Farm<'_>,
    bar: &Bar,
) -> Result<Option<TaskRecord>> {
    let started = Instant::now();
    status::begin_task(&task.to_string());
    let speaks = group.rank() == 0;
    let targets = &corpus.deck.data.targets;
    let mut checkpoints = journal.checkpoints(corpus, task)?;
    let mut log = speaks.then(|| TrainingLog::new(task.to_string(), journal.log(task)));
    let mut narrator = Narrator::new(task, corpus.deck.train.epochs, farm, bar, log.as_mut());
    let Some(mut trained) = train(corpus, task, group, &mut checkpoints, &mut narrator)? else {
        log.iter_mut().for_each(TrainingLog::settle);
        return Ok(None);
    };
    log.iter_mut().for_each(|log| log.finish(&trained.history));
    let mut to_score = Vec::new();
    if speaks {
        to_score = settle(journal, &trained, targets)?;
    }
    share(group, &mut to_score);
    status::step(0);
    // Of all jobs that it took: epochs keep their own time in the history.
    let epochs: f64 = trained.history.iter().map(|epoch| epoch.seconds).sum();
    let training = started.elapsed().as_secs_f64().max(epochs);
    let started = Instant::now();
    for &number in &to_score {
        farm.serve();
        if any(group, farm.stop_wished()) {
            return Ok(None);
        }
        let target = &targets[number];
        let mut during = |done, all| {
            // Other groups wait for their next task, and for the word to stop.
            farm.serve();
            let now = Instant::now();
            if farm.beat_is_due(now) {
                farm.beat(&format!("{task}: {}", heartbeat::scoring(target, done, all)), now);
            }
        };
        let folders = journal.scores_of_all(task, target);
        score(&folders, &mut trained, target, group, number % group.size(), &mut during)?;
    }
    group.barrier();
    let scoring = started.elapsed().as_secs_f64();
    let record = TaskRecord { task: task.to_string(), training, scoring };
    if speaks {
        journal.complete(task, &record)?;
        checkpoints.remove()?;
        let history = &trained.history;
        let best = history.get(trained.best_epoch.wrapping_sub(1)).map_or(f64::NAN, |best| best.val_r2);
        let what = format!(
            "{task}: done in {}, best of {} is {}, val r2 {best:.3}; {} scored in {}",
            duration(training + scoring),
            count(history.len(), "epoch"),
            trained.best_epoch,
            count(to_score.len(), "target"),
            duration(scoring)
        );
        // Of all jobs: by it goes what is said of tasks that are to begin.
        farm.finished(number, training + scoring, &what);
    }
    Ok(Some(record))
}

/// Saves a trained model. Returns the numbers of the targets to score: all,
/// but for those that an earlier job has scored with this very training. What
/// an earlier one has left of another is removed.
fn settle(journal: &Journal, trained: &Trained<'_>, targets: &[String]) -> Result<Vec<usize>> {
    let task = &trained.task;
    let model = journal.model(task);
    if !(trained.was_finished && model.exists()) {
        journal.forget(task, targets)?;
        model_folder::save(&model, trained)?;
        return Ok((0..targets.len()).collect());
    }
    let mut to_score = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        if !journal.is_scored(task, target)? {
            journal.forget_scores(task, target)?;
            to_score.push(number);
        }
    }
    Ok(to_score)
}
