use super::corpus::SplitParts;
use super::predictor::{Predictor, examples};
use super::strict::Seen;
use super::{Corpus, Task};
use crate::Result;
use crate::baseline::{self, Baseline};
use crate::batch::{Examples, Lanes, deal, part};
use crate::comm::{Communicator, gather};
use crate::feature::{Features, Scaling, ValueScale};
use crate::metric::Epoch;
use crate::split::RowSet;
use crate::store::Pairs;
use crate::train::{Checkpoints, Observer, Problem, Progress, State, fit};
use std::cell::OnceCell;
use std::ops::Range;

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
    let network = deck.model.build(corpus.widths(), deck.train.loss)?;
    let mut state = checkpoints.load(group, &network.graph, deck.train.optimizer)?;
    let begun = state.as_ref().map(|state| state.progress.lanes);
    let lanes = lanes(corpus, task, rows.train.len(), group, state.as_mut())?;
    let own = lanes.of_rank(group.rank(), group.size())?;
    let train_rows = lane_rows(corpus, task, &rows.train, lanes, network.entity_costs(), own.clone())?;
    let val_part = |lane| rows.val[part(rows.val.len(), lanes.count(), lane)].to_vec();
    let val_rows: Vec<Vec<u32>> = own.clone().map(val_part).collect();
    let read = |lane: &Vec<u32>| corpus.pairs(&task.source, lane);
    let train: Vec<Pairs> = train_rows.iter().map(read).collect::<Result<_>>()?;
    let validation: Vec<Pairs> = val_rows.iter().map(read).collect::<Result<_>>()?;

    let distinct = |pairs: &[Pairs]| {
        let of = |features: &Features, entities: fn(&Pairs) -> &[u32]| {
            distinct(group, features.entities(), pairs.iter().flat_map(entities).copied())
        };
        [of(&corpus.drugs, |p| &p.drug), of(&corpus.samples, |p| &p.sample)]
    };
    let trained_on = distinct(&train);
    let validated = distinct(&validation);
    let scale = |of: fn(&Pairs) -> &[f32]| scale(group, train.iter().map(of).collect());
    let dose = corpus.dose.then(|| scale(|p| &p.dose));
    let endpoint = scale(|p| &p.value);
    let tables = [corpus.drugs.as_ref(), corpus.samples.as_ref()];
    let entities = [trained_on[0].as_slice(), &trained_on[1]];
    let scaling = Scaling::fit(tables, entities, dose, endpoint, &deck.data.endpoint);
    let features =
        [&corpus.drugs, &corpus.samples].map(|table| scaling.scaled(table.clone(), deck.data.clip));

    let scaled = |pairs: Vec<Pairs>, rows: Vec<Vec<u32>>| -> Vec<Examples> {
        pairs.into_iter().zip(rows).map(|(pairs, rows)| examples(pairs, rows, &scaling)).collect()
    };
    let (train, validation) = (scaled(train, train_rows), scaled(validation, val_rows));
    let problem = Problem {
        name: task.to_string(),
        network: &network,
        features: &features,
        lanes,
        own,
        train: &train,
        validation: &validation,
        validation_entities: [&validated[0], &validated[1]],
        deviation: f64::from(scaling.endpoint.deviation),
        device: &corpus.device,
    };
    let seed = deck.train.seed.wrapping_add(u64::from(task.split));
    let Some(fitted) = fit(&problem, &deck.train, seed, group, state, checkpoints, observer)? else {
        return Ok(None);
    };

    drop(train);
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
fn lanes(
    corpus: &Corpus,
    task: &Task,
    training: usize,
    group: &dyn Communicator,
    state: Option<&mut State>,
) -> Result<Lanes> {
    let anew = || corpus.lanes(training, group.size());
    let Some(state) = state else { return anew() };
    let begun = Lanes::new(training, state.progress.lanes, corpus.deck.train.batch);
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
    if speaks && !state.is_over(&corpus.deck.train) {
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

/// The training rows of the lanes `own`, each ascending.
fn lane_rows(
    corpus: &Corpus,
    task: &Task,
    rows: &RowSet,
    lanes: Lanes,
    costs: [f64; 2],
    own: Range<usize>,
) -> Result<Vec<Vec<u32>>> {
    if lanes.count() == 1 {
        return Ok(vec![rows.iter().collect()]);
    }
    let entities = [corpus.drugs.entities(), corpus.samples.entities()];
    let lane_of = deal(lanes, entities, costs, |each| {
        corpus.blocks(&task.source, rows)?.try_for_each(|block| {
            let block = block?;
            each([&block.drug, &block.sample]);
            Ok(())
        })
    })?;
    let mut of_lane: Vec<Vec<u32>> = own.clone().map(|lane| Vec::with_capacity(lanes.rows(lane))).collect();
    for (row, lane) in rows.iter().zip(lane_of).filter(|(_, lane)| own.contains(&(*lane as usize))) {
        of_lane[lane as usize - own.start].push(row);
    }
    Ok(of_lane)
}

/// The distinct entities that any rank of the group names, ascending.
fn distinct(group: &dyn Communicator, entities: usize, named: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut present = vec![0u8; entities.div_ceil(8)];
    named.for_each(|entity| present[entity as usize / 8] |= 1 << (entity % 8));
    for theirs in group.all_gather(&present) {
        present.iter_mut().zip(theirs).for_each(|(p, t)| *p |= t);
    }
    (0..entities as u32).filter(|&e| present[e as usize / 8] & (1 << (e % 8)) != 0).collect()
}

/// Mean and deviation over the lanes of all ranks, summed lane by lane, so
/// that they do not depend on how lanes are dealt to ranks.
fn scale(group: &dyn Communicator, lanes: Vec<&[f32]>) -> ValueScale {
    let total = |of: &dyn Fn(f64) -> f64| {
        let sums: Vec<f64> = lanes.iter().map(|lane| lane.iter().map(|&v| of(v.into())).sum()).collect();
        let all = group.all_gather(bytemuck::cast_slice(&sums));
        all.iter().flat_map(|sums| sums.chunks_exact(8)).map(bytemuck::pod_read_unaligned::<f64>).sum::<f64>()
    };
    let count = total(&|_| 1.0);
    let mean = total(&|v| v) / count;
    ValueScale::new(mean, total(&|v| (v - mean).powi(2)) / count)
}
