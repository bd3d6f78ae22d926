//! Reading datasets: runs of pairs, scattered pairs, labels and splits.

use super::array_reader::ArrayReader;
use super::fault::absent;
use super::{DatasetInfo, Entity, Pairs, SplitRows, Store, array, strings};
use crate::Result;
use bytemuck::Pod;
use hdf5::H5Type;
use std::ops::Range;

impl Store {
    /// The datasets, by name.
    pub fn datasets(&self) -> &[DatasetInfo] {
        &self.datasets
    }

    /// The dataset `name`, or an error that lists those that are there.
    pub fn dataset(&self, name: &str) -> Result<&DatasetInfo> {
        self.datasets.iter().find(|d| d.name == name).ok_or_else(|| {
            self.fault("/datasets", absent("dataset", name, self.datasets.iter().map(|d| &d.name)))
        })
    }

    /// The pairs `rows` of a dataset with one endpoint, read as one hyperslab.
    /// Refuses, naming the row: an index out of range, an endpoint or dose
    /// that is infinite, a dose that is missing.
    pub fn pairs(&self, dataset: &str, endpoint: &str, rows: Range<usize>) -> Result<Pairs> {
        self.pair_arrays(dataset, endpoint)?.read(rows)
    }

    /// All pairs of a dataset with one endpoint, in blocks of a size that is
    /// read at a time, each with the row that it begins at.
    pub fn pair_blocks<'a>(
        &'a self,
        dataset: &'a str,
        endpoint: &'a str,
    ) -> Result<impl Iterator<Item = Result<(usize, Pairs)>> + 'a> {
        let arrays = self.pair_arrays(dataset, endpoint)?;
        Ok(arrays.info.blocks().map(move |rows| Ok((rows.start, arrays.read(rows)?))))
    }

    /// The pairs at `rows` of a dataset, in that order; a row may be asked for
    /// more than once. Reads each chunk that holds one of them once, so memory
    /// beyond the result is 4 bytes a row and one chunk.
    pub fn pairs_at(&self, dataset: &str, endpoint: &str, rows: &[u32]) -> Result<Pairs> {
        let arrays = self.pair_arrays(dataset, endpoint)?;
        let mut order: Vec<u32> = (0..rows.len()).map(|i| i as u32).collect();
        order.sort_unstable_by_key(|&i| rows[i as usize]);
        if let Some(&row) = order.last().map(|&i| &rows[i as usize])
            && row as usize >= arrays.info.pairs
        {
            return Err(
                self.fault(&arrays.place, format!("row {row} of {} was asked for", arrays.info.pairs))
            );
        }
        let n = rows.len();
        let mut pairs = Pairs {
            drug: vec![0; n],
            sample: vec![0; n],
            dose: if arrays.dose.is_some() { vec![0.0; n] } else { Vec::new() },
            value: vec![0.0; n],
        };
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let chunk = rows[first as usize] as usize / array::CHUNK_PAIRS;
            let within = rest.partition_point(|&i| rows[i as usize] as usize / array::CHUNK_PAIRS == chunk);
            let (here, later) = rest.split_at(within);
            rest = later;
            let start = rows[first as usize] as usize;
            let end = here.last().map_or(start, |&i| rows[i as usize] as usize) + 1;
            let block = arrays.read(start..end)?;
            for &i in here {
                let (to, from) = (i as usize, rows[i as usize] as usize - start);
                pairs.drug[to] = block.drug[from];
                pairs.sample[to] = block.sample[from];
                pairs.value[to] = block.value[from];
                if let Some(dose) = pairs.dose.get_mut(to) {
                    *dose = block.dose[from];
                }
            }
        }
        Ok(pairs)
    }

    /// 0-based rows, in the response table that they came from, of the pairs `rows`.
    pub fn rows_of_table(&self, dataset: &str, rows: Range<usize>) -> Result<Vec<u64>> {
        self.slice(dataset, "row", rows)
    }

    /// The endpoint of the pairs `rows`, NaN where it was not measured.
    pub fn endpoint_values(&self, dataset: &str, endpoint: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        self.known_endpoint(dataset, endpoint)?;
        let name = format!("endpoint/{endpoint}");
        let values = self.slice::<f32>(dataset, &name, rows.clone())?;
        check_finite(&values, rows.start, true).map_err(|e| self.fault(dataset_place(dataset, &name), e))?;
        Ok(values)
    }

    /// A text column of a dataset: a code a pair, and the text of each code.
    pub fn label(&self, dataset: &str, label: &str) -> Result<(Vec<u16>, Vec<String>)> {
        let info = self.dataset(dataset)?;
        let place = dataset_place(dataset, &format!("label/{label}"));
        if !info.labels.iter().any(|l| l == label) {
            let what = absent("text column", label, &info.labels);
            return Err(self.fault(dataset_place(dataset, "label"), what));
        }
        let values =
            strings::read(&self.file, &format!("{place}/value")).map_err(|e| self.fault(&place, e))?;
        let codes = self.slice::<u16>(dataset, &format!("label/{label}/code"), 0..info.pairs)?;
        if let Some(row) = codes.iter().position(|&c| usize::from(c) >= values.len()) {
            let what = format!("row {row} has code {}, but there are {} values", codes[row], values.len());
            return Err(self.fault(place, what));
        }
        Ok((codes, values))
    }

    /// The rows of split `k`, checked as [`SplitRows::check`] says.
    pub fn split(&self, dataset: &str, k: u32) -> Result<SplitRows> {
        let info = self.dataset(dataset)?;
        let place = dataset_place(dataset, &format!("split/{k}"));
        if !info.splits.contains(&k) {
            return Err(self.fault(dataset_place(dataset, "split"), absent("split", k, &info.splits)));
        }
        let part = |name: &str| self.read_u32(&format!("{place}/{name}"));
        let rows = SplitRows { train: part("train")?, val: part("val")?, test: part("test")? };
        rows.check(info.pairs).map_err(|e| self.fault(place, e))?;
        Ok(rows)
    }

    pub(super) fn list_datasets(&self) -> Result<Vec<DatasetInfo>> {
        self.members("/datasets")?.into_iter().map(|name| self.dataset_info(name)).collect()
    }

    fn dataset_info(&self, name: String) -> Result<DatasetInfo> {
        if let Some(why) = super::names::why_not_dataset(&name) {
            return Err(self.fault("/datasets", why));
        }
        let place = dataset_place(&name, "");
        let place = place.trim_end_matches('/');
        let group = self.group(place)?;
        let failed = |e: hdf5::Error| self.fault(place, e);
        let columns = strings::read_attr_list(&group, "columns").map_err(failed)?;
        let pairs = array::open::<u32>(&group, "drug", 1).map_err(failed)?.rows();
        if u32::try_from(pairs).is_err() {
            return Err(self.fault(place, format!("has {pairs} pairs; the limit is {}", u32::MAX)));
        }
        if pairs == 0 {
            return Err(self.fault(place, "has no pairs"));
        }
        self.same_length::<u32>(&name, "sample", pairs)?;
        self.same_length::<u64>(&name, "row", pairs)?;
        let dose = group.link_exists("dose");
        if dose {
            self.same_length::<f32>(&name, "dose", pairs)?;
        }
        let mut endpoints = Vec::new();
        for endpoint in self.members(&format!("{place}/endpoint"))? {
            let inner = format!("endpoint/{endpoint}");
            let array = self.same_length::<f32>(&name, &inner, pairs)?;
            let units = strings::read_attr(&array.array, "units").map_err(failed)?;
            endpoints.push((endpoint, units));
        }
        if endpoints.is_empty() {
            return Err(self.fault(place, "has no endpoint"));
        }
        let labels = self.members(&format!("{place}/label"))?;
        for label in &labels {
            self.same_length::<u16>(&name, &format!("label/{label}/code"), pairs)?;
        }
        let mut splits = Vec::new();
        for k in self.members(&format!("{place}/split"))? {
            let Ok(number) = k.parse() else {
                return Err(self.fault(format!("{place}/split"), format!("{k:?} is not a split's number")));
            };
            splits.push(number);
        }
        splits.sort_unstable();
        Ok(DatasetInfo { name, pairs, dose, endpoints, labels, splits, columns })
    }

    fn same_length<T: H5Type>(&self, dataset: &str, name: &str, pairs: usize) -> Result<ArrayReader<T>> {
        let place = dataset_place(dataset, name);
        let array = array::open::<T>(&self.file, &place, 1).map_err(|e| self.fault(&place, e))?;
        if array.shape != [pairs] {
            return Err(self.fault(place, format!("holds {} values for {pairs} pairs", array.shape[0])));
        }
        Ok(array)
    }

    fn known_endpoint(&self, dataset: &str, endpoint: &str) -> Result<&DatasetInfo> {
        let info = self.dataset(dataset)?;
        if info.endpoints.iter().any(|(name, _)| name == endpoint) {
            return Ok(info);
        }
        let what = absent("endpoint", endpoint, info.endpoints.iter().map(|(name, _)| name));
        Err(self.fault(dataset_place(dataset, "endpoint"), what))
    }

    fn slice<T: H5Type + Pod + Send + Sync>(
        &self,
        dataset: &str,
        name: &str,
        rows: Range<usize>,
    ) -> Result<Vec<T>> {
        let pairs = self.dataset(dataset)?.pairs;
        let array = self.same_length::<T>(dataset, name, pairs)?;
        array.read(rows).map_err(|e| self.fault(dataset_place(dataset, name), e))
    }

    fn pair_arrays(&self, dataset: &str, endpoint: &str) -> Result<PairArrays<'_>> {
        let info = self.known_endpoint(dataset, endpoint)?;
        let value = format!("endpoint/{endpoint}");
        Ok(PairArrays {
            store: self,
            info,
            place: dataset_place(dataset, &value),
            drug: self.same_length(dataset, "drug", info.pairs)?,
            sample: self.same_length(dataset, "sample", info.pairs)?,
            dose: if info.dose { Some(self.same_length(dataset, "dose", info.pairs)?) } else { None },
            value: self.same_length(dataset, &value, info.pairs)?,
        })
    }
}

