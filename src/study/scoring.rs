use super::Corpus;
use super::strict::Unseen;
use super::training::{Trained, TrainingView};
use crate::Result;
use crate::atomic::FolderDraft;
use crate::baseline;
use crate::batch::part;
use crate::comm::{Communicator, gather};
use crate::metric::Scores;
use crate::report::predictions::{Values, write_blocks};
use crate::report::scores_json;
use crate::store::{Entity, Pairs};
use crate::train::SCORING_CHUNK;
use std::path::Path;

/// Rows of a table written at a time.
const BLOCK: usize = 1 << 18;

/// Scores `target` with a trained source: the test rows of the source itself,
/// all rows of another dataset. The ranks of the group predict a slice each;
/// rank `root` writes `infer/<SRC>-<TGT>/split_<k>/` under `out` for the
/// network and, below [`baseline::FOLDER`], for each baseline.
pub fn score(
    out: &Path,
    trained: &mut Trained<'_>,
    target: &str,
    group: &dyn Communicator,
    root: usize,
) -> Result<()> {
    let corpus = trained.corpus;
    let rows = if target == trained.task.source { trained.rows.test.clone() } else { corpus.rows(target)? };
    let rows = rows.as_slice();
    let chunks = part(rows.len().div_ceil(SCORING_CHUNK), group.size(), group.rank());
    let end = rows.len().min(chunks.end * SCORING_CHUNK);
    let own = &rows[end.min(chunks.start * SCORING_CHUNK)..end];
    let pairs = corpus.pairs(target, own)?;
    let predicted = gather(group, root, trained.predictor.predict(pairs.clone()));
    if group.rank() != root {
        return Ok(());
    }
    let pairs = if own.len() == rows.len() { pairs } else { corpus.pairs(target, rows)? };
    let TrainingView { seen, baselines } = trained.view()?;
    let unseen = seen.unseen(&pairs);
    let place = |run: &Path| {
        let task = &trained.task;
        run.join("infer").join(format!("{}-{target}", task.source)).join(format!("split_{}", task.split))
    };
    write(&place(out), corpus, target, rows, &pairs, &predicted, &unseen)?;
    for (name, fitted) in baseline::NAMES.iter().zip(baselines) {
        let folder = place(&out.join(baseline::FOLDER).join(name));
        write(&folder, corpus, target, rows, &pairs, &fitted.predict(&pairs), &unseen)?;
    }
    Ok(())
}

fn write(
    folder: &Path,
    corpus: &Corpus,
    target: &str,
    rows: &[u32],
    pairs: &Pairs,
    predicted: &[f32],
    unseen: &Unseen,
) -> Result<()> {
    let draft = FolderDraft::new(folder)?;
    let file = |name: &str| draft.folder().join(name);
    let scores = Scores::of(&pairs.value, predicted);
    scores_json::write(&file("test_scores.json"), &scores)?;
    scores_json::write_strict(
        &file("strict_scores.json"),
        &unseen.strict_scores(&pairs.value, predicted, scores),
    )?;
    write_predictions(&file("test_y_data_predicted.csv"), corpus, target, rows, predicted)?;
    draft.publish()
}

/// Writes a table of predictions as improvelib lays it out: the columns of
/// the response table, then truth and prediction. Columns of that table which
/// the store does not keep are left out.
pub fn write_predictions(
    path: &Path,
    corpus: &Corpus,
    dataset: &str,
    rows: &[u32],
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
        for (rows, predicted) in rows.chunks(BLOCK).zip(predicted.chunks(BLOCK)) {
            let of = |endpoint: &str| store.pairs_at(dataset, endpoint, rows);
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
