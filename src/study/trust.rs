use super::strict::Seen;
use crate::Result;
use crate::deck::TransferSpec;
use crate::report::json;
use crate::store::{Entity, Pairs, Store};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;

/// How far a source's predictions are trusted on another dataset, as
/// [`TransferSpec`] has it, for one training.
#[derive(Debug)]
pub struct Trust {
    spec: TransferSpec,
    /// Mean of the source's training pairs, in the endpoint's units.
    mean: f32,
    /// By drug of the store: whether training has shown it.
    drugs: Vec<bool>,
}

/// `trained_on.json` of a model: what [`Trust`] needs of its training.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainedOn {
    source: String,
    split: u32,
    /// Ids of the drugs of the training pairs, in the order of the store.
    drugs: Vec<String>,
}

/// Name of the file.
const FILE: &str = "trained_on.json";

impl Trust {
    /// For a training that has shown these pairs, of this mean.
    pub fn new(spec: TransferSpec, mean: f32, seen: &Seen) -> Self {
        Self { spec, mean, drugs: seen.drugs().to_vec() }
    }

    /// Draws the predictions of pairs of another dataset than the source towards its mean.
    pub fn apply(&self, pairs: &Pairs, predicted: &mut [f32]) {
        if self.spec.keeps_all() {
            return;
        }
        let (seen, unseen) = (self.spec.seen_drugs as f32, self.spec.unseen_drugs as f32);
        for (&drug, p) in pairs.drug.iter().zip(predicted) {
            let known = self.drugs.get(drug as usize).copied().unwrap_or(false);
            *p = self.mean + (*p - self.mean) * if known { seen } else { unseen };
        }
    }

    /// Notes in a model's folder what was trained on.
    pub fn save(folder: &Path, store: &Store, source: &str, split: u32, seen: &Seen) -> Result<()> {
        let ids = store.ids(Entity::Drug)?.into_iter().zip(seen.drugs());
        let drugs = ids.filter(|(_, seen)| **seen).map(|(id, _)| id).collect();
        json::write(&folder.join(FILE), &TrainedOn { source: source.into(), split, drugs })
    }

    /// That of a saved model for `dataset` of `store`; `None` where its predictions stay as they are, which
    /// is so of the source itself.
    pub fn load(
        folder: &Path,
        spec: TransferSpec,
        mean: f32,
        store: &Store,
        dataset: &str,
    ) -> Result<Option<Self>> {
        if spec.keeps_all() {
            return Ok(None);
        }
        let path = folder.join(FILE);
        let trained_on: TrainedOn = json::read(&path)?;
        if trained_on.source == dataset {
            return Ok(None);
        }
        let shown: HashSet<&str> = trained_on.drugs.iter().map(String::as_str).collect();
        let drugs = store.ids(Entity::Drug)?.iter().map(|id| shown.contains(id.as_str())).collect();
        Ok(Some(Self { spec, mean, drugs }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_keep_the_part_of_their_distance_that_the_deck_says() {
        let mut seen = Seen::default();
        let pairs = |drug: Vec<u32>| Pairs { sample: vec![0; drug.len()], drug, ..Pairs::default() };
        seen.add(&pairs(vec![0, 2]));
        let trust = Trust::new(TransferSpec { seen_drugs: 0.75, unseen_drugs: 0.5 }, 2.0, &seen.finish());
        let mut predicted = [6.0, 6.0, -2.0, 2.0, 10.0];
        trust.apply(&pairs(vec![0, 1, 2, 3, 99]), &mut predicted);
        assert_eq!(predicted, [5.0, 4.0, -1.0, 2.0, 6.0]);
        let all = Trust { spec: TransferSpec::default(), ..trust };
        all.apply(&pairs(vec![0, 1, 2, 3, 99]), &mut predicted);
        assert_eq!(predicted, [5.0, 4.0, -1.0, 2.0, 6.0], "bits stay where nothing is to be done");
    }
}
