use super::journal::RUN;
use crate::checksum::checksum;
use crate::comm::Serial;
use crate::deck::{DataSpec, LatentUse, PretrainDeck};
use crate::feature::{ComputedTable, ScaledFeatures, StudyScaling, StudyTables};
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::model::{Encoder, EncoderGraph, FittedEncoder};
use crate::op::Step;
use crate::store::{Entity, Store};
use crate::train::part_of_weights;
use crate::{Error, Result, atomic};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a pretraining's folder that make its encoder.
const FILES: [&str; 3] = ["deck.toml", "scaling.csv", "model.safetensors"];

/// Rows that pass through an encoder at a time.
const CHUNK: usize = 1024;

/// Part of its columns that an encoder may miss in a store that is trained on.
const MOST_MISSING: f64 = 0.5;

/// The encoder that a pretraining has left in its folder: `deck.toml`, `scaling.csv` and `model.safetensors`, which
/// are read once, so that nothing that becomes of them later changes it.
pub struct SavedEncoder {
    /// As [`FILES`] names them.
    files: [Vec<u8>; FILES.len()],
    encoder: Encoder,
    scaling: StudyScaling,
    parameters: Arc<Parameters<f32>>,
}

/// The samples of a store that an encoder can read.
struct Readable<'a> {
    tables: StudyTables<'a>,
    samples: Vec<u32>,
    /// Row of each among those of `tables`.
    rows: Vec<u32>,
}

