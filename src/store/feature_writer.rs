use super::array_writer::{self, ArrayWriter};
use super::features::feature_place;
use super::{Encoding, FeatureInfo, StoreWriter, array, feature_rules, scalar, strings};
use crate::Result;
use hdf5::Group;
use ndarray::ArrayView2;

/// Writes the rows of one feature table in order. The values are kept as f32,
/// or as packed bits where the table says so.
pub struct FeatureWriter<'a> {
    writer: &'a mut StoreWriter,
    info: FeatureInfo,
    group: Group,
    values: ArrayWriter,
    filled: usize,
    missing: u64,
}

impl<'a> FeatureWriter<'a> {
    pub(super) fn begin(
        writer: &'a mut StoreWriter,
        info: FeatureInfo,
        names: &[String],
        entity: &[u32],
    ) -> Result<Self> {
        let place = feature_place(info.entity, &info.name);
        // A part that could not be begun is not finished either.
        writer.open_part = Some(place.clone());
        let begin = || {
            let group = writer.file.create_group(&place)?;
            strings::write_attr(&group, "encoding", info.encoding.name())?;
            strings::write_attr(&group, "units", &info.units)?;
            scalar::write(&group, "columns", &(info.columns as u64))?;
            array::write(&group, "entity", entity)?;
            strings::write(&group, "names", names)?;
            let width = info.encoding.width(info.columns);
            let bytes = match info.encoding {
                Encoding::F32 => 4,
                Encoding::Bits => 1,
            };
            let wide = width.min(array::CHUNK_BYTES / bytes);
            let chunk = [(array::CHUNK_BYTES / bytes / wide).clamp(1, info.rows.max(1)), wide];
            let shape = [info.rows, width];
            let values = match info.encoding {
                Encoding::F32 => array::begin::<f32>(&group, "values", &shape, &chunk)?,
                Encoding::Bits => array::begin::<u8>(&group, "values", &shape, &chunk)?,
            };
            Ok((group, values))
        };
        let (group, values) = begin().map_err(|e: hdf5::Error| writer.fault(&place, e))?;
        Ok(Self { writer, info, group, values, filled: 0, missing: 0 })
    }

    /// Notes where the table came from, such as the name of the file it was read from.
    pub fn origin(&mut self, origin: &str) -> Result<()> {
        strings::write_attr(&self.group, "origin", origin).map_err(|e| self.writer.fault(self.place(), e))
    }

    /// Appends rows, `[any, columns]`, NaN where there is no value. Refuses,
    /// naming row and column, an infinite value, and in a table of bits one that
    /// is neither 0 nor 1.
    pub fn append(&mut self, rows: ArrayView2<f32>) -> Result<()> {
        let (n, columns) = rows.dim();
        if columns != self.info.columns || self.filled + n > self.info.rows {
            let what = format!(
                "{n} rows of {columns} columns after {} rows of a table of {} by {}",
                self.filled, self.info.rows, self.info.columns
            );
            return Err(self.writer.fault(self.place(), what));
        }
        let rows = rows.as_standard_layout();
        let values = rows.as_slice().unwrap_or_default();
        feature_rules::check_values(self.info.encoding, values, columns, self.filled)
            .map_err(|e| self.writer.fault(self.place(), e))?;
        match self.info.encoding {
            Encoding::F32 => self.values.append(values),
            Encoding::Bits => self.values.append(&packed(values, columns)),
        }
        array_writer::flush([&mut self.values]).map_err(|e| self.writer.fault(self.place(), e))?;
        self.filled += n;
        self.missing += values.iter().filter(|v| v.is_nan()).count() as u64;
        Ok(())
    }

    /// Closes the table; an error if rows are missing.
    pub fn finish(mut self) -> Result<()> {
        if self.filled != self.info.rows {
            let what = format!("{} rows of {} were written", self.filled, self.info.rows);
            return Err(self.writer.fault(self.place(), what));
        }
        self.values.close();
        array_writer::flush([&mut self.values]).map_err(|e| self.writer.fault(self.place(), e))?;
        let noted = scalar::write(&self.group, "missing", &self.missing);
        noted.map_err(|e| self.writer.fault(self.place(), e))?;
        self.writer.open_part = None;
        Ok(())
    }

    fn place(&self) -> String {
        feature_place(self.info.entity, &self.info.name)
    }
}

/// Bits of rows of `columns` values of 0 and 1, each row from a byte of its own on, lowest bit first.
fn packed(values: &[f32], columns: usize) -> Vec<u8> {
    let rows = values.chunks_exact(columns);
    let bytes = rows.flat_map(|row| row.chunks(8));
    bytes.map(|bits| (0..).zip(bits).fold(0, |byte, (at, &v)| byte | u8::from(v == 1.0) << at)).collect()
}
