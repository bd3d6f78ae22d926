//! The TOML file of an experiment: as written, and as checked and resolved.
//!
//! Unknown keys are refused, `--set section.key=value` overrides any key, and
//! the resolved deck, defaults included, is written beside every result.

mod comm;
mod overrides;
mod pretrain;
mod read;
mod splits;
mod transfer;

pub use comm::CommSpec;
pub use overrides::Override;
pub use pretrain::{PcaSpec, PretrainData, PretrainDeck, PretrainModel};
pub use splits::Splits;
pub use transfer::TransferSpec;

use crate::feature::Join;
use crate::model::ModelSpec;
use crate::train::{CheckpointSpec, TrainSpec};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deck {
    /// Where the corpus is.
    pub store: StoreSpec,
    /// What is trained on and scored.
    pub data: DataSpec,
    /// Which network.
    pub model: ModelSpec,
    /// How it is trained.
    #[serde(default)]
    pub train: TrainSpec,
    /// How far predictions are trusted on another dataset.
    #[serde(default)]
    pub transfer: TransferSpec,
    /// When trainings are saved.
    #[serde(default)]
    pub checkpoint: CheckpointSpec,
    /// How tasks are dealt to ranks.
    #[serde(default)]
    pub study: StudySpec,
    /// How ranks watch over one another.
    #[serde(default)]
    pub comm: CommSpec,
}

/// The `[store]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// The HDF5 file, relative to the working folder.
    pub path: PathBuf,
}

/// The `[data]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// The number predicted, such as `auc`.
    pub endpoint: String,
    /// Datasets trained on.
    pub sources: Vec<String>,
    /// Datasets scored; the sources if absent.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Imported splits by number, or a rule.
    pub splits: Splits,
    /// Feature tables of the drugs, side by side.
    pub drug_features: Vec<String>,
    /// Feature tables of the samples, side by side.
    pub sample_features: Vec<String>,
    /// Whether the network takes the dose; if absent, it does where every
    /// dataset named has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose: Option<bool>,
    /// Whether drug features, all zeros and ones, are fed as bits: as they are,
    /// unscaled, the first layer a sum of weight rows at the ones. If absent, so
    /// are tables stored as bits where at most one in sixteen is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drug_bits: Option<bool>,
    /// The same of sample features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_bits: Option<bool>,
    /// How the encoder of a sample feature `latent:RUN` is used.
    #[serde(default)]
    pub latent: LatentUse,
    /// Digests of the encoders that sample features name, by their names there; noted when the deck is resolved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encoders: BTreeMap<String, String>,
    /// What to do with pairs whose drug or sample lacks a feature.
    #[serde(default)]
    pub missing_features: MissingFeatures,
    /// Scaled features are kept within this many standard deviations.
    #[serde(default = "default_clip")]
    pub clip: f32,
}

/// How the encoder of a pretraining is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatentUse {
    /// Latent rows are features as others are.
    #[default]
    Frozen,
    /// The sample tower begins as the encoder, and training goes on with it.
    FineTuned,
}

/// What a sample feature that an encoder makes is named after: `latent:RUN`.
const LATENT: &str = "latent:";

impl DataSpec {
    /// The sample features that an encoder makes, and the folder of each.
    pub fn encoder_folders(&self) -> impl Iterator<Item = (&String, &Path)> {
        self.sample_features.iter().filter_map(|name| Some((name, Path::new(name.strip_prefix(LATENT)?))))
    }

    fn latent_fault(&self) -> Option<(String, String)> {
        let named = |key: &str, what: &str| Some((key.to_string(), what.to_string()));
        if self.drug_features.iter().any(|name| name.starts_with(LATENT)) {
            return named("data.drug_features", "cannot be latent: encoders read samples");
        }
        if self.encoder_folders().any(|(_, folder)| folder.as_os_str().is_empty()) {
            return named("data.sample_features", "latent: must be followed by the folder of a pretraining");
        }
        let encoders = self.encoder_folders().count();
        if self.latent == LatentUse::FineTuned && (encoders != 1 || self.sample_features.len() != 1) {
            return named("data.sample_features", "must be one latent:RUN and nothing else to be fine-tuned");
        }
        if encoders > 0 && self.sample_bits == Some(true) {
            return named("data.sample_bits", "must be false: latent rows are no bits");
        }
        None
    }
}

/// What to do with pairs whose drug or sample lacks a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingFeatures {
    /// Stop, naming one of them.
    #[default]
    Refuse,
    /// Leave them out of training and scoring, and say how many.
    Drop,
    /// Take the missing ones to have their mean in training, or no bit set where features are fed as bits, where the
    /// drug or sample has others.
    Fill,
}

