use super::model_folder::{MissingColumns, SavedModel};
use super::trust::Trust;
use crate::device::Device;
use crate::report::predictions::{Values, write_blocks};
use crate::store::{Entity, Pairs, Store};
use crate::{Error, Result};
use std::path::Path;

/// What came of predicting a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictReport {
    /// Pairs predicted.
    pub predicted: usize,
    /// Pairs left out because their drug has no features.
    pub drugless: usize,
    /// Pairs left out because their sample has none, but their drug does.
    pub sampleless: usize,
    /// Columns filled with their mean in training.
    pub missing: Vec<MissingColumns>,
}

/// Predicts every pair of `dataset` with the model in `folder` and writes
/// `source,improve_sample_id,improve_chem_id[,dose],<endpoint>_true,<endpoint>_pred`
/// (truth empty where not measured). Refuses a store that lacks more than
/// `max_missing`, a fraction, of the columns that the model reads.
pub fn predict(
    folder: &Path,
    store: &Path,
    dataset: &str,
    out: &Path,
    max_missing: f64,
    device: &Device,
) -> Result<PredictReport> {
    let model = SavedModel::load(folder)?;
    let store = Store::open(store)?;
    let info = store.dataset(dataset)?.clone();
    let endpoint = model.deck.data.endpoint.clone();
    let measured = info.endpoints.iter().any(|(name, _)| *name == endpoint);
    let Some((stand_in, _)) = info.endpoints.first() else {
        return Err(Error::store(store.path(), format!("/datasets/{dataset}"), "has no endpoint"));
    };
    let read = if measured { &endpoint } else { stand_in };
    if model.takes_dose() && !info.dose {
        let what = "has no dose, which the model needs";
        return Err(Error::store(store.path(), format!("/datasets/{dataset}"), what));
    }
    let trust = Trust::load(folder, model.deck.transfer, model.mean(), &store, dataset)?;
    let (mut predictor, missing) = model.on_store(&store, device)?;
    for columns in &missing {
        let part = columns.names.len() as f64 / columns.of as f64;
        if part > max_missing {
            return Err(Error::store(
                store.path(),
                format!("/features/{}", columns.entity.name()),
                format!(
                    "lacks {} of the {} columns that the model reads ({:.0} %, more than --max-missing {max_missing}): {}",
                    columns.names.len(),
                    columns.of,
                    100.0 * part,
                    columns.summary()
                ),
            ));
        }
    }
    let (drugs, samples) = (store.ids(Entity::Drug)?, store.ids(Entity::Sample)?);
    let mut report = PredictReport { predicted: 0, drugless: 0, sampleless: 0, missing };
    let mut columns = vec!["source", "improve_sample_id", "improve_chem_id"];
    if info.dose {
        columns.push("dose");
    }
    write_blocks(out, &columns, &endpoint, |table| {
        for block in store.pair_blocks(dataset, read)? {
            let (_, block) = block?;
            let mut rows = Vec::with_capacity(block.len());
            for i in 0..block.len() {
                if !predictor.has(Entity::Drug, block.drug[i]) {
                    report.drugless += 1;
                } else if !predictor.has(Entity::Sample, block.sample[i]) {
                    report.sampleless += 1;
                } else {
                    rows.push(i as u32);
                }
            }
            let mut pairs: Pairs = block.select(&rows);
            if !measured {
                pairs.value.fill(f32::NAN);
            }
            let mut predicted = predictor.predict(pairs.clone())?;
            if let Some(trust) = &trust {
                trust.apply(&pairs, &mut predicted);
            }
            report.predicted += predicted.len();
            let mut values = vec![
                Values::Same(dataset),
                Values::Coded { codes: &pairs.sample, names: &samples },
                Values::Coded { codes: &pairs.drug, names: &drugs },
            ];
            if info.dose {
                values.push(Values::Number(&pairs.dose));
            }
            table.append(&values, &pairs.value, &predicted)?;
        }
        match report.predicted {
            0 => Err(Error::store(store.path(), format!("/datasets/{dataset}"), "no pair has features")),
            _ => Ok(()),
        }
    })?;
    Ok(report)
}
