use super::Task;
use super::encoder::Encoders;
use crate::batch::Lanes;
use crate::comm::{Communicator, ProcessMemory, agree, same, same_file, set_timeout};
use crate::deck::{Deck, MissingFeatures, Splits};
use crate::device::Device;
use crate::feature::{Features, JoinedTables};
use crate::model::{InputWidths, PairNetwork};
use crate::split::{Folds, Part, RowSet, RuleSplit};
use crate::store::{Entity, Pairs, Store};
use crate::{Error, Result};
use std::cell::{OnceCell, RefCell};
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
    /// Encoders that make features of the samples.
    pub(super) encoders: Encoders,
    /// Whether the network takes the dose.
    pub dose: bool,
    /// What this rank computes on.
    pub device: Device,
    /// Bytes that this process held before it read anything.
    pub(super) program: usize,
    /// Ranks of this node.
    pub(super) node_ranks: usize,
    digest: OnceCell<String>,
    usable: RefCell<HashMap<String, Rc<Usable>>>,
    sizes: RefCell<HashMap<String, Rc<[FoldSize]>>>,
}

/// Which pairs of a dataset can be trained on and scored.
#[derive(Debug, Clone, Default)]
pub struct Usable {
    /// Their rows.
    pub rows: RowSet,
    /// Pairs whose endpoint is not measured.
    pub unmeasured: usize,
    /// Pairs left out because their drug or sample lacks a feature.
    pub featureless: usize,
    /// Distinct drugs, and samples, of the pairs that can be used.
    pub entities: [usize; 2],
    /// By the deck's rule, if it splits by one.
    folds: Option<Folds>,
}

/// The pairs of a fold.
#[derive(Debug, Clone, Copy, Default)]
struct FoldSize {
    pairs: usize,
    usable: usize,
}

/// The usable rows of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitParts {
    /// Rows to train on.
    pub train: RowSet,
    /// Rows that choose the epoch, in the order of the split.
    pub val: Vec<u32>,
    /// Rows that are scored once, in the order of the split.
    pub test: Vec<u32>,
}

/// Numbers of pairs in the parts of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitSizes {
    /// To train on.
    pub train: usize,
    /// To choose the epoch.
    pub val: usize,
    /// To be scored.
    pub test: usize,
}

impl SplitParts {
    /// How many there are of each.
    pub fn sizes(&self) -> SplitSizes {
        SplitSizes { train: self.train.len(), val: self.val.len(), test: self.test.len() }
    }
}

/// The digest of the store, which must be the same on every rank of `world`; with one rank it is
/// taken when it is asked for.
fn common_digest(store: &Store, world: &dyn Communicator) -> Result<OnceCell<String>> {
    if world.size() == 1 {
        return Ok(OnceCell::new());
    }
    let file = std::fs::metadata(store.path()).map_err(|e| Error::io(store.path(), "cannot look at", e));
    let digest = same_file(world, "the content of the store", file, |_| store.digest())?;
    Ok(digest.into())
}

/// Pairs read at a time.
pub const BLOCK: usize = 1 << 18;

impl Corpus {
    /// Opens the store of `deck` and checks every name in the deck against it.
    /// Every rank of `world` calls this; those of a node share the features.
    pub fn open(
        deck: Result<Deck>,
        deck_path: &Path,
        world: &dyn Communicator,
        device: Device,
    ) -> Result<Self> {
        let program = ProcessMemory::now().resident as usize;
        let (deck, text) = agree(world, deck.and_then(|deck| deck.to_toml().map(|text| (deck, text))))?;
        same(world, "the deck", &text)?;
        set_timeout(deck.comm.timeout_seconds);
        let (deck, store, dose) = agree(world, Self::check(deck, deck_path))?;
        let digest = common_digest(&store, world)?;
        let mut deck = deck;
        let encoders = Encoders::of(&deck.data).and_then(|encoders| {
            encoders.check(&store, world.rank() == 0)?;
            Ok(encoders)
        });
        let encoders = agree(world, encoders)?;
        let digests = encoders.digests();
        same(world, "the encoders", &format!("{digests:?}"))?;
        deck.data.encoders = digests;
        let data = &deck.data;
        let join = |entity, key: &str, names: &[String], bits, computed| {
            let fault = |e: Error| Error::deck(deck_path, key, e.to_string());
            JoinedTables::of(&store, entity, names, bits, data.missing_features.join(), computed)
                .map_err(fault)
        };
        let drugs = join(Entity::Drug, "data.drug_features", &data.drug_features, data.drug_bits, Vec::new());
        let samples = || {
            let (names, bits) = (&data.sample_features, data.sample_bits);
            join(Entity::Sample, "data.sample_features", names, bits, encoders.tables(&store)?)
        };
        let (drugs, samples) = agree(world, drugs.and_then(|drugs| Ok((drugs, samples()?))))?;
        let (drugs, samples) = (Rc::new(drugs.read(world)?), Rc::new(samples.read(world)?));
        deck.data.drug_bits = Some(drugs.are_bits());
        deck.data.sample_bits = Some(samples.are_bits());
        Ok(Self {
            deck,
            deck_path: deck_path.into(),
            store,
            drugs,
            samples,
            encoders,
            dose,
            device,
            program,
            node_ranks: world.node().size(),
            digest,
            usable: RefCell::default(),
            sizes: RefCell::default(),
        })
    }

