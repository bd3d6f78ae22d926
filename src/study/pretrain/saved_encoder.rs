use super::encoded::rows_of;
use super::{folder, pca};
use crate::batch::Ports;
use crate::comm::Serial;
use crate::deck::{PretrainDeck, PretrainModel};
use crate::feature::{Features, ScaledFeatures, StudyScaling, StudyTables};
use crate::graph::{Graph, NodeId, Parameters};
use crate::model::Autoencoder;
use crate::store::{Entity, Store};
use crate::train::load_part_of_weights;
use crate::{Error, Result};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// An encoder as a pretraining left it.
pub struct SavedEncoder {
    /// The deck that it was fitted by.
    pub deck: PretrainDeck,
    /// How each of its studies is scaled, and the columns that it reads.
    pub scaling: StudyScaling,
    /// The encoder, and what decodes; classes are left out.
    pub graph: Arc<Graph>,
    /// Where samples enter.
    pub ports: Ports,
    /// `[samples, d]`.
    pub latent: NodeId,
    /// Of `graph`: `encoder.<i>.weight`, `[out, in]`, and `encoder.<i>.bias` among them.
    pub parameters: Parameters<f32>,
}

/// Latent rows of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Sample of each row, an index into the store's, `[rows]`, distinct.
    pub samples: Vec<u32>,
    /// `[rows, d]`.
    pub values: Vec<f32>,
    /// Columns that the encoder reads and the study lacks; they were taken to hold 0.
    pub missing: usize,
}

impl SavedEncoder {
    /// Reads the folder of a pretraining. Refuses one that is no such, or not complete, and files that do not go
    /// together.
    pub fn load(run: &Path) -> Result<Self> {
        if !run.join(folder::QUALITY).is_file() || !run.join(crate::study::journal::RUN).is_file() {
            let what = "is no complete pretraining: name a folder that crossrx pretrain has written";
            return Err(Error::run(run, what));
        }
        let deck = PretrainDeck::read(&run.join(folder::DECK), &[])?;
        let scaling = StudyScaling::load(&run.join(folder::SCALING), deck.scale())?;
        let columns = scaling.columns().len();
        let (graph, ports, latent) = match &deck.model {
            PretrainModel::Pca(spec) => pca::encoder(columns, spec.components)?,
            PretrainModel::Autoencoder(spec) => {
                // Weights of centers are of no use here, nor is their number known.
                let spec = Autoencoder {
                    center_loss: None,
                    center_distance: None,
                    reconstruction_weight: 1.0,
                    ..spec.clone()
                };
                let built = spec.build(columns, &[1.0], deck.train.batch)?;
                (built.network.graph, built.network.ports, built.latent)
            }
        };
        let parameters = load_part_of_weights(&run.join(folder::WEIGHTS), &graph)?;
        Ok(Self { deck, scaling, graph, ports, latent, parameters })
    }

    /// Columns of the latent.
    pub fn width(&self) -> usize {
        self.graph.shape(self.latent).columns
    }

    /// The rows of `study`, a feature table of samples in `store`, scaled as the study of that name was and ready to
    /// be read by the encoder: an entity is a row. With them the sample of each row, and how many columns the table
    /// lacks. Refuses a study that was not pretrained on.
    pub fn features(&self, store: &Store, study: &str) -> Result<(ScaledFeatures, Vec<u32>, usize)> {
        let tables = StudyTables::of(store, &[study.to_string()])?;
        let missing = tables.places(0, self.scaling.columns()).iter().filter(|place| place.is_none()).count();
        if missing == self.scaling.columns().len() {
            let what = format!("{study} has none of the {missing} columns that the encoder reads");
            return Err(Error::store(store.path(), format!("/features/sample/{study}"), what));
        }
        Ok((self.scaling.read(&tables, &Serial)?, tables.samples_of(0).to_vec(), missing))
    }

    /// What the encoder makes of the samples of `study`, a feature table in `store`. Refuses a study that was not
    /// pretrained on.
    pub fn encode(&self, store: &Store, study: &str) -> Result<Encoded> {
        let (features, samples, missing) = self.features(store, study)?;
        let class = Features::of_all(Entity::Drug, 1, vec![0.0], false)?;
        let class = ScaledFeatures::new(Rc::new(class), vec![(0.0, 1.0)], f32::INFINITY);
        let both = [class, features];
        let values = rows_of(&self.graph, self.ports, self.latent, &self.parameters, both, &Serial)?;
        Ok(Encoded { samples, values, missing })
    }
}
