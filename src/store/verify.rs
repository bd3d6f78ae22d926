use super::features::feature_place;
use super::pairs::dataset_place;
use super::{DatasetInfo, Entity, Store, overlap};
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
    /// Those of them that are missing.
    pub feature_missing: u64,
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
            store.feature_names(info)?;
            store.feature_entities(info)?;
            let mut missing = 0;
            store.feature_blocks(info, |values| {
                report.feature_values += values.len() as u64;
                missing += values.iter().filter(|v| v.is_nan()).count() as u64;
            })?;
            let said = store.feature_missing(info)?;
            if missing != said {
                let place = feature_place(entity, &info.name);
                return Err(store.fault(place, format!("lacks {missing} values, its attribute says {said}")));
            }
            report.feature_missing += missing;
        }
    }
    for info in store.datasets() {
        report.pairs += info.pairs as u64;
        check_rows(store, info)?;
        let blocks: Vec<_> = info.blocks().collect();
        for (k, (endpoint, _)) in info.endpoints.iter().enumerate() {
            report.endpoint_values += info.pairs as u64;
            let read = |block: usize| {
                let rows = blocks[block].clone();
                match k {
                    0 => store.pairs(&info.name, endpoint, rows).map(drop),
                    _ => store.endpoint_values(&info.name, endpoint, rows).map(drop),
                }
            };
            overlap(blocks.len(), read, |checked| checked)?;
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
    if let Some((order, _)) = store.best_r2()? {
        for name in &order {
            store.dataset(name)?;
        }
    }
    Ok(report)
}

/// No two pairs may come from one row of the response table. Rows that ascend,
/// as every import writes them, need no memory.
fn check_rows(store: &Store, info: &DatasetInfo) -> Result<()> {
    let blocks = || info.blocks().map(|rows| store.rows_of_table(&info.name, rows));
    let mut last = None;
    let mut ascending = true;
    for block in blocks() {
        for row in block? {
            ascending &= last.is_none_or(|last| last < row);
            last = Some(row);
        }
    }
    if ascending {
        return Ok(());
    }
    let mut rows = blocks().collect::<Result<Vec<_>>>()?.concat();
    rows.sort_unstable();
    match rows.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => {
            let what = format!("two pairs come from row {} of the table", twice[0]);
            Err(store.fault(dataset_place(&info.name, "row"), what))
        }
        None => Ok(()),
    }
}