    /// The deck, its store, and whether the network takes the dose, once
    /// everything that the deck names is found to be there.
    fn check(mut deck: Deck, deck_path: &Path) -> Result<(Deck, Store, bool)> {
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
        let named = deck.data.sources.iter().chain(&deck.data.targets);
        let mut without = named.filter(|name| store.dataset(name).is_ok_and(|d| !d.dose));
        let dose = match (deck.data.dose, without.next()) {
            (Some(true), Some(name)) => {
                return Err(fault("data.dose", format!("dataset {name} has no dose")));
            }
            (Some(wish), _) => wish,
            (None, absent) => absent.is_none(),
        };
        deck.data.dose = Some(dose);
        Ok((deck, store, dose))
    }

    /// [`Store::digest`] of the store, taken once.
    pub fn store_digest(&self) -> Result<&str> {
        if self.digest.get().is_none() {
            let digest = self.store.digest()?;
            return Ok(self.digest.get_or_init(|| digest));
        }
        Ok(self.digest.get().map_or("", String::as_str))
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

    /// Sources and targets, each once.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        let data = &self.deck.data;
        data.sources.iter().chain(data.targets.iter().filter(|name| !data.sources.contains(name)))
    }

    /// What a network is given.
    pub fn widths(&self) -> InputWidths {
        let bits = [self.drugs.are_bits(), self.samples.are_bits()];
        InputWidths { drug: self.drugs.width(), sample: self.samples.width(), dose: self.dose, bits }
    }

    /// The network of the deck, untrained.
    pub fn network(&self) -> Result<PairNetwork> {
        self.deck.model.build_over(self.widths(), self.encoders.start().as_ref(), self.deck.train.loss)
    }

    /// The lanes of so many training pairs for a group of `ranks`: as the deck
    /// says, or one a rank.
    pub fn lanes(&self, training: usize, ranks: usize) -> Result<Lanes> {
        let train = &self.deck.train;
        Lanes::new(training, train.lanes.unwrap_or(ranks), train.batch_of(training))
    }

    /// Checks what can be known before anything is written: that the network
    /// can be built, that every target has a pair to score, and that every split
    /// has rows and lanes for groups of `ranks`.
    pub fn check_tasks(&self, ranks: usize) -> Result<()> {
        self.network()?;
        self.deck.data.targets.iter().try_for_each(|target| self.scored(target).map(drop))?;
        for task in self.tasks()? {
            let training = self.sizes(&task.source, task.split)?.train;
            let fault = |e: Error| Error::deck(&self.deck_path, "train", format!("{task}: {e}"));
            self.lanes(training, ranks).and_then(|lanes| lanes.of_rank(0, ranks)).map_err(fault)?;
        }
        Ok(())
    }

