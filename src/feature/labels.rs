use crate::store::{Entity, Store};
use crate::{Error, Result};

/// The classes of samples, as a sample feature table holds them: one column a
/// class, exactly one 1 in the row of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Names of the classes, the table's columns, distinct.
    pub names: Vec<String>,
    /// For each sample of the store, by index, its class: an index into `names`,
    /// or none where the table has no row of the sample.
    pub of: Vec<Option<u32>>,
}

/// Reads the label table `table`, such as `site`, `histology` or `tumour-type`.
/// A name that is not there is an error that lists the sample feature tables
/// that are; a table of which a row is not one 1 among zeros is one that names
/// the sample.
pub fn labels(store: &Store, table: &str) -> Result<Labels> {
    let info = store.feature_named(Entity::Sample, table)?;
    let names = store.feature_names(info)?;
    let samples = store.feature_entities(info)?;
    let mut class = Vec::with_capacity(samples.len());
    let columns = names.len();
    store.feature_blocks(info, |block| class.extend(block.chunks_exact(columns).map(only_one)))?;
    let mut of = vec![None; store.count(Entity::Sample)];
    for (row, (&sample, class)) in samples.iter().zip(class).enumerate() {
        match class {
            Some(class) => of[sample as usize] = Some(class),
            None => {
                let ids = store.ids(Entity::Sample)?;
                return Err(Error::Request(format!(
                    "the feature table {table:?} holds no labels: row {row}, of the sample {:?}, is not one 1 \
                     among zeros; make a label table by crossrx import labels",
                    ids.get(sample as usize).map_or("", String::as_str)
                )));
            }
        }
    }
    Ok(Labels { names, of })
}

/// The place of the only 1 among zeros.
fn only_one(row: &[f32]) -> Option<u32> {
    let mut others = row.iter().zip(0..).filter(|(v, _)| **v != 0.0);
    match (others.next(), others.next()) {
        (Some((&1.0, place)), None) => Some(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Encoding, FeatureInfo, StoreWriter};
    use ndarray::{ArrayView2, array};

    fn read(encoding: Encoding, values: ArrayView2<f32>) -> Result<Labels> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.h5");
        let mut writer = StoreWriter::create(&path, "test").unwrap();
        writer.entities(Entity::Sample, &["A", "B", "C"].map(String::from)).unwrap();
        let info = FeatureInfo {
            entity: Entity::Sample,
            name: "site".into(),
            encoding,
            rows: 2,
            columns: 2,
            units: "1".into(),
        };
        let mut feature = writer.feature(info, &["lung", "skin"].map(String::from), &[2, 0]).unwrap();
        feature.append(values).unwrap();
        feature.finish().unwrap();
        writer.finish().unwrap();
        labels(&Store::open(&path)?, "site")
    }

    #[test]
    fn rows_become_classes_by_sample() {
        for encoding in [Encoding::Bits, Encoding::F32] {
            let found = read(encoding, array![[0.0, 1.0], [1.0, 0.0]].view()).unwrap();
            assert_eq!(found.names, ["lung", "skin"]);
            assert_eq!(found.of, [Some(0), None, Some(1)]);
        }
    }

    #[test]
    fn what_is_not_one_hot_is_refused_with_its_sample() {
        let cases = [
            (Encoding::Bits, array![[0.0, 1.0], [0.0, 0.0]], "row 1, of the sample \"A\""),
            (Encoding::Bits, array![[1.0, 1.0], [0.0, 1.0]], "row 0, of the sample \"C\""),
            (Encoding::F32, array![[0.5, 0.0], [0.0, 1.0]], "row 0, of the sample \"C\""),
            (Encoding::F32, array![[1.0, 0.0], [f32::NAN, 1.0]], "row 1, of the sample \"A\""),
        ];
        for (encoding, values, words) in cases {
            let error = read(encoding, values.view()).unwrap_err().to_string();
            assert!(error.contains("\"site\"") && error.contains(words) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.h5");
        StoreWriter::create(&path, "test").unwrap().finish().unwrap();
        let error = labels(&Store::open(&path).unwrap(), "site").unwrap_err().to_string();
        assert!(error.contains("site"), "{error}");
    }
}
