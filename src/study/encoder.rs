use super::journal::RUN;
use crate::checksum::{checksum, checksum_of_file};
use crate::comm::Serial;
use crate::deck::{DataSpec, LatentUse, PretrainDeck};
use crate::feature::{ComputedTable, ScaledFeatures, StudyScaling, StudyTables};
use crate::graph::{CpuPlan, Parameters, Purpose};
use crate::model::{Encoder, EncoderGraph, FittedEncoder};
use crate::op::Step;
use crate::store::{Entity, Store};
use crate::train::load_part_of_weights;
use crate::{Error, Result, atomic};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a pretraining's folder that make its encoder.
const FILES: [&str; 3] = ["deck.toml", "scaling.csv", "model.safetensors"];

/// Rows that pass through an encoder at a time.
const CHUNK: usize = 1024;

/// Part of its columns that an encoder may miss in a study before it is refused.
const MOST_MISSING: f64 = 0.5;

/// The encoder that a pretraining has left in its folder: `deck.toml`, `scaling.csv` and `model.safetensors`.
pub struct SavedEncoder {
    folder: PathBuf,
    encoder: Encoder,
    scaling: StudyScaling,
    parameters: Arc<Parameters<f32>>,
}

/// The samples of a store that an encoder can read.
struct Readable {
    samples: Vec<u32>,
    /// Row of each in `features`.
    rows: Vec<u32>,
    features: ScaledFeatures,
}

impl SavedEncoder {
    /// Reads the encoder in `folder`. Refuses a folder that is no pretraining's, and parameters that are not those
    /// of its deck.
    pub fn load(folder: &Path) -> Result<Self> {
        if let Some(absent) = FILES.iter().find(|name| !folder.join(name).is_file()) {
            let what = format!("holds no {absent}: name the folder that `crossrx pretrain` wrote");
            return Err(Error::run(folder, what));
        }
        let deck = PretrainDeck::read(&folder.join("deck.toml"), &[])?;
        let scaling = StudyScaling::load(&folder.join("scaling.csv"), deck.scale())?;
        let encoder = deck.model.encoder();
        let graph = encoder.graph(scaling.columns().len())?.graph;
        let parameters = Arc::new(load_part_of_weights(&folder.join("model.safetensors"), &graph)?);
        Ok(Self { folder: folder.into(), encoder, scaling, parameters })
    }

    /// One word that changes with whatever decides the latent rows.
    pub fn digest(&self) -> Result<String> {
        let mut all = format!("{:?}\n", self.encoder);
        for name in &FILES[1..] {
            all.push_str(&checksum_of_file(&self.folder.join(name))?.1);
        }
        Ok(checksum(all.as_bytes()))
    }

    /// Copies its files into `folder`, which must be there.
    pub fn save(&self, folder: &Path) -> Result<()> {
        for name in FILES {
            let from = self.folder.join(name);
            let bytes = std::fs::read(&from).map_err(|e| Error::io(&from, "cannot read", e))?;
            atomic::write_file(&folder.join(name), |w| w.write_all(&bytes))?;
        }
        Ok(())
    }

    /// The encoder to start a sample tower from.
    pub fn fitted(&self) -> FittedEncoder {
        FittedEncoder { encoder: self.encoder.clone(), parameters: self.parameters.clone() }
    }

    /// What of `store` it can read: a sample by the first of its studies that has it.
    fn readable(&self, store: &Store) -> Result<Readable> {
        let there = store.features(Entity::Sample);
        let studies = self.scaling.studies().filter(|name| there.iter().any(|f| f.name == *name));
        let studies: Vec<String> = studies.map(str::to_string).collect();
        if studies.is_empty() {
            let named: Vec<&str> = self.scaling.studies().collect();
            let what = format!(
                "has none of the tables that {} was pretrained on: {}",
                self.folder.display(),
                named.join(", ")
            );
            return Err(Error::store(store.path(), "/features/sample", what));
        }
        let tables = StudyTables::of(store, &studies)?;
        let columns = self.scaling.columns();
        for (number, study) in studies.iter().enumerate() {
            let missing = tables.places(number, columns).iter().filter(|place| place.is_none()).count();
            let what = format!(
                "lacks {missing} of the {} columns that the encoder of {} reads",
                columns.len(),
                self.folder.display()
            );
            if missing as f64 > MOST_MISSING * columns.len() as f64 {
                return Err(Error::store(store.path(), format!("/features/sample/{study}"), what));
            }
            if missing > 0 {
                log::warn!("{study} {what}: they are taken to have their mean");
            }
        }
        let features = self.scaling.read(&tables, &Serial)?;
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
        Ok(Readable { samples, rows, features })
    }

