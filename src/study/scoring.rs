use super::Corpus;
use super::corpus::BLOCK;
use super::strict::Unseen;
use super::training::{Trained, TrainingView};
use super::trust::Trust;
use crate::Result;
use crate::atomic::FolderDraft;
use crate::batch::part;
use crate::comm::{Communicator, gather};
use crate::metric::Scores;
use crate::report::predictions::{Values, write_blocks};
use crate::report::scores_json;
use crate::split::RowSet;
use crate::store::Entity;
use crate::train::{CUDA_SCORING_CHUNK, SCORING_CHUNK, scoring_chunk};
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The rows of a dataset that are scored, in their order.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// Those listed.
    Listed(&'a [u32]),
    /// Those of a set, ascending.
    Of(&'a RowSet),
}

impl<'a> Rows<'a> {
    fn len(self) -> usize {
        match self {
            Rows::Listed(rows) => rows.len(),
            Rows::Of(rows) => rows.len(),
        }
    }

    /// The rows at `places`, in blocks.
    fn blocks(self, places: Range<usize>) -> impl Iterator<Item = Cow<'a, [u32]>> {
        let block = move |start| start..places.end.min(start + BLOCK);
        places.clone().step_by(BLOCK).map(block).map(move |places| match self {
            Rows::Listed(rows) => Cow::Borrowed(&rows[places]),
            Rows::Of(rows) => Cow::Owned(rows.at(places)),
        })
    }
}

// A block is whole chunks, so that pairs are predicted in the same chunks however they are read.
const _: () = assert!(BLOCK.is_multiple_of(SCORING_CHUNK) && BLOCK.is_multiple_of(CUDA_SCORING_CHUNK));

/// Scores `target` with a trained source: the test rows of the source itself,
/// all rows of another dataset, whose predictions are drawn to the source's mean
/// as the deck says. The ranks of the group predict a slice each;
/// rank `root` writes `folders`: the network's scores to the first, those of
/// each baseline to the others. `during` is told how many of its pairs this
/// rank has predicted, and of how many, while some are left.
pub fn score(
    folders: &[PathBuf],
    trained: &mut Trained<'_>,
    target: &str,
    group: &dyn Communicator,
    root: usize,
    during: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let corpus = trained.corpus;
    let usable = corpus.scored(target)?;
    let test = &trained.rows.test;
    let rows = if target == trained.task.source { Rows::Listed(test) } else { Rows::Of(&usable.rows) };
    let chunk = scoring_chunk(&corpus.device);
    let chunks = part(rows.len().div_ceil(chunk), group.size(), group.rank());
    let end = rows.len().min(chunks.end * chunk);
    let own = end.min(chunks.start * chunk)..end;
    let share = own.len();
    let mut predicted = Vec::with_capacity(share);
    for block in rows.blocks(own) {
        predicted.extend(trained.predictor.predict(corpus.pairs(target, &block)?)?);
        if predicted.len() < share {
            during(predicted.len(), share);
        }
    }
    let mut predicted = gather(group, root, predicted);
    if group.rank() != root {
        return Ok(());
    }
    let mean = trained.predictor.scaling().endpoint.mean;
    let TrainingView { seen, baselines } = trained.view()?;
    let trust = (target != trained.task.source).then(|| Trust::new(corpus.deck.transfer, mean, seen));
    let column = || Vec::with_capacity(rows.len());
    let (mut truth, mut unseen) = (column(), Unseen::of(rows.len()));
    let mut by_baseline = baselines.each_ref().map(|_| column());
    for block in rows.blocks(0..rows.len()) {
        let pairs = corpus.pairs(target, &block)?;
        if let Some(trust) = &trust {
            trust.apply(&pairs, &mut predicted[truth.len()..][..pairs.len()]);
        }
        truth.extend_from_slice(&pairs.value);
        unseen.add(seen, &pairs);
        by_baseline.iter_mut().zip(baselines).for_each(|(all, fitted)| all.extend(fitted.predict(&pairs)));
    }
    let scored = Scored { corpus, target, rows, truth, unseen };
    let all = std::iter::once(&predicted).chain(&by_baseline);
    folders.iter().zip(all).try_for_each(|(folder, predicted)| scored.write(folder, predicted))
}

