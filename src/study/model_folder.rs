use super::encoder::Encoders;
use super::predictor::Predictor;
use super::scoring::Rows;
use super::training::Trained;
use super::trust::Trust;
use crate::atomic::FolderDraft;
use crate::comm::Serial;
use crate::deck::Deck;
use crate::device::Device;
use crate::feature::{ComputedTable, JoinedTables, ScaledFeatures, Scaling};
use crate::graph::Parameters;
use crate::metric::Scores;
use crate::model::{InputWidths, PairNetwork};
use crate::report::{history, scores_json};
use crate::store::{Entity, Store};
use crate::train::{load_weights, save_weights};
use crate::{Error, Result};
use std::path::Path;
use std::rc::Rc;

/// Writes `models/<SRC>/split_<k>/`: weights, resolved deck, scaling, the
/// history, which drugs were shown, and predictions and scores of the validation rows. Called on rank
/// 0 of the group; the folder appears when it is whole.
pub fn save(folder: &Path, trained: &Trained<'_>) -> Result<()> {
    let draft = FolderDraft::new(folder)?;
    let file = |name: &str| draft.folder().join(name);
    let corpus = trained.corpus;
    save_weights(&file("model.safetensors"), trained.predictor.parameters())?;
    let mut deck = corpus.deck.clone();
    deck.train.lanes = Some(trained.lanes);
    let deck = deck.to_toml()?;
    crate::atomic::write_file(&file("deck.toml"), |w| w.write_all(deck.as_bytes()))?;
    corpus.encoders.save(draft.folder())?;
    trained.predictor.scaling().save(&file("scaling.csv"))?;
    history::write(&file("history.csv"), &trained.history)?;
    Trust::save(
        draft.folder(),
        &corpus.store,
        &trained.task.source,
        trained.task.split,
        &trained.view()?.seen,
    )?;
    let rows = &trained.rows.val;
    let truth = corpus.pairs(&trained.task.source, rows)?.value;
    scores_json::write(&file("val_scores.json"), &Scores::of(&truth, &trained.validation))?;
    let table = file("val_y_data_predicted.csv");
    super::scoring::write_predictions(
        &table,
        corpus,
        &trained.task.source,
        Rows::Listed(rows),
        &trained.validation,
    )?;
    draft.publish()
}

/// A model as a study left it.
pub struct SavedModel {
    /// The deck that it was trained by.
    pub deck: Deck,
    scaling: Scaling,
    encoders: Encoders,
    network: PairNetwork,
    parameters: Parameters<f32>,
}

/// Wanted columns that a store lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingColumns {
    /// Drugs or samples.
    pub entity: Entity,
    /// `feature:column` of each.
    pub names: Vec<String>,
    /// Columns that the model reads.
    pub of: usize,
}

impl MissingColumns {
    /// The first few names.
    pub fn summary(&self) -> String {
        const SHOWN: usize = 5;
        let rest = self.names.len().saturating_sub(SHOWN);
        let shown = self.names[..self.names.len().min(SHOWN)].join(", ");
        if rest > 0 { format!("{shown} and {rest} more") } else { shown }
    }
}

impl SavedModel {
    /// Reads `models/<SRC>/split_<k>/`.
    pub fn load(folder: &Path) -> Result<Self> {
        if !folder.join("model.safetensors").is_file() {
            return Err(Error::run(
                folder,
                "holds no model.safetensors: name a folder models/<SOURCE>/split_<k>",
            ));
        }
        let deck = Deck::read(&folder.join("deck.toml"), &[])?;
        let scaling = Scaling::load(&folder.join("scaling.csv"))?;
        if scaling.endpoint_name() != deck.data.endpoint {
            let what =
                format!("predicts '{}', its deck.toml '{}'", scaling.endpoint_name(), deck.data.endpoint);
            return Err(Error::run(folder.join("scaling.csv"), what));
        }
        let width = |entity| scaling.columns(entity).len();
        let (drug, sample) = (width(Entity::Drug), width(Entity::Sample));
        let bits = [deck.data.drug_bits, deck.data.sample_bits].map(|bits| bits == Some(true));
        let widths = InputWidths { drug, sample, dose: scaling.dose.is_some(), bits };
        let encoders = Encoders::load(&deck.data, folder)?;
        let network = deck.model.build_over(widths, encoders.start().as_ref(), deck.train.loss)?;
        let parameters = load_weights(&folder.join("model.safetensors"), &network.graph)?;
        Ok(Self { deck, scaling, encoders, network, parameters })
    }

    /// Whether pairs need a dose.
    pub fn takes_dose(&self) -> bool {
        self.scaling.dose.is_some()
    }

    /// Mean of the training pairs, in the endpoint's units.
    pub fn mean(&self) -> f32 {
        self.scaling.endpoint.mean
    }

    /// Makes ready to predict pairs of `store`: features are matched by name,
    /// and a column that is not there is taken to have its mean in training.
    pub fn on_store(self, store: &Store, device: &Device) -> Result<(Predictor, Vec<MissingColumns>)> {
        let mut absent = Vec::new();
        let data = &self.deck.data;
        let mut arrange = |entity: Entity,
                           names: &[String],
                           bits: Option<bool>,
                           computed: Vec<ComputedTable>|
         -> Result<ScaledFeatures> {
            let there = store.features(entity);
            let is_there = |name: &String| {
                there.iter().any(|f| f.name == *name) || computed.iter().any(|table| table.name == *name)
            };
            let present: Vec<String> = names.iter().filter(|name| is_there(name)).cloned().collect();
            let read = if present.is_empty() { names } else { &present };
            let features = JoinedTables::of(
                store,
                entity,
                read,
                bits.or(Some(false)),
                data.missing_features.join(),
                computed,
            )?;
            let features = features.read(&Serial)?;
            let wanted = self.scaling.columns(entity);
            let (features, missing) = features.arranged(&wanted);
            if !missing.is_empty() {
                let name = |&i: &usize| format!("{}:{}", wanted[i].feature, wanted[i].name);
                let names = missing.iter().map(name).collect();
                absent.push(MissingColumns { entity, names, of: wanted.len() });
            }
            Ok(self.scaling.scaled(Rc::new(features), self.deck.data.clip))
        };
        let drugs = arrange(Entity::Drug, &data.drug_features, data.drug_bits, Vec::new())?;
        let latent = self.encoders.tables(store)?;
        let (names, of) = self.encoders.missing(store)?;
        let samples = arrange(Entity::Sample, &data.sample_features, data.sample_bits, latent)?;
        if !names.is_empty() {
            absent.push(MissingColumns { entity: Entity::Sample, names, of });
        }
        let precision = self.deck.train.precision;
        let predictor = Predictor::new(
            &self.network,
            self.parameters,
            self.scaling,
            [drugs, samples],
            device,
            precision,
        )?;
        Ok((predictor, absent))
    }
}
