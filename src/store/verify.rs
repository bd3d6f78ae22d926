use super::{Entity, Store, array};
use crate::Result;
use serde::{Deserialize, Serialize};

/// What [`verify`] has read without finding a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Distinct ids of drugs and samples.
    pub ids: u64,
    /// Strings of text columns.
    pub texts: u64,
    /// Values of feature tables.
    pub feature_values: u64,
    /// Pairs.
    pub pairs: u64,
    /// Values of endpoints, missing ones included.
    pub endpoint_values: u64,
    /// Splits.
    pub splits: u64,
    /// Rows listed in splits.
    pub split_rows: u64,
}

/// Reads every chunk of `store`, and with it every checksum, and checks every
/// index, id, split, dose and value; the first fault is the error.
pub fn verify(store: &Store) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    for entity in Entity::ALL {
        report.ids += store.ids(entity)?.len() as u64;
        for column in store.texts(entity)? {
            report.texts += store.text(entity, &column)?.len() as u64;
        }
        for info in store.features(entity) {
            let place = super::reader::feature_place(entity, &info.name);
            let names = super::strings::read(&store.group(&place)?, "names");
            let names = names.map_err(|e| store.fault(format!("{place}/names"), e))?;
            if names.len() != info.columns {
                let what = format!("{} names for {} columns", names.len(), info.columns);
                return Err(store.fault(format!("{place}/names"), what));
            }
            store.feature_entities(info)?;
            store.feature_blocks(info, |_, values| {
                report.feature_values += values.len() as u64;
                Ok(())
            })?;
        }
    }
    for info in store.datasets() {
        report.pairs += info.pairs as u64;
        for start in (0..info.pairs).step_by(array::BLOCK_PAIRS) {
            let rows = start..info.pairs.min(start + array::BLOCK_PAIRS);
            store.rows_of_table(&info.name, rows.clone())?;
            for (k, (endpoint, _)) in info.endpoints.iter().enumerate() {
                report.endpoint_values += rows.len() as u64;
                if k == 0 {
                    store.pairs(&info.name, endpoint, rows.clone())?;
                } else {
                    store.endpoint_values(&info.name, endpoint, rows.clone())?;
                }
            }
        }
        for label in &info.labels {
            store.label(&info.name, label)?;
        }
        for &k in &info.splits {
            let rows = store.split(&info.name, k)?;
            report.splits += 1;
            report.split_rows += rows.parts().iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
        }
    }
    store.best_r2()?;
    Ok(report)
}
