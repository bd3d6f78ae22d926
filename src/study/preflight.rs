use super::farm::Grouping;
use super::{Corpus, Task};
use crate::batch::Lanes;
use crate::model::InputWidths;
use crate::{Error, Result};

/// Finds, before anything is trained, whatever would stop a study later: a
/// network that cannot be built, a target without a pair to score, a split
/// that is malformed or left empty, ranks that the lanes cannot serve. Says
/// how many pairs of each dataset are left out.
pub fn preflight(corpus: &Corpus, tasks: &[Task], grouping: Grouping) -> Result<()> {
    let deck = &corpus.deck;
    let widths =
        InputWidths { drug: corpus.drugs.width(), sample: corpus.samples.width(), dose: corpus.dose };
    deck.model
        .build(widths, deck.train.loss)
        .map_err(|e| Error::deck(&corpus.deck_path, "model", e.to_string()))?;
    let targets = deck.data.targets.iter().filter(|t| !deck.data.sources.contains(t));
    for dataset in deck.data.sources.iter().chain(targets) {
        corpus.rows(dataset)?;
        let usable = corpus.usable(dataset)?;
        let (unmeasured, featureless) = (usable.unmeasured, usable.featureless);
        if unmeasured + featureless > 0 {
            log::warn!(
                "{dataset}: of {} pairs, {unmeasured} without '{}' and {featureless} without features are left out",
                usable.mask.len(),
                deck.data.endpoint
            );
        }
    }
    for task in tasks {
        let rows = corpus.split(&task.source, task.split)?;
        let count = deck.train.lanes.unwrap_or(grouping.ranks);
        let lanes = Lanes::new(rows.train.len(), count, deck.train.batch);
        lanes.and_then(|lanes| lanes.of_rank(0, grouping.ranks)).map_err(|e| match e {
            Error::Ranks(what) => Error::Ranks(format!("{task}: {what}")),
            other => other,
        })?;
    }
    Ok(())
}