impl SavedEncoder {
    /// Reads the encoder in `folder`. Refuses a folder that is no pretraining's, and parameters that are not those
    /// of its deck.
    pub fn load(folder: &Path) -> Result<Self> {
        let paths = FILES.map(|name| folder.join(name));
        if let Some(absent) = paths.iter().position(|path| !path.is_file()) {
            let what = format!("holds no {}: name the folder that `crossrx pretrain` wrote", FILES[absent]);
            return Err(Error::run(folder, what));
        }
        let read = |path: &PathBuf| std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e));
        let files = [read(&paths[0])?, read(&paths[1])?, read(&paths[2])?];
        let text = std::str::from_utf8(&files[0]).map_err(|_| Error::run(&paths[0], "is not UTF-8"))?;
        let deck = PretrainDeck::parse(&paths[0], text, &[])?;
        let scaling = StudyScaling::parse(&paths[1], &files[1], deck.scale())?;
        let encoder = deck.model.encoder();
        let graph = encoder.graph(scaling.columns().len())?.graph;
        let parameters = Arc::new(part_of_weights(&paths[2], &files[2], &graph)?);
        Ok(Self { files, encoder, scaling, parameters })
    }

    /// One word that changes with whatever decides the latent rows.
    pub fn digest(&self) -> String {
        let all: Vec<String> = self.files.iter().map(|bytes| checksum(bytes)).collect();
        checksum(all.join(" ").as_bytes())
    }

    /// Writes its files into `folder`, which must be there.
    fn save(&self, folder: &Path) -> Result<()> {
        let mut files = FILES.iter().zip(&self.files);
        files.try_for_each(|(name, bytes)| atomic::write_file(&folder.join(name), |w| w.write_all(bytes)))
    }

    /// The studies that it was fitted on and that `store` has.
    fn studies(&self, store: &Store) -> Result<Vec<String>> {
        let there = store.features(Entity::Sample);
        let studies = self.scaling.studies().filter(|name| there.iter().any(|f| f.name == *name));
        let studies: Vec<String> = studies.map(str::to_string).collect();
        if studies.is_empty() {
            let named: Vec<&str> = self.scaling.studies().collect();
            let what = format!("has none of the tables that the encoder was fitted on: {}", named.join(", "));
            return Err(Error::store(store.path(), "/features/sample", what));
        }
        Ok(studies)
    }

    /// The columns that it reads and a study of `store` lacks, as `<study>:<column>`; they are taken to have their
    /// mean. Beside them how many it reads.
    pub fn missing(&self, store: &Store) -> Result<(Vec<String>, usize)> {
        let (studies, columns) = (self.studies(store)?, self.scaling.columns());
        let mut missing = Vec::new();
        for study in &studies {
            // Each by itself: what one lacks is no common column.
            let tables = StudyTables::of(store, std::slice::from_ref(study))?;
            let places = tables.places(0, columns);
            let absent = columns.iter().zip(places).filter(|(_, place)| place.is_none());
            missing.extend(absent.map(|(column, _)| format!("{study}:{column}")));
        }
        Ok((missing, columns.len() * studies.len()))
    }

    /// What of `store` it can read: a sample by the first of its studies that has it.
    fn readable<'a>(&self, store: &'a Store) -> Result<Readable<'a>> {
        let studies = self.studies(store)?;
        let tables = StudyTables::of(store, &studies)?;
        let mut met = vec![false; store.count(Entity::Sample)];
        let (mut samples, mut rows) = (Vec::new(), Vec::new());
        for number in 0..studies.len() {
            for (&sample, row) in tables.samples_of(number).iter().zip(tables.rows_of(number)) {
                if !std::mem::replace(&mut met[sample as usize], true) {
                    samples.push(sample);
                    rows.push(row as u32);
                }
            }
        }
        Ok(Readable { tables, samples, rows })
    }

    /// The latent row of every sample of `store` that it can read, as a feature table called `name`.
    pub fn latent<'a>(&'a self, store: &'a Store, name: &str) -> Result<ComputedTable<'a>> {
        let Readable { tables, samples, rows } = self.readable(store)?;
        let width = self.encoder.layers.last().copied().unwrap_or(0);
        let columns = (0..width).map(|number| format!("z{number}")).collect();
        let values = Box::new(move || self.encode(&self.scaling.read(&tables, &Serial)?, &rows));
        Ok(ComputedTable { name: name.into(), columns, entities: samples, values, scaled: false })
    }

    /// The latent rows of these rows of `features`.
    fn encode(&self, features: &ScaledFeatures, rows: &[u32]) -> Result<Vec<f32>> {
        let width = self.scaling.columns().len();
        let EncoderGraph { graph, samples, features: input, latent } = self.encoder.graph(width)?;
        let mut values = Vec::with_capacity(rows.len() * graph.shape(latent).columns);
        let capacity = [CHUNK.min(rows.len())];
        let mut plan = CpuPlan::<f32>::new(Arc::new(graph), Purpose::Score, latent, &[], &capacity)?;
        for chunk in rows.chunks(CHUNK) {
            plan.rows_mut().count[samples.0] = chunk.len();
            let unread = || Error::Network("an encoder that reads nothing".into());
            let (into, _) = plan.input_mut(input).ok_or_else(unread)?;
            for (into, &row) in into.chunks_exact_mut(width).zip(chunk) {
                features.rows().write(row, into);
            }
            plan.forward(&self.parameters, Step { seed: 0, number: 0 });
            values.extend_from_slice(plan.output());
        }
        Ok(values)
    }

    /// What the encoder reads of every sample of `store` that it can read, scaled, as a feature table called `name`.
    pub fn inputs<'a>(&'a self, store: &'a Store, name: &str) -> Result<ComputedTable<'a>> {
        let Readable { tables, samples, rows } = self.readable(store)?;
        let columns = self.scaling.columns().to_vec();
        let width = columns.len();
        let values = Box::new(move || {
            let features = self.scaling.read(&tables, &Serial)?;
            let mut values = vec![0.0; rows.len() * width];
            for (into, &row) in values.chunks_exact_mut(width).zip(&rows) {
                features.rows().write(row, into);
            }
            Ok(values)
        });
        Ok(ComputedTable { name: name.into(), columns, entities: samples, values, scaled: true })
    }
}

/// The encoders that a deck names among its sample features, by their names there.
#[derive(Default)]
pub struct Encoders {
    all: Vec<(String, SavedEncoder)>,
    latent: LatentUse,
}

