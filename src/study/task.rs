use super::farm::Farm;
use super::journal::{Journal, TaskRecord};
use super::narrator::{Narrator, Progress};
use super::scoring::score;
use super::training::{Trained, train};
use super::{Corpus, model_folder};
use crate::Result;
use crate::comm::{Communicator, any, share};
use crate::report::phrase::count;
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

/// Trains and scores one task. Its record, or `None` where it was told to stop before its end.
pub fn run_task(
    corpus: &Corpus,
    journal: &Journal,
    task: &Task,
    group: &dyn Communicator,
    farm: &mut Farm<'_>,
    progress: &Progress,
) -> Result<Option<TaskRecord>> {
    let started = Instant::now();
    status::begin_task(&task.to_string());
    let speaks = group.rank() == 0;
    let targets = &corpus.deck.data.targets;
    let mut checkpoints = journal.checkpoints(corpus, task)?;
    let mut narrator = Narrator { task, farm, progress, speaks, epochs: corpus.deck.train.epochs };
    let Some(mut trained) = train(corpus, task, group, &mut checkpoints, &mut narrator)? else {
        return Ok(None);
    };
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
        let folders = journal.scores_of_all(task, &targets[number]);
        score(&folders, &mut trained, &targets[number], group, number % group.size())?;
    }
    group.barrier();
    let scoring = started.elapsed().as_secs_f64();
    let record = TaskRecord { task: task.to_string(), training, scoring };
    if speaks {
        journal.complete(task, &record)?;
        checkpoints.remove()?;
        progress.log(|| {
            log::info!(
                "{task}: trained in {training:.1} s, best epoch {} of {}; {} scored in {scoring:.1} s",
                trained.best_epoch,
                trained.history.len(),
                count(to_score.len(), "target")
            );
        });
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
