use super::array_writer::{self, ArrayWriter};
use super::pairs::{check_finite, dataset_place};
use super::{Entity, PairBlock, StoreWriter, array, strings};
use crate::Result;
use hdf5::{Group, H5Type};

/// Writes the pairs of one dataset, block after block; memory does not grow
/// with the number of pairs.
pub struct DatasetWriter<'a> {
    writer: &'a mut StoreWriter,
    name: String,
    group: Group,
    drug: ArrayWriter,
    sample: ArrayWriter,
    row: ArrayWriter,
    dose: Option<ArrayWriter>,
    endpoints: Vec<(String, ArrayWriter)>,
    labels: Vec<Label>,
    pairs: usize,
}

struct Label {
    name: String,
    code: ArrayWriter,
    /// One more than the largest code written.
    codes: usize,
    values: Option<Vec<String>>,
    kept: bool,
}

impl<'a> DatasetWriter<'a> {
    pub(super) fn begin(
        writer: &'a mut StoreWriter,
        name: &str,
        endpoints: &[(String, String)],
        dose: bool,
        labels: &[String],
        columns: &[String],
    ) -> Result<Self> {
        // A part that could not be begun is not finished either.
        writer.open_part = Some(format!("/datasets/{name}"));
        let begin = || {
            let group = writer.file.group("datasets")?.create_group(name)?;
            strings::write_attr_list(&group, "columns", columns)?;
            let dose = if dose {
                let dose = growing::<f32>(&group, "dose")?;
                strings::write_attr(dose.array(), "units", "log10 M")?;
                Some(dose)
            } else {
                None
            };
            let mut values = Vec::new();
            let inner = group.create_group("endpoint")?;
            for (endpoint, units) in endpoints {
                let value = growing::<f32>(&inner, endpoint)?;
                strings::write_attr(value.array(), "units", units)?;
                values.push((endpoint.clone(), value));
            }
            let mut codes = Vec::new();
            let inner = group.create_group("label")?;
            for label in labels {
                let code = growing::<u16>(&inner.create_group(label)?, "code")?;
                codes.push(Label { name: label.clone(), code, codes: 0, values: None, kept: true });
            }
            group.create_group("split")?;
            let (drug, sample) = (growing::<u32>(&group, "drug")?, growing::<u32>(&group, "sample")?);
            let row = growing::<u64>(&group, "row")?;
            Ok((group, drug, sample, row, dose, values, codes))
        };
        let (group, drug, sample, row, dose, endpoints, labels) =
            begin().map_err(|e: hdf5::Error| writer.fault(format!("/datasets/{name}"), e))?;
        Ok(Self { writer, name: name.into(), group, drug, sample, row, dose, endpoints, labels, pairs: 0 })
    }

    /// Pairs written so far.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Appends pairs. Refuses arrays of unequal lengths and, naming the row,
    /// an index out of range, an infinite endpoint, a dose that is not finite.
    pub fn append(&mut self, block: &PairBlock) -> Result<()> {
        let n = block.drug.len();
        let dose = if self.dose.is_some() { n } else { 0 };
        let lengths = [block.sample.len() == n, block.row.len() == n, block.dose.len() == dose];
        let fits = lengths.iter().all(|&l| l)
            && block.endpoints.len() == self.endpoints.len()
            && block.labels.len() == self.labels.len()
            && block.endpoints.iter().all(|e| e.len() == n)
            && block.labels.iter().all(|l| l.len() == n);
        if !fits {
            return Err(self.fault("", "a block's arrays do not fit the dataset"));
        }
        if self.pairs.checked_add(n).is_none_or(|total| u32::try_from(total).is_err()) {
            return Err(self.fault("", format!("has more than {} pairs", u32::MAX)));
        }
        for (entity, indices) in [(Entity::Drug, &block.drug), (Entity::Sample, &block.sample)] {
            let count = self.writer.ids(entity).len();
            if let Some(bad) = indices.iter().position(|&i| i as usize >= count) {
                let what = format!("row {}: index {} of {count}", self.pairs + bad, indices[bad]);
                return Err(self.fault(entity.name(), what));
            }
        }
        check_finite(&block.dose, self.pairs, false).map_err(|e| self.fault("dose", e))?;
        for ((name, _), values) in self.endpoints.iter().zip(&block.endpoints) {
            check_finite(values, self.pairs, true).map_err(|e| self.fault(&format!("endpoint/{name}"), e))?;
        }
        for (label, codes) in self.labels.iter_mut().zip(&block.labels) {
            label.codes = codes.iter().fold(label.codes, |top, &c| top.max(usize::from(c) + 1));
        }
        self.drug.append(&block.drug);
        self.sample.append(&block.sample);
        self.row.append(&block.row);
        if let Some(dose) = &mut self.dose {
            dose.append(&block.dose);
        }
        for ((_, array), values) in self.endpoints.iter_mut().zip(&block.endpoints) {
            array.append(values);
        }
        for (label, codes) in self.labels.iter_mut().zip(&block.labels).filter(|(l, _)| l.kept) {
            label.code.append(codes);
        }
        array_writer::flush(self.arrays()).map_err(|e| self.fault("", e))?;
        self.pairs += n;
        Ok(())
    }

