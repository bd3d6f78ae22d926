use super::{CommSpec, Override, StoreSpec, deciding, read};
use crate::feature::{ColumnFilter, ScaleKind};
use crate::model::{Autoencoder, Encoder, Loss, ReconstructionLoss};
use crate::op::{Activation, CenterLoss};
use crate::train::{CheckpointSpec, TrainSpec};
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A pretraining: an encoder of samples, fitted on feature tables alone, without any response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainDeck {
    /// Where the corpus is.
    pub store: StoreSpec,
    /// What is encoded.
    pub data: PretrainData,
    /// By what.
    pub model: PretrainModel,
    /// How it is trained.
    #[serde(default)]
    pub train: TrainSpec,
    /// When the training is saved.
    #[serde(default)]
    pub checkpoint: CheckpointSpec,
    /// How ranks watch over one another.
    #[serde(default)]
    pub comm: CommSpec,
}

/// The `[data]` section of a pretraining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainData {
    /// Feature tables of samples: the rows of all, by the columns that all have.
    pub studies: Vec<String>,
    /// Label tables, one or a list: the class of a sample is the one in the first table that has it.
    #[serde(default, deserialize_with = "one_or_more")]
    pub label: Vec<String>,
    /// How many clusters are made, as the classes of samples without a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// Which columns are read, beside being in every study; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<ColumnFilter>,
    /// Part of each study's samples that is held out and chooses the epoch.
    #[serde(default = "default_validation")]
    pub validation: f64,
    /// Scaled features are kept within this many standard deviations.
    #[serde(default = "super::default_clip")]
    pub clip: f32,
}

/// The `[model]` section of a pretraining: which encoder, with its own keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PretrainModel {
    /// A dense autoencoder.
    Autoencoder(Autoencoder),
    /// Principal components: the control.
    Pca(PcaSpec),
}

/// The `[model]` section of principal components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcaSpec {
    /// How many.
    pub components: usize,
}

fn default_validation() -> f64 {
    0.1
}

/// A name, or a list of names.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a name or a list of names")]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(from)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
}

impl PretrainModel {
    /// Name in files, such as `pca`.
    pub fn name(&self) -> &'static str {
        match self {
            PretrainModel::Autoencoder(_) => "autoencoder",
            PretrainModel::Pca(_) => "pca",
        }
    }

    /// The layers that make a latent row.
    pub fn encoder(&self) -> Encoder {
        match self {
            PretrainModel::Autoencoder(spec) => {
                Encoder { layers: spec.layers.clone(), activation: spec.activation }
            }
            PretrainModel::Pca(spec) => {
                Encoder { layers: vec![spec.components], activation: Activation::Identity }
            }
        }
    }

    /// Columns of what the encoder makes of a sample.
    pub fn latent(&self) -> usize {
        match self {
            PretrainModel::Autoencoder(spec) => spec.layers.last().copied().unwrap_or(0),
            PretrainModel::Pca(spec) => spec.components,
        }
    }

    fn fault(&self) -> Option<(&'static str, String)> {
        match self {
            PretrainModel::Autoencoder(spec) => spec.fault(),
            PretrainModel::Pca(spec) => {
                (spec.components == 0).then(|| ("components", "must be at least 1".into()))
            }
        }
    }
}