/// A target that was scored, whichever predictor did.
struct Scored<'a> {
    corpus: &'a Corpus,
    target: &'a str,
    rows: Rows<'a>,
    truth: Vec<f32>,
    unseen: Unseen,
}

impl Scored<'_> {
    fn write(&self, folder: &Path, predicted: &[f32]) -> Result<()> {
        let draft = FolderDraft::new(folder)?;
        let file = |name: &str| draft.folder().join(name);
        let scores = Scores::of(&self.truth, predicted);
        scores_json::write(&file("test_scores.json"), &scores)?;
        let strict = self.unseen.strict_scores(&self.truth, predicted, scores);
        scores_json::write_strict(&file("strict_scores.json"), &strict)?;
        let table = file("test_y_data_predicted.csv");
        write_predictions(&table, self.corpus, self.target, self.rows, predicted)?;
        draft.publish()
    }
}

/// Writes a table of predictions as improvelib lays it out: the columns of
/// the response table, then truth and prediction. Columns of that table which
/// the store does not keep are left out.
pub fn write_predictions(
    path: &Path,
    corpus: &Corpus,
    dataset: &str,
    rows: Rows<'_>,
    predicted: &[f32],
) -> Result<()> {
    let (store, endpoint) = (&corpus.store, &corpus.deck.data.endpoint);
    let info = store.dataset(dataset)?;
    let kept = |name: &&str| {
        ["source", "improve_sample_id", "improve_chem_id"].contains(name)
            || (*name == "dose" && info.dose)
            || info.endpoints.iter().any(|(endpoint, _)| endpoint == name)
            || info.labels.iter().any(|label| label == name)
    };
    let ids =
        ["source", "improve_sample_id", "improve_chem_id"].into_iter().chain(info.dose.then_some("dose"));
    let header = info.columns.iter().map(String::as_str);
    // A table imported under other names still gets the ones its readers look for.
    let absent: Vec<&str> = ids.filter(|id| !info.columns.iter().any(|c| c == id)).collect();
    let columns: Vec<&str> = absent.into_iter().chain(header.filter(kept)).collect();
    let (drugs, samples) = (store.ids(Entity::Drug)?, store.ids(Entity::Sample)?);
    let labels = info.labels.iter().map(|l| store.label(dataset, l)).collect::<Result<Vec<_>>>()?;

    write_blocks(path, &columns, endpoint, |table| {
        for (rows, predicted) in rows.blocks(0..rows.len()).zip(predicted.chunks(BLOCK)) {
            let of = |endpoint: &str| store.pairs_at(dataset, endpoint, &rows);
            let pairs = of(endpoint)?;
            let others =
                columns.iter().filter(|c| info.endpoints.iter().any(|(e, _)| e == *c) && *c != endpoint);
            let others = others.map(|c| Ok((*c, of(c)?.value))).collect::<Result<Vec<_>>>()?;
            let codes: Vec<Vec<u32>> = labels
                .iter()
                .map(|(codes, _)| rows.iter().map(|&row| codes[row as usize].into()).collect())
                .collect();
            let values = |column: &&str| match *column {
                "source" => Values::Same(dataset),
                "improve_sample_id" => Values::Coded { codes: &pairs.sample, names: &samples },
                "improve_chem_id" => Values::Coded { codes: &pairs.drug, names: &drugs },
                "dose" if info.dose => Values::Number(&pairs.dose),
                name => match info.labels.iter().position(|label| label == name) {
                    Some(label) => Values::Coded { codes: &codes[label], names: &labels[label].1 },
                    None => {
                        let other = others.iter().find(|(other, _)| *other == name);
                        Values::Number(other.map_or(&pairs.value, |(_, values)| values))
                    }
                },
            };
            let values: Vec<Values> = columns.iter().map(values).collect();
            table.append(&values, &pairs.value, predicted)?;
        }
        Ok(())
    })
}