    /// The latent row of every sample of `store` that it can read, as a feature table called `name`.
    pub fn latent(&self, store: &Store, name: &str) -> Result<ComputedTable> {
        let Readable { samples, rows, features } = self.readable(store)?;
        let EncoderGraph { graph, samples: space, features: input, latent } =
            self.encoder.graph(self.scaling.columns().len())?;
        let columns = graph.shape(latent).columns;
        let mut plan =
            CpuPlan::<f32>::new(Arc::new(graph), Purpose::Score, latent, &[], &[CHUNK.min(rows.len())])?;
        let mut values = Vec::with_capacity(rows.len() * columns);
        for chunk in rows.chunks(CHUNK) {
            plan.rows_mut().count[space.0] = chunk.len();
            let Some((into, _)) = plan.input_mut(input) else { continue };
            let width = self.scaling.columns().len();
            for (into, &row) in into.chunks_exact_mut(width).zip(chunk) {
                features.rows().write(row, into);
            }
            plan.forward(&self.parameters, Step { seed: 0, number: 0 });
            values.extend_from_slice(plan.output());
        }
        let columns = (0..columns).map(|number| format!("z{number}")).collect();
        Ok(ComputedTable { name: name.into(), columns, entities: samples, values, scaled: false })
    }

    /// What the encoder reads of every sample of `store` that it can read, scaled, as a feature table called `name`.
    pub fn inputs(&self, store: &Store, name: &str) -> Result<ComputedTable> {
        let Readable { samples, rows, features } = self.readable(store)?;
        let columns = self.scaling.columns().to_vec();
        let mut values = vec![0.0; rows.len() * columns.len()];
        for (into, &row) in values.chunks_exact_mut(columns.len()).zip(&rows) {
            features.rows().write(row, into);
        }
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
        for (name, digest) in encoders.digests()? {
            if data.encoders.get(&name).is_some_and(|then| *then != digest) {
                let what = format!("is not the encoder that the deck was resolved with ({name}, {digest})");
                return Err(Error::Request(what));
            }
        }
        Ok(encoders)
    }

    /// Those of `data`, as [`Self::save`] left them in the folder of a model.
    pub fn load(data: &DataSpec, model: &Path) -> Result<Self> {
        let load = |(number, (name, _)): (usize, (&String, &Path))| {
            Ok((name.clone(), SavedEncoder::load(&folder(model, number))?))
        };
        let all = data.encoder_folders().enumerate().map(load).collect::<Result<Vec<_>>>()?;
        Ok(Self { all, latent: data.latent })
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

    /// The digest of each, by name.
    pub fn digests(&self) -> Result<BTreeMap<String, String>> {
        self.all.iter().map(|(name, encoder)| Ok((name.clone(), encoder.digest()?))).collect()
    }

    /// What they make of the samples of `store`: latent rows, or what a tower that begins as the encoder reads.
    pub fn tables(&self, store: &Store) -> Result<Vec<ComputedTable>> {
        let table = |(name, encoder): &(String, SavedEncoder)| match self.latent {
            LatentUse::Frozen => encoder.latent(store, name),
            LatentUse::FineTuned => encoder.inputs(store, name),
        };
        self.all.iter().map(table).collect()
    }

    /// What the sample tower begins as, if it is fine-tuned.
    pub fn start(&self) -> Option<FittedEncoder> {
        let first = self.all.first().filter(|_| self.latent == LatentUse::FineTuned);
        first.map(|(_, encoder)| encoder.fitted())
    }
}

fn folder(model: &Path, number: usize) -> PathBuf {
    model.join("encoder").join(number.to_string())
}
