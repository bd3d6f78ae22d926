use super::corpus::SplitParts;
use super::predictor::Predictor;
use super::strict::Seen;
use super::{Corpus, Task, TrainingSet};
use crate::Result;
use crate::baseline::{self, Baseline};
use crate::batch::Lanes;
use crate::comm::{Communicator, gather};
use crate::metric::Epoch;
use crate::train::{Checkpoints, Observer, Progress, State, TrainSpec, fit};
use std::cell::OnceCell;
use std::fmt::Display;

/// A finished task: the predictor, and what it was trained on.
pub struct Trained<'a> {
    /// The deck and its store.
    pub corpus: &'a Corpus,
    /// Which task.
    pub task: Task,
    /// The best epoch's network.
    pub predictor: Predictor,
    /// Lanes that the training rows were cut into.
    pub lanes: usize,
    /// The usable rows of the split.
    pub rows: SplitParts,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// The best epoch, from one.
    pub best_epoch: usize,
    /// On rank 0 of the group: predictions of the validation rows, in order.
    pub validation: Vec<f32>,
    /// Whether an earlier job had finished this training, and scored with it.
    pub was_finished: bool,
    view: OnceCell<TrainingView>,
}

/// What the training rows show without a network.
pub struct TrainingView {
    /// Which drugs, samples and combinations.
    pub seen: Seen,
    /// Fitted on them.
    pub baselines: [Box<dyn Baseline>; baseline::NAMES.len()],
}

impl Trained<'_> {
    /// What the training rows show; they are streamed when first asked for.
    pub fn view(&self) -> Result<&TrainingView> {
        if let Some(known) = self.view.get() {
            return Ok(known);
        }
        let (mut seen, mut fits) = (Seen::default(), baseline::fits());
        for block in self.corpus.blocks(&self.task.source, &self.rows.train)? {
            let block = block?;
            seen.add(&block);
            fits.iter_mut().for_each(|fit| fit.add(&block));
        }
        let view = TrainingView { seen: seen.finish(), baselines: fits.map(|fit| fit.finish()) };
        Ok(self.view.get_or_init(|| view))
    }
}

/// Trains `task` on the ranks of `group`: every rank reads its own lanes,
/// scaling is fitted on the training rows of all of them, and all ranks end
/// with the same predictor. Goes on from a checkpoint, in its number of lanes
/// if they can be dealt to this group. `None` where it was told to stop.
pub fn train<'a>(
    corpus: &'a Corpus,
    task: &Task,
    group: &dyn Communicator,
    checkpoints: &mut Checkpoints,
    observer: &mut dyn Observer,
) -> Result<Option<Trained<'a>>> {
    let deck = &corpus.deck;
    let rows = corpus.split(&task.source, task.split)?;
    let network = corpus.network()?;
    let mut state = checkpoints.load(group, &network.graph, deck.train.optimizer)?;
    let begun = state.as_ref().map(|state| state.progress.lanes);
    let lanes = lanes(task, &deck.train, rows.train.len(), group, state.as_mut())?;
    let mut set = TrainingSet::read(corpus, task, &rows, network, lanes, group)?;
    let seed = set.seed;
    let fitted = {
        let problem = set.problem(&corpus.device);
        fit(&problem, &deck.train, seed, group, state, checkpoints, observer)?
    };
    let Some(fitted) = fitted else { return Ok(None) };

    set.train = Vec::new();
    let TrainingSet { network, scaling, features, validation, .. } = set;
    let mut predictor =
        Predictor::new(&network, fitted.parameters, scaling, features, &corpus.device, deck.train.precision)?;
    let mut predicted = Vec::new();
    for lane in &validation {
        predicted.extend(predictor.predict_scaled(lane)?);
    }
    Ok(Some(Trained {
        corpus,
        task: task.clone(),
        predictor,
        lanes: begun.filter(|_| fitted.was_finished).unwrap_or(lanes.count()),
        rows,
        history: fitted.history,
        best_epoch: fitted.best_epoch,
        validation: gather(group, 0, predicted),
        was_finished: fitted.was_finished,
        view: OnceCell::new(),
    }))
}

/// The lanes of a training: those that it was begun with, or the deck's. Where
/// the former cannot be dealt to this group, the epoch under way starts again
/// in other lanes.
pub fn lanes(
    task: &dyn Display,
    spec: &TrainSpec,
    training: usize,
    group: &dyn Communicator,
    state: Option<&mut State>,
) -> Result<Lanes> {
    let anew = || Lanes::new(training, spec.lanes.unwrap_or(group.size()), spec.batch_of(training));
    let Some(state) = state else { return anew() };
    let begun = Lanes::new(training, state.progress.lanes, spec.batch_of(training));
    let begun = begun.and_then(|lanes| lanes.of_rank(group.rank(), group.size()).map(|_| lanes));
    let lanes = if let Ok(lanes) = begun { lanes } else { anew()? };
    let speaks = group.rank() == 0;
    let Progress { epoch, at, .. } = state.progress;
    if lanes.count() == state.progress.lanes {
        if speaks {
            log::info!("{task}: going on from the checkpoint after {epoch} epochs and {at} steps");
        }
        return Ok(lanes);
    }
    // A training that is over takes no step in other lanes.
    if speaks && !state.is_over(spec) {
        log::warn!(
            "{task}: begun in {} lanes, which {} ranks cannot share: going on in {} from the start of epoch {}, with another result than without the stop; fix train.lanes",
            state.progress.lanes,
            group.size(),
            lanes.count(),
            epoch + 1
        );
    }
    state.restart_epoch(lanes.count());
    Ok(lanes)
}
