use crate::Result;
use crate::batch::Examples;
use crate::feature::{Features, Scaling};
use crate::graph::Parameters;
use crate::model::PairNetwork;
use crate::store::Pairs;
use crate::train::{SCORING_CHUNK, Scorer};

/// Pairs predicted together. A matrix product may round a row differently
/// where it has other rows beside it, so blocks start at multiples of this
/// row number, whoever predicts them.
pub const PREDICTED_TOGETHER: usize = 4 * SCORING_CHUNK;

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
        let mut scorer = Scorer::new(&self.network, &self.drugs, &self.samples)?;
        let (mut predicted, mut block) = (Vec::with_capacity(pairs.len()), Vec::new());
        let all: Vec<u32> = (0..pairs.len() as u32).collect();
        for rows in all.chunks(PREDICTED_TOGETHER) {
            let examples = examples(&pairs.select(rows), rows.to_vec(), &self.scaling);
            scorer.predict(&self.parameters, &examples, &mut block);
            predicted.extend(block.iter().map(|&p| self.scaling.endpoint.restore(p)));
        }
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
