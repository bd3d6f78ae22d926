//! A store in 128 bits: whether two ranks, or a run and what it is resumed from, have one corpus.

use super::features::feature_place;
use super::pairs::dataset_place;
use super::{Encoding, Entity, Store, array, chunk, chunk_io, strings};
use crate::Result;
use hdf5::{Dataset, H5Type};
use rayon::prelude::*;
use twox_hash::XxHash3_128;

impl Store {
    /// What the store holds, as 32 hexadecimal digits: the same for every copy of a store, and for
    /// every store that the same import made from the same tables; another, but by a chance of
    /// 2^-128, where any entity, text, feature value, pair, label, split, name, unit or attribute
    /// differs. Where the content came from (program, command lines, time, the file of a feature
    /// table) is left out, and so is whatever else a program put beside the layout.
    ///
    /// It is XXH3 (Collet 2021, 128 bits, unkeyed: a guard against mistakes, not against forgery)
    /// over names, attributes, shapes and the chunks as they are stored, which are read once and
    /// not undone: stores of equal content but other chunks, filters or another deflate have other
    /// digests. That costs about what copying the file to memory does. (The checksum at the end of
    /// a chunk would do in place of the chunk, but HDF5 before 1.14 finds the addresses of `n`
    /// chunks in `n`² steps, which takes longer from about a thousand chunks on; and Fletcher's sum
    /// cannot tell words of all zeros from words of all ones.)
    ///
    /// Fails where an array is not one that the layout allows, or a chunk is missing. Whether
    /// chunks fit their checksums is for [`verify`](super::verify) and for reading.
    pub fn digest(&self) -> Result<String> {
        let mut walk = Walk { store: self, hash: XxHash3_128::new() };
        walk.number(u64::from(self.provenance().schema_version));
        for entity in Entity::ALL {
            walk.entities(entity)?;
            walk.features(entity)?;
        }
        walk.datasets()?;
        walk.truth()?;
        Ok(format!("{:032x}", walk.hash.finish_128()))
    }
}

/// A walk over the layout in its own order, names sorted by byte. What it meets is hashed so that
/// no two stores give the same sequence of bytes: text after its length, parts after their number.
struct Walk<'a> {
    store: &'a Store,
    hash: XxHash3_128,
}

