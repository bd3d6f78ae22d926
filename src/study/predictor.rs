use crate::Result;
use crate::batch::Examples;
use crate::device::Device;
use crate::device::cuda::Precision;
use crate::feature::{ScaledFeatures, Scaling};
use crate::graph::Parameters;
use crate::model::PairNetwork;
use crate::store::{Entity, Pairs};
use crate::train::Scorer;

/// A trained network, its parameters, and the embedding of every drug and
/// sample of a store that has features.
pub struct Predictor {
    parameters: Parameters<f32>,
    scaling: Scaling,
    features: [ScaledFeatures; 2],
    scorer: Scorer,
}

impl Predictor {
    /// Embeds every entity that has features.
    pub fn new(
        network: &PairNetwork,
        parameters: Parameters<f32>,
        scaling: Scaling,
        features: [ScaledFeatures; 2],
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        let present = features.each_ref().map(|features| features.table().present());
        let mut scorer =
            Scorer::new(network, features.clone(), present.each_ref().map(Vec::len), device, precision)?;
        scorer.embed(&parameters, present.each_ref().map(Vec::as_slice))?;
        Ok(Self { parameters, scaling, features, scorer })
    }

    /// Predicts pairs whose drug and sample have features, in the endpoint's units.
    pub fn predict(&mut self, pairs: Pairs) -> Result<Vec<f32>> {
        let number = (0..pairs.len() as u32).collect();
        self.predict_scaled(&examples(pairs, number, &self.scaling))
    }

    /// Like [`Self::predict`], of pairs that are scaled already.
    pub fn predict_scaled(&mut self, examples: &Examples) -> Result<Vec<f32>> {
        let mut predicted = Vec::with_capacity(examples.len());
        self.scorer.predict(&self.parameters, examples, 0..examples.len(), &mut predicted)?;
        predicted.iter_mut().for_each(|p| *p = self.scaling.endpoint.restore(*p));
        Ok(predicted)
    }

    /// Whether drug or sample `index` of the store has features.
    pub fn has(&self, entity: Entity, index: u32) -> bool {
        self.features[entity as usize].table().has(index)
    }

    /// The network's parameters.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// How inputs and endpoint are scaled.
    pub fn scaling(&self) -> &Scaling {
        &self.scaling
    }
}

/// Pairs scaled for a network; `number` is the row of each in its dataset.
pub fn examples(pairs: Pairs, number: Vec<u32>, scaling: &Scaling) -> Examples {
    let Pairs { drug, sample, mut dose, value: mut truth } = pairs;
    match scaling.dose {
        Some(scale) => dose.iter_mut().for_each(|dose| *dose = scale.scale(*dose)),
        None => dose = Vec::new(),
    }
    truth.iter_mut().for_each(|value| *value = scaling.endpoint.scale(*value));
    Examples { drug, sample, dose, truth, number }
}