/// The arrays of one dataset, open.
struct PairArrays<'a> {
    store: &'a Store,
    info: &'a DatasetInfo,
    place: String,
    drug: ArrayReader<u32>,
    sample: ArrayReader<u32>,
    dose: Option<ArrayReader<f32>>,
    value: ArrayReader<f32>,
}

impl PairArrays<'_> {
    fn read(&self, rows: Range<usize>) -> Result<Pairs> {
        let at = |name: &str| dataset_place(&self.info.name, name);
        let index = |array: &ArrayReader<u32>, entity: Entity| {
            let count = self.store.count(entity);
            let read = || {
                let indices = array.read(rows.clone())?;
                match indices.iter().position(|&i| i as usize >= count) {
                    None => Ok(indices),
                    Some(bad) => Err(hdf5::Error::from(format!(
                        "row {}: index {} is out of range, there are {count} {}",
                        rows.start + bad,
                        indices[bad],
                        entity.plural()
                    ))),
                }
            };
            read().map_err(|e| self.store.fault(at(entity.name()), e))
        };
        let finite = |array: &ArrayReader<f32>, missing: bool, place: &str| {
            array
                .read(rows.clone())
                .and_then(|values| {
                    check_finite(&values, rows.start, missing).map(|()| values).map_err(Into::into)
                })
                .map_err(|e| self.store.fault(place, e))
        };
        Ok(Pairs {
            drug: index(&self.drug, Entity::Drug)?,
            sample: index(&self.sample, Entity::Sample)?,
            dose: self.dose.as_ref().map_or(Ok(Vec::new()), |d| finite(d, false, &at("dose")))?,
            value: finite(&self.value, true, &self.place)?,
        })
    }
}

/// `first` is the row of `values[0]`; `missing` allows NaN.
pub(super) fn check_finite(values: &[f32], first: usize, missing: bool) -> Result<(), String> {
    match values.iter().position(|v| !(v.is_finite() || missing && v.is_nan())) {
        Some(bad) => Err(format!("row {} is {}", first + bad, values[bad])),
        None => Ok(()),
    }
}

pub(super) fn dataset_place(dataset: &str, name: &str) -> String {
    format!("/datasets/{dataset}/{name}")
}