impl Walk<'_> {
    fn number(&mut self, number: u64) {
        self.hash.write(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.hash.write(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }

    fn entities(&mut self, entity: Entity) -> Result<()> {
        let place = format!("/{}", entity.plural());
        self.strings(&format!("{place}/id"))?;
        let columns = self.store.texts(entity)?;
        self.texts(&columns);
        columns.iter().try_for_each(|column| self.strings(&format!("{place}/text/{column}")))
    }

    fn features(&mut self, entity: Entity) -> Result<()> {
        let tables = self.store.features(entity);
        self.number(tables.len() as u64);
        for table in tables {
            self.text(&table.name);
            self.text(table.encoding.name());
            self.number(table.columns as u64);
            self.text(&table.units);
            self.number(self.store.feature_missing(table)?);
            let place = feature_place(entity, &table.name);
            self.numbers::<u32>(&format!("{place}/entity"), 1)?;
            self.strings(&format!("{place}/names"))?;
            match table.encoding {
                Encoding::F32 => self.numbers::<f32>(&format!("{place}/values"), 2)?,
                Encoding::Bits => self.numbers::<u8>(&format!("{place}/values"), 2)?,
            }
        }
        Ok(())
    }

    fn datasets(&mut self) -> Result<()> {
        self.number(self.store.datasets().len() as u64);
        for info in self.store.datasets() {
            let place = |name: &str| dataset_place(&info.name, name);
            self.text(&info.name);
            self.texts(&info.columns);
            self.numbers::<u32>(&place("drug"), 1)?;
            self.numbers::<u32>(&place("sample"), 1)?;
            self.numbers::<u64>(&place("row"), 1)?;
            self.number(u64::from(info.dose));
            if info.dose {
                self.numbers::<f32>(&place("dose"), 1)?;
                let units = self.dose_units(&place("dose"))?;
                self.text(&units);
            }
            self.number(info.endpoints.len() as u64);
            for (endpoint, units) in &info.endpoints {
                self.text(endpoint);
                self.text(units);
                self.numbers::<f32>(&place(&format!("endpoint/{endpoint}")), 1)?;
            }
            self.texts(&info.labels);
            for label in &info.labels {
                self.numbers::<u16>(&place(&format!("label/{label}/code")), 1)?;
                self.strings(&place(&format!("label/{label}/value")))?;
            }
            self.number(info.splits.len() as u64);
            for k in &info.splits {
                self.number(u64::from(*k));
                for part in ["train", "val", "test"] {
                    self.numbers::<u32>(&place(&format!("split/{k}/{part}")), 1)?;
                }
            }
        }
        Ok(())
    }

    fn truth(&mut self) -> Result<()> {
        let known = self.store.file.link_exists("truth");
        self.number(u64::from(known));
        if known {
            let group = self.store.group("/truth")?;
            let order =
                strings::read_attr_list(&group, "order").map_err(|e| self.store.fault("/truth", e))?;
            self.texts(&order);
            self.numbers::<f64>("/truth/best_r2", 2)?;
        }
        Ok(())
    }

    /// The unit of doses, which readers do not need: empty where another program left it out.
    fn dose_units(&self, place: &str) -> Result<String> {
        let read = || {
            let array = self.store.file.dataset(place)?;
            if array.attr_names()?.iter().any(|name| name == "units") {
                return strings::read_attr(&array, "units");
            }
            Ok(String::new())
        };
        read().map_err(|e: hdf5::Error| self.store.fault(place, e))
    }

    fn numbers<T: H5Type>(&mut self, place: &str, ndim: usize) -> Result<()> {
        let open = || array::open::<T>(&self.store.file, place, ndim);
        let reader = open().map_err(|e| self.store.fault(place, e))?;
        self.array(place, &reader.array, size_of::<T>())
    }

    fn strings(&mut self, place: &str) -> Result<()> {
        let open = || {
            let array = self.store.file.dataset(place)?;
            strings::width(&array).map(|width| (array, width))
        };
        let (array, width) = open().map_err(|e| self.store.fault(place, e))?;
        self.array(place, &array, width)
    }

    /// Shape, chunks and filters of an array of values of `width` bytes, and every chunk as it is stored.
    fn array(&mut self, place: &str, array: &Dataset, width: usize) -> Result<()> {
        let failed = |e: hdf5::Error| self.store.fault(place, e);
        let (shape, chunk, pipeline) = array::checked_layout(array, width).map_err(failed)?;
        let chunks = hash_chunks(array, &shape, &chunk, width).map_err(failed)?;
        self.number(width as u64);
        for extents in [&shape, &chunk] {
            self.number(extents.len() as u64);
            extents.iter().for_each(|&n| self.number(n as u64));
        }
        self.number(pipeline.len() as u64);
        pipeline.iter().for_each(|&filter| self.number(filter as u64));
        self.number(chunks.len() as u64);
        for (skipped, hash) in chunks {
            self.hash.write(&skipped.to_le_bytes());
            self.hash.write(&hash.to_le_bytes());
        }
        Ok(())
    }
}

/// Of every chunk, row after row of chunks, which filters it skipped and the hash of its stored bytes.
fn hash_chunks(
    array: &Dataset,
    shape: &[usize],
    chunk: &[usize],
    width: usize,
) -> hdf5::Result<Vec<(u32, u128)>> {
    let at = |of: &[usize], axis: usize| of.get(axis).copied().unwrap_or(1);
    let (height, wide) = (at(chunk, 0), at(chunk, 1));
    let across = at(shape, 1).div_ceil(wide);
    let limit = chunk::longest_stored(height * wide * width);
    (0..at(shape, 0).div_ceil(height) * across)
        .into_par_iter()
        .map_init(Vec::new, |bytes, k| {
            let offset = [k / across * height, k % across * wide];
            let skipped = chunk_io::read_into(array, offset, limit, bytes)?;
            Ok((skipped, XxHash3_128::oneshot(bytes)))
        })
        .collect()
}