impl PretrainDeck {
    /// Reads `path`, applies `overrides` and checks every value on its own.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot read the deck", e))?;
        Self::parse(path, &text, overrides)
    }

    /// Like [`Self::read`], of text that came from `path`.
    pub fn parse(path: &Path, text: &str, overrides: &[Override]) -> Result<Self> {
        let deck: Self = read::deserialize(path, text, overrides)?;
        match deck.fault() {
            Some((key, what)) => Err(Error::deck(path, key, what)),
            None => Ok(deck),
        }
    }

    /// The deck as TOML, defaults included.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Request(format!("cannot write the deck as TOML: {e}")))
    }

    /// What of the deck decides results, key by key: all but where the store lies, when the training is saved, and
    /// how ranks watch over one another.
    pub fn deciding(&self) -> Result<BTreeMap<String, String>> {
        deciding(&self.to_toml()?)
    }

    /// To what features are scaled.
    pub fn scale(&self) -> ScaleKind {
        let standard = ScaleKind::Standard { clip: self.data.clip };
        match &self.model {
            PretrainModel::Autoencoder(spec) if spec.loss == ReconstructionLoss::Bce => ScaleKind::Unit,
            PretrainModel::Autoencoder(_) | PretrainModel::Pca(_) => standard,
        }
    }

    fn fault(&self) -> Option<(String, String)> {
        let data = &self.data;
        let named = |key: &str, what: &str| Some((key.to_string(), what.to_string()));
        if data.studies.is_empty() {
            return named("data.studies", "must name at least one");
        }
        for (key, list) in [("data.studies", &data.studies), ("data.label", &data.label)] {
            if let Some(twice) = (1..list.len()).find(|&i| list[..i].contains(&list[i])) {
                return Some((key.into(), format!("names '{}' twice", list[twice])));
            }
        }
        if data.clusters.is_some_and(|clusters| !(2..=100_000).contains(&clusters)) {
            return named("data.clusters", "must be from 2 to 100000");
        }
        let held = matches!(&self.model, PretrainModel::Autoencoder(spec) if spec.center_loss.is_some());
        if held && data.clusters.is_some_and(|clusters| clusters > CenterLoss::MOST_CLASSES) {
            let most = CenterLoss::MOST_CLASSES;
            return Some((
                "data.clusters".into(),
                format!("must be at most {most} beside model.center_loss"),
            ));
        }
        if !(data.validation > 0.0 && data.validation < 1.0) {
            return named("data.validation", "must be above 0 and below 1");
        }
        if data.filter.is_some_and(|f| !(f.mean.is_finite() && f.deviation >= 0.0 && f.deviation.is_finite()))
        {
            return named("data.filter", "must be finite, the deviation zero or more");
        }
        if data.clip.is_nan() || data.clip <= 0.0 {
            return named("data.clip", "must be above zero");
        }
        if self.train.loss != Loss::Mse {
            return named("train.loss", "does not apply: model.loss says what a pretraining makes small");
        }
        let of = |section: &str, fault: Option<(&str, String)>| {
            fault.map(|(key, what)| (format!("{section}.{key}"), what))
        };
        of("comm", self.comm.fault())
            .or_else(|| of("model", self.model.fault()))
            .or_else(|| of("train", self.train.fault()))
            .or_else(|| of("checkpoint", self.checkpoint.fault()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECK: &str = r#"
        [store]
        path = "csa.h5"
        [data]
        studies = ["expression", "tcga"]
        label = "site"
        filter = { mean = 1.0, deviation = 0.5 }
        [model]
        kind = "pca"
        components = 8
    "#;

    fn parse(set: &[&str]) -> Result<PretrainDeck> {
        let set: Vec<Override> = set.iter().map(|s| s.parse().unwrap()).collect();
        PretrainDeck::parse(Path::new("p.toml"), DECK, &set)
    }

    #[test]
    fn a_deck_comes_back_the_same_and_its_keys_decide() {
        let deck = parse(&["store.path=other.h5", "data.label=[\"site\", \"type\"]"]).unwrap();
        assert_eq!(deck.data.label, ["site", "type"]);
        assert_eq!((deck.data.validation, deck.data.clip, deck.model.latent()), (0.1, 4.0, 8));
        let again = PretrainDeck::parse(Path::new("p.toml"), &deck.to_toml().unwrap(), &[]).unwrap();
        assert_eq!(again, deck);
        let keys = deck.deciding().unwrap();
        assert_eq!(keys["model.components"], "8");
        let model = "model={ kind = \"autoencoder\", loss = \"bce\", center_loss = { weight = 0.2 } }";
        let network = parse(&[model]).unwrap();
        assert_eq!((network.model.latent(), network.scale()), (64, ScaleKind::Unit));
        let again = PretrainDeck::parse(Path::new("p.toml"), &network.to_toml().unwrap(), &[]).unwrap();
        assert_eq!(again, network);
        assert!(!keys.contains_key("store.path") && keys.contains_key("data.filter"));
    }

    #[test]
    fn faults_name_the_key_on_one_line() {
        for (set, named) in [
            ("data.studies=[]", "data.studies"),
            ("data.studies=[\"a\", \"a\"]", "data.studies"),
            ("data.label=[\"a\", \"a\"]", "data.label"),
            ("data.label=3", "data.label"),
            ("data.clusters=1", "data.clusters"),
            ("data.validation=0", "data.validation"),
            ("data.validation=nan", "data.validation"),
            ("data.filter={ mean = 1 }", "deviation"),
            ("data.filter={ mean = 1, deviation = -1 }", "data.filter"),
            ("data.clip=0", "data.clip"),
            ("data.sources=[\"a\"]", "sources"),
            ("model.components=0", "model.components"),
            ("model.kind=\"two-tower\"", "two-tower"),
            ("model.layers=[4]", "layers"),
            ("model={ kind = \"autoencoder\", layers = [] }", "model.layers"),
            ("model={ kind = \"autoencoder\", units = 3 }", "units"),
            ("model={ kind = \"autoencoder\", center_distance = {} }", "model.center_distance"),
            ("train.loss=\"huber\"", "train.loss"),
            ("train.batch=0", "train.batch"),
            ("study.ranks_per_task=1", "study"),
            ("comm.timeout_seconds=0.5", "comm.timeout_seconds"),
        ] {
            let message = parse(&[set]).unwrap_err().to_string();
            let told = message.contains(named) && message.contains("p.toml") && !message.contains('\n');
            assert!(told, "{set}: {message}");
        }
    }
}
