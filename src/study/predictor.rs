use crate::Result;
use crate::batch::Examples;
use crate::feature::{Features, Scaling};
use crate::graph::Parameters;
use crate::model::PairNetwork;
use crate::store::Pairs;
use crate::train::Scorer;

/// A trained network with all that it takes to predict pairs of a store.
pub struct Predictor {
    /// The network.
    pub network: PairNetwork,
    /// Its parameters.
    pub parameters: Parameters<f32>,
    /// How its inputs and its output are scaled.
    pub scaling: Scaling,
    /// Scaled features of the store's drugs.
    pub drugs: Features,
    /// Scaled features of the store's samples.
    pub samples: Features,
}

impl Predictor {
    /// Predicts pairs whose drug and sample have features, in the endpoint's units.
    pub fn predict(&self, pairs: &Pairs) -> Result<Vec<f32>> {
        let examples = examples(pairs, (0..pairs.len() as u32).collect(), &self.scaling);
        let mut predicted = Vec::with_capacity(pairs.len());
        Scorer::new(&self.network, &self.drugs, &self.samples)?.predict(
            &self.parameters,
            &examples,
            &mut predicted,
        );
        predicted.iter_mut().for_each(|p| *p = self.scaling.endpoint.restore(*p));
        Ok(predicted)
    }
}

/// Pairs scaled for a network; `number` is the row of each in its dataset.
pub fn examples(pairs: &Pairs, number: Vec<u32>, scaling: &Scaling) -> Examples {
    let dose = scaling.dose.map(|scale| pairs.dose.iter().map(|&dose| scale.scale(dose)).collect());
    Examples {
        drug: pairs.drug.clone(),
        sample: pairs.sample.clone(),
        dose: dose.unwrap_or_default(),
        truth: pairs.value.iter().map(|&value| scaling.endpoint.scale(value)).collect(),
        number,
    }
}
