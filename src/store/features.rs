//! Reading feature tables: what they are, and their values, whole or by blocks.

use super::array_reader::ArrayReader;
use super::fault::absent;
use super::{Encoding, Entity, FeatureInfo, FeatureTable, Store};
use super::{array, feature_rules, overlap, scalar, strings};
use crate::Result;
use hdf5::Group;
use ndarray::Array2;
use std::ops::Range;

/// Values of a feature table that are read at a time, 8 MiB of f32.
const BLOCK_VALUES: usize = 1 << 21;

impl Store {
    /// The feature tables of drugs or samples, by name.
    pub fn features(&self, entity: Entity) -> &[FeatureInfo] {
        &self.features[entity as usize]
    }

    /// The feature table `name`, or an error that lists those that are there.
    pub fn feature_named(&self, entity: Entity, name: &str) -> Result<&FeatureInfo> {
        let known = self.features(entity);
        known.iter().find(|f| f.name == name).ok_or_else(|| {
            let what = absent("feature table", name, known.iter().map(|f| &f.name));
            self.fault(format!("/features/{}", entity.name()), what)
        })
    }

    /// Reads a feature table whole. A name that is not there is an error that
    /// lists those that are; so are indices out of range or listed twice, and
    /// infinite values. NaN stands where a table has no value.
    pub fn feature(&self, entity: Entity, name: &str) -> Result<FeatureTable> {
        let info = self.feature_named(entity, name)?;
        let place = feature_place(entity, name);
        let names = self.feature_names(info)?;
        let rows = self.feature_entities(info)?;
        let mut flat: Vec<f32> = Vec::new();
        let cells = info.rows.checked_mul(info.columns);
        if cells.is_none_or(|n| flat.try_reserve_exact(n).is_err()) {
            return Err(self.fault(&place, "is too large for this machine's memory"));
        }
        self.feature_blocks(info, |block| flat.extend_from_slice(block))?;
        let shape = (info.rows, info.columns);
        let values = Array2::from_shape_vec(shape, flat).map_err(|e| self.fault(&place, e))?;
        Ok(FeatureTable { info: info.clone(), names, entity: rows, values })
    }

    /// The names of a feature table's columns, `[columns]`, distinct.
    pub fn feature_names(&self, info: &FeatureInfo) -> Result<Vec<String>> {
        let place = feature_place(info.entity, &info.name);
        let group = self.group(&place)?;
        let place = format!("{place}/names");
        let names = strings::read(&group, "names").map_err(|e| self.fault(&place, e))?;
        feature_rules::check_names(info, &names).map_err(|e| self.fault(place, e))?;
        Ok(names)
    }

    /// How many values a feature table lacks, as its writer counted them.
    pub(super) fn feature_missing(&self, info: &FeatureInfo) -> Result<u64> {
        let place = feature_place(info.entity, &info.name);
        let group = self.group(&place)?;
        scalar::read(&group, "missing").map_err(|e| self.fault(place, e))
    }

    /// Streams the values of a feature table: `each` gets whole rows, in their
    /// order, bits widened, no value infinite.
    pub fn feature_blocks(&self, info: &FeatureInfo, mut each: impl FnMut(&[f32]) + Send) -> Result<()> {
        let place = format!("{}/values", feature_place(info.entity, &info.name));
        let group = self.group(&feature_place(info.entity, &info.name))?;
        let step = (BLOCK_VALUES / info.columns.max(1)).max(1);
        let values = open_values(&group, info.encoding).map_err(|e| self.fault(&place, e))?;
        let read = |block: usize| {
            let rows = block * step..info.rows.min((block + 1) * step);
            Ok((rows.start, values.read(rows, info.columns)?))
        };
        overlap(info.rows.div_ceil(step), read, |block: hdf5::Result<(usize, Vec<f32>)>| {
            let (start, block) = block.map_err(|e| self.fault(&place, e))?;
            // Bits cannot be anything else.
            if info.encoding == Encoding::F32 {
                feature_rules::check_values(info.encoding, &block, info.columns, start)
                    .map_err(|e| self.fault(&place, e))?;
            }
            each(&block);
            Ok(())
        })
    }

    /// Entity index of each row of a feature table, range-checked and distinct.
    pub fn feature_entities(&self, info: &FeatureInfo) -> Result<Vec<u32>> {
        let place = format!("{}/entity", feature_place(info.entity, &info.name));
        let rows = self.read_u32(&place)?;
        feature_rules::check_entities(info, &rows, self.count(info.entity))
            .map_err(|e| self.fault(place, e))?;
        Ok(rows)
    }

    pub(super) fn list_features(&self, entity: Entity) -> Result<Vec<FeatureInfo>> {
        if !self.file.link_exists("features") {
            return Ok(Vec::new());
        }
        let names = self.members(&format!("/features/{}", entity.name()))?;
        names.into_iter().map(|name| self.feature_info(entity, name)).collect()
    }

    fn feature_info(&self, entity: Entity, name: String) -> Result<FeatureInfo> {
        let place = feature_place(entity, &name);
        let group = self.group(&place)?;
        let failed = |e: hdf5::Error| self.fault(&place, e);
        let encoding = strings::read_attr(&group, "encoding").map_err(failed)?;
        let Some(encoding) = Encoding::ALL.into_iter().find(|e| e.name() == encoding) else {
            return Err(self.fault(&place, format!("has the unknown encoding {encoding:?}")));
        };
        let columns = scalar::read::<u64>(&group, "columns").map_err(failed)?;
        let columns = usize::try_from(columns).map_err(|e| self.fault(&place, e))?;
        let units = strings::read_attr(&group, "units").map_err(failed)?;
        let rows = array::open::<u32>(&group, "entity", 1).map_err(failed)?.rows();
        feature_rules::check_shape(rows, columns).map_err(|e| self.fault(&place, e))?;
        let values = open_values(&group, encoding).map_err(failed)?;
        let shape = match &values {
            Values::F32(array) => &array.shape[..],
            Values::Bits(array) => &array.shape[..],
        };
        if shape != [rows, encoding.width(columns)] {
            let what = format!("values have shape {shape:?} for {rows} rows of {columns} columns");
            return Err(self.fault(place, what));
        }
        Ok(FeatureInfo { entity, name, encoding, rows, columns, units })
    }
}

/// The values of a feature table as they are kept.
enum Values {
    F32(ArrayReader<f32>),
    Bits(ArrayReader<u8>),
}

impl Values {
    /// Whole rows of `columns` values, bits widened.
    fn read(&self, rows: Range<usize>, columns: usize) -> hdf5::Result<Vec<f32>> {
        let bits = match self {
            Values::F32(array) => return array.read(rows),
            Values::Bits(array) => array,
        };
        let mut widened: Vec<f32> = Vec::new();
        if widened.try_reserve_exact(rows.len() * columns).is_err() {
            return Err("is too wide for this machine's memory".into());
        }
        for row in bits.read(rows)?.chunks_exact(bits.shape[1]) {
            widened.extend((0..columns).map(|c| f32::from(row[c / 8] >> (c % 8) & 1)));
        }
        Ok(widened)
    }
}

fn open_values(group: &Group, encoding: Encoding) -> hdf5::Result<Values> {
    match encoding {
        Encoding::F32 => array::open(group, "values", 2).map(Values::F32),
        Encoding::Bits => array::open(group, "values", 2).map(Values::Bits),
    }
}

pub(super) fn feature_place(entity: Entity, name: &str) -> String {
    format!("/features/{}/{name}", entity.name())
}