    /// All arrays of one value a pair.
    fn arrays(&mut self) -> impl Iterator<Item = &mut ArrayWriter> {
        let endpoints = self.endpoints.iter_mut().map(|(_, array)| array);
        let labels = self.labels.iter_mut().filter(|l| l.kept).map(|l| &mut l.code);
        let indices = [&mut self.drug, &mut self.sample, &mut self.row];
        indices.into_iter().chain(&mut self.dose).chain(endpoints).chain(labels)
    }

    /// The text of each code of the text column `label`.
    pub fn label_values(&mut self, label: &str, values: &[String]) -> Result<()> {
        match self.labels.iter_mut().find(|l| l.name == label) {
            Some(found) => {
                found.values = Some(values.to_vec());
                Ok(())
            }
            None => Err(self.fault(&format!("label/{label}"), "was not declared")),
        }
    }

    /// Takes the text column `label` out again, for it has more than 65,536 texts.
    pub fn leave_out_label(&mut self, label: &str) -> Result<()> {
        let removed = self.group.unlink(&format!("label/{label}"));
        removed.map_err(|e| self.fault(&format!("label/{label}"), e))?;
        // Blocks keep its place.
        if let Some(left) = self.labels.iter_mut().find(|l| l.name == label) {
            left.kept = false;
        }
        Ok(())
    }

    /// Takes `endpoint` out again, for no pair has a value of it.
    pub fn leave_out_endpoint(&mut self, endpoint: &str) -> Result<()> {
        let place = format!("endpoint/{endpoint}");
        self.group.unlink(&place).map_err(|e| self.fault(&place, e))?;
        self.endpoints.retain(|(name, _)| name != endpoint);
        Ok(())
    }

    /// Takes the dataset out again.
    pub fn abandon(self) -> Result<()> {
        let removed = self.writer.file.unlink(&format!("datasets/{}", self.name));
        removed.map_err(|e| self.fault("", e))?;
        self.writer.open_part = None;
        Ok(())
    }

    /// Closes the dataset; an error if it has no pairs or no endpoint, or a text column lacks values.
    pub fn finish(mut self) -> Result<()> {
        if self.pairs == 0 {
            return Err(self.fault("", "has no pairs"));
        }
        if self.endpoints.is_empty() {
            return Err(self.fault("", "has no endpoint"));
        }
        self.arrays().for_each(ArrayWriter::close);
        array_writer::flush(self.arrays()).map_err(|e| self.fault("", e))?;
        for label in self.labels.iter().filter(|l| l.kept) {
            let place = format!("label/{}", label.name);
            let values = label.values.as_deref().unwrap_or_default();
            if values.len() < label.codes {
                return Err(self.fault(&place, format!("{} values for {} codes", values.len(), label.codes)));
            }
            let write = || strings::write(&self.group.group(&place)?, "value", values);
            write().map_err(|e| self.fault(&place, e))?;
        }
        self.writer.pairs.push((self.name, self.pairs));
        self.writer.open_part = None;
        Ok(())
    }

    fn fault(&self, name: &str, what: impl ToString) -> crate::Error {
        self.writer.fault(dataset_place(&self.name, name).trim_end_matches('/'), what)
    }
}

fn growing<T: H5Type>(group: &Group, name: &str) -> hdf5::Result<ArrayWriter> {
    array::begin::<T>(group, name, &[0], &[array::CHUNK_PAIRS])
}