impl Encoders {
    /// Those of `data`, from the folders that it names. Refuses one that is not what it was when the deck was
    /// resolved.
    pub fn of(data: &DataSpec) -> Result<Self> {
        let load = |(name, folder): (&String, &Path)| {
            if !folder.join(RUN).is_file() {
                let what = "is no complete pretraining: name a folder that crossrx pretrain has written";
                return Err(Error::run(folder, what));
            }
            Ok((name.clone(), SavedEncoder::load(folder)?))
        };
        let all = data.encoder_folders().map(load).collect::<Result<Vec<_>>>()?;
        let encoders = Self { all, latent: data.latent };
        encoders.expect(data)?;
        Ok(encoders)
    }

    /// Those of `data`, as [`Self::save`] left them in the folder of a model.
    pub fn load(data: &DataSpec, model: &Path) -> Result<Self> {
        let load = |(number, (name, _)): (usize, (&String, &Path))| {
            Ok((name.clone(), SavedEncoder::load(&folder(model, number))?))
        };
        let all = data.encoder_folders().enumerate().map(load).collect::<Result<Vec<_>>>()?;
        let encoders = Self { all, latent: data.latent };
        encoders.expect(data)?;
        Ok(encoders)
    }

    /// Writes what they are to `encoder/<number>/` in the folder of a model.
    pub fn save(&self, model: &Path) -> Result<()> {
        for (number, (_, encoder)) in self.all.iter().enumerate() {
            let folder = folder(model, number);
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "cannot make the folder", e))?;
            encoder.save(&folder)?;
        }
        Ok(())
    }

    /// Refuses an encoder that is not the one that `data` was resolved with.
    fn expect(&self, data: &DataSpec) -> Result<()> {
        let other = |(name, now): &(String, String)| data.encoders.get(name).is_some_and(|then| then != now);
        match self.digests().into_iter().find(other) {
            Some((name, now)) => Err(Error::Request(format!(
                "data.encoders: {name} is another encoder than the deck was resolved with (its digest is {now})"
            ))),
            None => Ok(()),
        }
    }

    /// The digest of each, by name.
    pub fn digests(&self) -> BTreeMap<String, String> {
        self.all.iter().map(|(name, encoder)| (name.clone(), encoder.digest())).collect()
    }

    /// The columns that they read and `store` lacks, and how many they read.
    pub fn missing(&self, store: &Store) -> Result<(Vec<String>, usize)> {
        let (mut names, mut of) = (Vec::new(), 0);
        for (_, encoder) in &self.all {
            let (missing, columns) = encoder.missing(store)?;
            names.extend(missing);
            of += columns;
        }
        Ok((names, of))
    }

    /// Warns of columns that `store`, which is trained on, lacks, where `speaks`; refuses it where they are most.
    pub fn check(&self, store: &Store, speaks: bool) -> Result<()> {
        let (missing, of) = self.missing(store)?;
        let Some(first) = missing.first() else { return Ok(()) };
        let what = format!("lacks {} of {of} columns that encoders read, among them {first}", missing.len());
        if missing.len() as f64 > MOST_MISSING * of as f64 {
            return Err(Error::store(store.path(), "/features/sample", what));
        }
        if speaks {
            log::warn!("{}: {what}: they are taken to have their mean", store.path().display());
        }
        Ok(())
    }

    /// What they make of the samples of `store`: latent rows, or what a tower that begins as the encoder reads.
    pub fn tables<'a>(&'a self, store: &'a Store) -> Result<Vec<ComputedTable<'a>>> {
        let table = |(name, encoder): &'a (String, SavedEncoder)| match self.latent {
            LatentUse::Frozen => encoder.latent(store, name),
            LatentUse::FineTuned => encoder.inputs(store, name),
        };
        self.all.iter().map(table).collect()
    }

    /// What the sample tower begins as, if it is fine-tuned.
    pub fn start(&self) -> Option<FittedEncoder> {
        let first = self.all.first().filter(|_| self.latent == LatentUse::FineTuned);
        first.map(|(_, SavedEncoder { encoder, parameters, .. })| FittedEncoder {
            encoder: encoder.clone(),
            parameters: parameters.clone(),
        })
    }
}

fn folder(model: &Path, number: usize) -> PathBuf {
    model.join("encoder").join(number.to_string())
}