    /// Which pairs of `dataset` have an endpoint and features. A missing
    /// feature is refused, naming the entity, unless the deck says otherwise.
    pub fn usable(&self, dataset: &str) -> Result<Rc<Usable>> {
        if let Some(known) = self.usable.borrow().get(dataset) {
            return Ok(known.clone());
        }
        let pairs = self.store.dataset(dataset)?.pairs;
        let mut usable = Usable { rows: RowSet::new(pairs), ..Usable::default() };
        let entities = || Entity::ALL.map(|entity| RowSet::new(self.store.count(entity)));
        let (mut named, mut met) = (entities(), entities());
        for block in self.store.pair_blocks(dataset, &self.deck.data.endpoint)? {
            let (first, block) = block?;
            for i in 0..block.len() {
                let (drug, sample) = (block.drug[i], block.sample[i]);
                let measured = !block.value[i].is_nan();
                let featured = self.drugs.has(drug) && self.samples.has(sample);
                if measured && !featured && self.deck.data.missing_features != MissingFeatures::Drop {
                    return Err(self.lacks_features(dataset, first + i, drug, sample)?);
                }
                usable.unmeasured += usize::from(!measured);
                usable.featureless += usize::from(measured && !featured);
                named[0].insert(drug);
                named[1].insert(sample);
                if measured && featured {
                    usable.rows.insert((first + i) as u32);
                    met[0].insert(drug);
                    met[1].insert(sample);
                }
            }
        }
        usable.entities = met.map(|met| met.len());
        if let Splits::Rule { rule, .. } = &self.deck.data.splits {
            let [drugs, samples] = named.map(|named| named.iter().collect());
            usable.folds = Some(rule.folds(dataset, drugs, samples)?);
        }
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
        let joint = if data.missing_features == MissingFeatures::Fill { " and no " } else { " or no " };
        let id = self.store.ids(entity)?.swap_remove(index as usize);
        Ok(Error::store(
            self.store.path(),
            format!("/datasets/{dataset}"),
            format!(
                "pair {row}: {} '{id}' has no {}; add it, or set data.missing_features = \"drop\"",
                entity.name(),
                names.join(joint)
            ),
        ))
    }

    /// The usable pairs of `dataset`, of which there must be one.
    pub fn scored(&self, dataset: &str) -> Result<Rc<Usable>> {
        let usable = self.usable(dataset)?;
        if usable.rows.is_empty() {
            let what = format!("no pair has '{}' and features", self.deck.data.endpoint);
            return Err(Error::store(self.store.path(), format!("/datasets/{dataset}"), what));
        }
        Ok(usable)
    }

    /// Hands every pair of `dataset` to `each` with its row and its fold by the deck's rule.
    fn each_fold(&self, dataset: &str, folds: &Folds, mut each: impl FnMut(u32, u32)) -> Result<()> {
        for block in self.store.pair_blocks(dataset, &self.deck.data.endpoint)? {
            let (first, block) = block?;
            let pairs = block.drug.iter().zip(&block.sample);
            (first as u32..).zip(pairs).for_each(|(row, (&drug, &sample))| each(row, folds.of(drug, sample)));
        }
        Ok(())
    }

    /// The sizes of the folds of `dataset` by the deck's rule, counted once.
    fn fold_sizes(&self, dataset: &str, rule: &RuleSplit, folds: &Folds) -> Result<Rc<[FoldSize]>> {
        if let Some(known) = self.sizes.borrow().get(dataset) {
            return Ok(known.clone());
        }
        let usable = self.usable(dataset)?;
        let mut sizes = vec![FoldSize::default(); rule.folds as usize];
        self.each_fold(dataset, folds, |row, fold| {
            let size = &mut sizes[fold as usize];
            size.pairs += 1;
            size.usable += usize::from(usable.rows.contains(row));
        })?;
        let sizes: Rc<[FoldSize]> = sizes.into();
        self.sizes.borrow_mut().insert(dataset.into(), sizes.clone());
        Ok(sizes)
    }

    /// How many usable pairs the parts of a split of `dataset` have. An empty part is refused.
    pub fn sizes(&self, dataset: &str, number: u32) -> Result<SplitSizes> {
        let usable = self.usable(dataset)?;
        let (Splits::Rule { rule, .. }, Some(folds)) = (&self.deck.data.splits, &usable.folds) else {
            return Ok(self.split(dataset, number)?.sizes());
        };
        let of_folds = self.fold_sizes(dataset, rule, folds)?;
        let pairs: Vec<usize> = of_folds.iter().map(|fold| fold.pairs).collect();
        rule.check(dataset, &pairs, number)?;
        let of = |part| {
            let folds = (0..).zip(of_folds.iter()).filter(|(fold, _)| rule.part(number, *fold) == part);
            folds.map(|(_, size)| size.usable).sum()
        };
        let (train, val, test) = (of(Part::Train), of(Part::Validation), of(Part::Test));
        self.no_part_empty(dataset, number, SplitSizes { train, val, test })
    }

