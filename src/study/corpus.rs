use super::Task;
use crate::batch::Lanes;
use crate::deck::{Deck, MissingFeatures, Splits};
use crate::feature::Features;
use crate::model::InputWidths;
use crate::split::RuleSplit;
use crate::store::{Entity, Pairs, SplitRows, Store};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A deck joined with the store that it names: everything it asks for is there.
pub struct Corpus {
    /// The deck.
    pub deck: Deck,
    /// Where it came from, for messages.
    pub deck_path: PathBuf,
    /// The store.
    pub store: Store,
    /// Features of the drugs, as stored.
    pub drugs: Rc<Features>,
    /// Features of the samples, as stored.
    pub samples: Rc<Features>,
    /// Whether the network takes the dose.
    pub dose: bool,
    usable: RefCell<HashMap<String, Rc<Usable>>>,
    folds: RefCell<HashMap<String, Rc<[u32]>>>,
}

/// Which pairs of a dataset can be trained on and scored.
#[derive(Debug, Clone, Default)]
pub struct Usable {
    /// One a pair.
    pub mask: Vec<bool>,
    /// Pairs whose endpoint is not measured.
    pub unmeasured: usize,
    /// Pairs left out because their drug or sample lacks a feature.
    pub featureless: usize,
    /// Distinct drugs, and samples, of the pairs that can be used.
    pub entities: [usize; 2],
}

impl Corpus {
    /// Opens the store of `deck` and checks every name in the deck against it.
    pub fn open(deck: Deck, deck_path: &Path) -> Result<Self> {
        let fault = |key: &str, what: String| Error::deck(deck_path, key, what);
        let store = Store::open(&deck.store.path)?;
        Entity::ALL.into_iter().try_for_each(|entity| store.ids(entity).map(drop))?;
        for (key, names) in [("data.sources", &deck.data.sources), ("data.targets", &deck.data.targets)] {
            for name in names {
                let dataset = store.dataset(name).map_err(|e| fault(key, e.to_string()))?;
                if !dataset.endpoints.iter().any(|(name, _)| *name == deck.data.endpoint) {
                    let there: Vec<&str> = dataset.endpoints.iter().map(|(name, _)| name.as_str()).collect();
                    let what = format!(
                        "dataset {name} has no '{}'; it has {}",
                        deck.data.endpoint,
                        there.join(", ")
                    );
                    return Err(fault("data.endpoint", what));
                }
            }
        }
        if let Splits::Imported(numbers) = &deck.data.splits {
            for source in &deck.data.sources {
                let there = &store.dataset(source)?.splits;
                if let Some(absent) = numbers.iter().find(|k| !there.contains(k)) {
                    let what = format!("dataset {source} has no split {absent}; it has {there:?}");
                    return Err(fault("data.splits", what));
                }
            }
        }
        let features = |entity, key: &str, names: &[String], bits| {
            Features::read(&store, entity, names, bits).map(Rc::new).map_err(|e| fault(key, e.to_string()))
        };
        let data = &deck.data;
        let drugs = features(Entity::Drug, "data.drug_features", &data.drug_features, data.drug_bits)?;
        let samples =
            features(Entity::Sample, "data.sample_features", &data.sample_features, data.sample_bits)?;
        let named = deck.data.sources.iter().chain(&deck.data.targets);
        let mut without = named.filter(|name| store.dataset(name).is_ok_and(|d| !d.dose));
        let dose = match (deck.data.dose, without.next()) {
            (Some(true), Some(name)) => {
                return Err(fault("data.dose", format!("dataset {name} has no dose")));
            }
            (Some(wish), _) => wish,
            (None, absent) => absent.is_none(),
        };
        let mut deck = deck;
        deck.data.dose = Some(dose);
        deck.data.drug_bits = Some(drugs.are_bits());
        deck.data.sample_bits = Some(samples.are_bits());
        Ok(Self {
            deck,
            deck_path: deck_path.into(),
            store,
            drugs,
            samples,
            dose,
            usable: RefCell::default(),
            folds: RefCell::default(),
        })
    }