impl MissingFeatures {
    /// Over which entities several feature tables are joined.
    pub fn join(self) -> Join {
        match self {
            MissingFeatures::Refuse | MissingFeatures::Drop => Join::All,
            MissingFeatures::Fill => Join::Any,
        }
    }
}

/// The `[study]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudySpec {
    /// Ranks that train one task together; if absent, one while there are as
    /// many tasks as ranks, and an equal share of the ranks beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks_per_task: Option<usize>,
}

fn default_clip() -> f32 {
    4.0
}

/// The keys of a deck as TOML that decide results, with their values.
fn deciding(toml: &str) -> Result<BTreeMap<String, String>> {
    let mut table: toml::Table = toml.parse().map_err(|e: toml::de::Error| {
        Error::Request(format!("cannot read the deck's own TOML: {}", e.message()))
    })?;
    for section in ["store", "checkpoint", "study", "comm"] {
        table.remove(section);
    }
    let keys = table.into_iter().flat_map(|(section, value)| match value {
        toml::Value::Table(keys) => {
            keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value.to_string())).collect()
        }
        value => vec![(section, value.to_string())],
    });
    Ok(keys.collect())
}

impl Deck {
    /// Reads `path`, applies `overrides` and checks every value on its own.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Deck> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot read the deck", e))?;
        Deck::parse(path, &text, overrides)
    }

    /// Like [`Self::read`], of text that came from `path`.
    pub fn parse(path: &Path, text: &str, overrides: &[Override]) -> Result<Deck> {
        let mut deck: Self = read::deserialize(path, text, overrides)?;
        if deck.data.targets.is_empty() {
            deck.data.targets = deck.data.sources.clone();
        }
        match deck.fault() {
            Some((key, what)) => Err(Error::deck(path, key, what)),
            None => Ok(deck),
        }
    }

    /// The deck as TOML, defaults included.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Request(format!("cannot write the deck as TOML: {e}")))
    }

    /// What of the deck decides results, key by key: all but where the store
    /// lies, when trainings are saved, and how the ranks share the work.
    pub fn deciding(&self) -> Result<BTreeMap<String, String>> {
        deciding(&self.to_toml()?)
    }

    /// A name `<SRC>-<TGT>` that two pairs of source and target have, as A-B
    /// to C and A to B-C do.
    fn shared_folder(&self) -> Option<String> {
        let mut met = HashSet::new();
        let pairs = self.data.sources.iter().flat_map(|s| self.data.targets.iter().map(move |t| (s, t)));
        pairs.map(|(source, target)| format!("{source}-{target}")).find(|name| !met.insert(name.clone()))
    }

    fn fault(&self) -> Option<(String, String)> {
        let named = |key: &str, what: &str| Some((key.to_string(), what.to_string()));
        let lists = [
            ("data.sources", &self.data.sources),
            ("data.targets", &self.data.targets),
            ("data.drug_features", &self.data.drug_features),
            ("data.sample_features", &self.data.sample_features),
        ];
        for (key, list) in lists {
            if list.is_empty() {
                return named(key, "must name at least one");
            }
            if let Some(twice) = (1..list.len()).find(|&i| list[..i].contains(&list[i])) {
                return Some((key.into(), format!("names '{}' twice", list[twice])));
            }
        }
        if let Some(folder) = self.shared_folder() {
            return Some((
                "data.targets".into(),
                format!("two pairs of datasets would share infer/{folder}"),
            ));
        }
        if let Some(fault) = self.data.latent_fault() {
            return Some(fault);
        }
        if self.data.clip.is_nan() || self.data.clip <= 0.0 {
            return named("data.clip", "must be above zero");
        }
        if self.study.ranks_per_task == Some(0) {
            return named("study.ranks_per_task", "must be at least 1");
        }
        if let Some((key, what)) = self.comm.fault() {
            return Some((format!("comm.{key}"), what));
        }
        if let Some(what) = self.data.splits.fault() {
            return Some(("data.splits".into(), what));
        }
        if let Some((key, what)) = self.model.fault() {
            return Some((format!("model.{key}"), what));
        }
        let of = |section: &str, fault: Option<(&str, String)>| {
            fault.map(|(key, what)| (format!("{section}.{key}"), what))
        };
        let transfer = || of("transfer", self.transfer.fault());
        of("train", self.train.fault())
            .or_else(transfer)
            .or_else(|| of("checkpoint", self.checkpoint.fault()))
    }
}