    fn no_part_empty(&self, dataset: &str, number: u32, sizes: SplitSizes) -> Result<SplitSizes> {
        let parts = [("train", sizes.train), ("val", sizes.val), ("test", sizes.test)];
        match parts.into_iter().find(|(_, size)| *size == 0) {
            Some((part, _)) => {
                let place = format!("/datasets/{dataset}/split/{number}/{part}");
                Err(Error::store(self.store.path(), place, "no row has an endpoint and features"))
            }
            None => Ok(sizes),
        }
    }

    /// The usable rows of a split of `dataset`. A part that is left empty is refused.
    pub fn split(&self, dataset: &str, number: u32) -> Result<SplitParts> {
        let usable = self.usable(dataset)?;
        let (mut val, mut test) = (Vec::new(), Vec::new());
        let mut train = RowSet::new(self.store.dataset(dataset)?.pairs);
        if let (Splits::Rule { rule, .. }, Some(folds)) = (&self.deck.data.splits, &usable.folds) {
            self.each_fold(dataset, folds, |row, fold| {
                if usable.rows.contains(row) {
                    match rule.part(number, fold) {
                        Part::Train => train.insert(row),
                        Part::Validation => val.push(row),
                        Part::Test => test.push(row),
                    }
                }
            })?;
        } else {
            let mut rows = self.store.split(dataset, number)?;
            let kept = |row: &u32| usable.rows.contains(*row);
            rows.train.into_iter().filter(kept).for_each(|row| train.insert(row));
            [&mut rows.val, &mut rows.test].into_iter().for_each(|part| part.retain(kept));
            (val, test) = (rows.val, rows.test);
        }
        val.shrink_to_fit();
        test.shrink_to_fit();
        let parts = SplitParts { train, val, test };
        self.no_part_empty(dataset, number, parts.sizes())?;
        Ok(parts)
    }

    /// The pairs at `rows` of `dataset`; their dose only where the network takes it.
    pub fn pairs(&self, dataset: &str, rows: &[u32]) -> Result<Pairs> {
        let endpoint = &self.deck.data.endpoint;
        // In the order of the store a block is read at a time; what is out of order is read whole.
        let blocks: Vec<&[u32]> = match rows.is_sorted() {
            true => rows.chunk_by(|a, b| *a as usize / BLOCK == *b as usize / BLOCK).collect(),
            false => vec![rows],
        };
        let column = |wanted: bool| Vec::with_capacity(if wanted { rows.len() } else { 0 });
        let mut pairs = Pairs { dose: column(self.dose), value: column(true), ..Pairs::default() };
        [&mut pairs.drug, &mut pairs.sample].into_iter().for_each(|column| column.reserve_exact(rows.len()));
        for rows in blocks {
            let block = self.store.pairs_at(dataset, endpoint, rows)?;
            pairs.drug.extend_from_slice(&block.drug);
            pairs.sample.extend_from_slice(&block.sample);
            pairs.value.extend_from_slice(&block.value);
            if self.dose {
                pairs.dose.extend_from_slice(&block.dose);
            }
        }
        Ok(pairs)
    }

    /// The pairs at `rows` of `dataset`, ascending, in blocks.
    pub fn blocks<'a>(
        &'a self,
        dataset: &'a str,
        rows: &'a RowSet,
    ) -> Result<impl Iterator<Item = Result<Pairs>> + 'a> {
        let blocks = self.store.pair_blocks(dataset, &self.deck.data.endpoint)?;
        Ok(blocks.map(move |block| {
            let (first, mut block) = block?;
            if !self.dose {
                block.dose = Vec::new();
            }
            let kept = (0..block.len() as u32).filter(|&i| rows.contains(first as u32 + i));
            Ok(block.select(&kept.collect::<Vec<_>>()))
        }))
    }
}