    /// Every training of the study, the longest first.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for source in &self.deck.data.sources {
            let pairs = self.store.dataset(source)?.pairs;
            let of = |split| Task { source: source.clone(), split, pairs };
            tasks.extend(self.deck.data.splits.numbers().into_iter().map(of));
        }
        tasks.sort_by_key(|task| std::cmp::Reverse(task.pairs));
        Ok(tasks)
    }

    /// What a network is given.
    pub fn widths(&self) -> InputWidths {
        let bits = [self.drugs.are_bits(), self.samples.are_bits()];
        InputWidths { drug: self.drugs.width(), sample: self.samples.width(), dose: self.dose, bits }
    }

    /// The lanes of a split's training rows for a group of `ranks`: as the deck
    /// says, or one a rank.
    pub fn lanes(&self, rows: &SplitRows, ranks: usize) -> Result<Lanes> {
        Lanes::new(rows.train.len(), self.deck.train.lanes.unwrap_or(ranks), self.deck.train.batch)
    }

    /// Checks what can be known before anything is written: that the network
    /// can be built, that every target has a pair to score, and that every split
    /// has rows and lanes for groups of `ranks`.
    pub fn check_tasks(&self, ranks: usize) -> Result<()> {
        self.deck.model.build(self.widths(), self.deck.train.loss)?;
        self.deck.data.targets.iter().try_for_each(|target| self.rows(target).map(drop))?;
        for task in self.tasks()? {
            let rows = self.split(&task.source, task.split)?;
            let fault = |e: Error| Error::deck(&self.deck_path, "train", format!("{task}: {e}"));
            self.lanes(&rows, ranks).and_then(|lanes| lanes.of_rank(0, ranks)).map_err(fault)?;
        }
        Ok(())
    }

    /// Which pairs of `dataset` have an endpoint and features. A missing
    /// feature is refused, naming the entity, unless the deck says to drop.
    pub fn usable(&self, dataset: &str) -> Result<Rc<Usable>> {
        if let Some(known) = self.usable.borrow().get(dataset) {
            return Ok(known.clone());
        }
        let pairs = self.store.dataset(dataset)?.pairs;
        let mut usable = Usable { mask: Vec::with_capacity(pairs), ..Usable::default() };
        let mut met = Entity::ALL.map(|entity| vec![false; self.store.count(entity)]);
        for block in self.store.pair_blocks(dataset, &self.deck.data.endpoint)? {
            let (first, block) = block?;
            for i in 0..block.len() {
                let measured = !block.value[i].is_nan();
                let featured = self.drugs.has(block.drug[i]) && self.samples.has(block.sample[i]);
                if measured && !featured && self.deck.data.missing_features == MissingFeatures::Refuse {
                    return Err(self.lacks_features(dataset, first + i, block.drug[i], block.sample[i])?);
                }
                usable.unmeasured += usize::from(!measured);
                usable.featureless += usize::from(measured && !featured);
                usable.mask.push(measured && featured);
                met[0][block.drug[i] as usize] |= measured && featured;
                met[1][block.sample[i] as usize] |= measured && featured;
            }
        }
        usable.entities = met.map(|met| met.into_iter().filter(|&met| met).count());
        let usable = Rc::new(usable);
        self.usable.borrow_mut().insert(dataset.into(), usable.clone());
        Ok(usable)
    }

    fn lacks_features(&self, dataset: &str, row: usize, drug: u32, sample: u32) -> Result<Error> {
        let data = &self.deck.data;
        let (entity, index, names) = if self.drugs.has(drug) {
            (Entity::Sample, sample, &data.sample_features)
        } else {
            (Entity::Drug, drug, &data.drug_features)
        };
        let id = self.store.ids(entity)?.swap_remove(index as usize);
        Ok(Error::store(
            self.store.path(),
            format!("/datasets/{dataset}"),
            format!(
                "pair {row}: {} '{id}' has no {}; add it, or set data.missing_features = \"drop\"",
                entity.name(),
                names.join(" or no ")
            ),
        ))
    }

    /// All usable pairs of `dataset`, ascending.
    pub fn rows(&self, dataset: &str) -> Result<Vec<u32>> {
        let usable = self.usable(dataset)?;
        let rows: Vec<u32> =
            (0..).zip(&usable.mask).filter(|(_, usable)| **usable).map(|(row, _)| row).collect();
        if rows.is_empty() {
            let what = format!("no pair has '{}' and features", self.deck.data.endpoint);
            return Err(Error::store(self.store.path(), format!("/datasets/{dataset}"), what));
        }
        Ok(rows)
    }

    /// The fold of each pair of `dataset` by the deck's rule, worked out once.
    fn folds(&self, dataset: &str, rule: &RuleSplit) -> Result<Rc<[u32]>> {
        if let Some(known) = self.folds.borrow().get(dataset) {
            return Ok(known.clone());
        }
        let pairs = self.store.dataset(dataset)?.pairs;
        let (mut drug, mut sample) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
        for block in self.store.pair_blocks(dataset, &self.deck.data.endpoint)? {
            let (_, block) = block?;
            drug.extend_from_slice(&block.drug);
            sample.extend_from_slice(&block.sample);
        }
        let folds: Rc<[u32]> = rule.fold_of_pairs(dataset, &drug, &sample)?.into();
        self.folds.borrow_mut().insert(dataset.into(), folds.clone());
        Ok(folds)
    }

    /// The usable rows of a split of `dataset`. A part that is left empty is refused.
    pub fn split(&self, dataset: &str, number: u32) -> Result<SplitRows> {
        let mut rows = match &self.deck.data.splits {
            Splits::Imported(_) => self.store.split(dataset, number)?,
            Splits::Rule { rule, .. } => rule.rows(dataset, &self.folds(dataset, rule)?, number)?,
        };
        let usable = self.usable(dataset)?;
        let parts = [("train", &mut rows.train), ("val", &mut rows.val), ("test", &mut rows.test)];
        for (part, rows) in parts {
            // Lanes are runs of the training rows: in the order of the store each is read in a few pieces.
            if part == "train" {
                rows.sort_unstable();
            }
            rows.retain(|&row| usable.mask[row as usize]);
            if rows.is_empty() {
                let place = format!("/datasets/{dataset}/split/{number}/{part}");
                return Err(Error::store(self.store.path(), place, "no row has an endpoint and features"));
            }
        }
        Ok(rows)
    }

    /// The pairs at `rows` of `dataset`; their dose only where the network takes it.
    pub fn pairs(&self, dataset: &str, rows: &[u32]) -> Result<Pairs> {
        let mut pairs = self.store.pairs_at(dataset, &self.deck.data.endpoint, rows)?;
        if !self.dose {
            pairs.dose.clear();
        }
        Ok(pairs)
    }
}
