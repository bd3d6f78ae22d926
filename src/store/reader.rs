use super::fault::fault;
use super::{DatasetInfo, Encoding, Entity, FeatureInfo, FeatureTable, Provenance, SCHEMA_VERSION};
use super::{array, links, provenance, scalar, strings};
use crate::{Error, Result};
use hdf5::{File, Group};
use ndarray::{Array2, s};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A store open for reading. Any number of ranks may open the same file at
/// once. Nothing in the file is trusted: types, shapes, filters, lengths and
/// indices are checked before they are used, and a fault is an
/// [`Error::Store`] naming the place inside the file.
#[derive(Debug)]
pub struct Store {
    pub(super) file: File,
    pub(super) path: PathBuf,
    provenance: Provenance,
    counts: [usize; 2],
    features: [Vec<FeatureInfo>; 2],
    pub(super) datasets: Vec<DatasetInfo>,
}

impl Store {
    /// Opens the store at `path` and reads all that describes it: entity
    /// counts, feature tables without values, datasets without pairs.
    pub fn open(path: &Path) -> Result<Store> {
        Store::open_copy(path, path)
    }

    /// Opens `copy`, a copy of the store at `path`, which messages speak of.
    pub(super) fn open_copy(copy: &Path, path: &Path) -> Result<Store> {
        // Failures become one line of our own; HDF5's stack on stderr would repeat them.
        hdf5::silence_errors(true);
        if let Err(e) = std::fs::File::open(copy) {
            return Err(Error::io(path, "cannot open the store", e));
        }
        let file = File::open(copy).map_err(|e| fault(path, "/", format!("cannot open: {e}")))?;
        let provenance = provenance::read(&file).map_err(|e| fault(path, "/", e))?;
        if provenance.schema_version != SCHEMA_VERSION {
            return Err(Error::store(
                path,
                "/",
                format!(
                    "has schema version {}, this program reads {SCHEMA_VERSION}; make the store again",
                    provenance.schema_version
                ),
            ));
        }
        links::only_hard(&file, path)?;
        let mut store = Store {
            file,
            path: path.into(),
            provenance,
            counts: [0; 2],
            features: [Vec::new(), Vec::new()],
            datasets: Vec::new(),
        };
        for entity in Entity::ALL {
            store.counts[entity as usize] = store.count_ids(entity)?;
            store.features[entity as usize] = store.list_features(entity)?;
        }
        store.datasets = store.list_datasets()?;
        Ok(store)
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who wrote it, when, and by which commands.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Number of drugs or samples.
    pub fn count(&self, entity: Entity) -> usize {
        self.counts[entity as usize]
    }

    /// The ids of all drugs or samples, by index. Refuses one that is empty
    /// or there twice.
    pub fn ids(&self, entity: Entity) -> Result<Vec<String>> {
        let ids = self.entity_strings(entity, "id")?;
        let mut seen = HashSet::with_capacity(ids.len());
        match ids.iter().find(|id| id.is_empty() || !seen.insert(id.as_str())) {
            Some(bad) => {
                Err(self
                    .fault(format!("/{}/id", entity.plural()), format!("{bad:?} is empty or there twice")))
            }
            None => Ok(ids),
        }
    }

    /// The names of the text columns of drugs or samples, such as `smiles`.
    pub fn texts(&self, entity: Entity) -> Result<Vec<String>> {
        self.members(&format!("/{}/text", entity.plural()))
    }

    /// A text column of drugs or samples, by index; empty where there is none.
    pub fn text(&self, entity: Entity, column: &str) -> Result<Vec<String>> {
        let known = self.texts(entity)?;
        if !known.iter().any(|k| k == column) {
            let there = one_of(&known);
            return Err(self.fault(
                format!("/{}/text", entity.plural()),
                format!("has no text column {column:?}; there is {there}"),
            ));
        }
        self.entity_strings(entity, &format!("text/{column}"))
    }

    /// The feature tables of drugs or samples, by name.
    pub fn features(&self, entity: Entity) -> &[FeatureInfo] {
        &self.features[entity as usize]
    }

    /// Reads a feature table whole. A name that is not there is an error that
    /// lists those that are; so are indices out of range or listed twice, and
    /// infinite values. NaN stands where a table has no value.
    pub fn feature(&self, entity: Entity, name: &str) -> Result<FeatureTable> {
        let known = self.features(entity);
        let Some(info) = known.iter().find(|f| f.name == name) else {
            let there = one_of(known.iter().map(|f| &f.name));
            return Err(self.fault(
                format!("/features/{}", entity.name()),
                format!("has no feature table {name:?}; there is {there}"),
            ));
        };
        let place = feature_place(entity, name);
        let names = self.feature_names(info)?;
        let rows = self.feature_entities(info)?;
        let mut flat: Vec<f32> = Vec::new();
        let cells = info.rows.checked_mul(info.columns);
        if cells.is_none_or(|n| flat.try_reserve_exact(n).is_err()) {
            return Err(self.fault(&place, "is too large for this machine's memory"));
        }
        self.feature_blocks(info, |_, block| {
            flat.extend_from_slice(block);
            Ok(())
        })?;
        let shape = (info.rows, info.columns);
        let values = Array2::from_shape_vec(shape, flat).map_err(|e| self.fault(&place, e))?;
        Ok(FeatureTable { info: info.clone(), names, entity: rows, values })
    }

    /// The names of a feature table's columns, `[columns]`, distinct.
    pub(super) fn feature_names(&self, info: &FeatureInfo) -> Result<Vec<String>> {
        let place = feature_place(info.entity, &info.name);
        let group = self.group(&place)?;
        let place = format!("{place}/names");
        let names = strings::read(&group, "names").map_err(|e| self.fault(&place, e))?;
        if names.len() != info.columns {
            return Err(self.fault(place, format!("names {} columns of {}", names.len(), info.columns)));
        }
        let mut seen = HashSet::with_capacity(names.len());
        if let Some(twice) = names.iter().find(|n| !seen.insert(n.as_str())) {
            return Err(self.fault(place, format!("the column {twice:?} is there twice")));
        }
        Ok(names)
    }

    /// How many values a feature table lacks, as its writer counted them.
    pub(super) fn feature_missing(&self, info: &FeatureInfo) -> Result<u64> {
        let place = feature_place(info.entity, &info.name);
        let group = self.group(&place)?;
        scalar::read(&group, "missing").map_err(|e| self.fault(place, e))
    }

    /// Streams the values of a feature table: `each(first row, values)` gets
    /// whole rows, bits widened, no value infinite.
    pub(super) fn feature_blocks(
        &self,
        info: &FeatureInfo,
        mut each: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let place = format!("{}/values", feature_place(info.entity, &info.name));
        let failed = |e: hdf5::Error| self.fault(&place, e);
        let group = self.group(&feature_place(info.entity, &info.name))?;
        let step = (array::CHUNK_PAIRS * 4 / info.columns.max(1)).max(1);
        let file = match info.encoding {
            Encoding::F32 => array::open::<f32>(&group, "values", 2),
            Encoding::Bits => array::open::<u8>(&group, "values", 2),
        };
        let (file, _) = file.map_err(failed)?;
        let mut widened: Vec<f32> = Vec::new();
        for start in (0..info.rows).step_by(step) {
            let end = info.rows.min(start + step);
            match info.encoding {
                Encoding::F32 => {
                    let block = file.read_slice_2d::<f32, _>(s![start..end, ..]).map_err(failed)?;
                    for ((row, column), value) in block.indexed_iter() {
                        if value.is_infinite() {
                            let row = start + row;
                            return Err(self.fault(&place, format!("row {row}, column {column} is {value}")));
                        }
                    }
                    match block.as_slice() {
                        Some(block) => each(start, block)?,
                        None => return Err(self.fault(&place, "was read in another order than it has")),
                    }
                }
                Encoding::Bits => {
                    let block = file.read_slice_2d::<u8, _>(s![start..end, ..]).map_err(failed)?;
                    widened.clear();
                    if widened.try_reserve_exact((end - start) * info.columns).is_err() {
                        return Err(self.fault(&place, "is too wide for this machine's memory"));
                    }
                    for row in block.rows() {
                        widened.extend(
                            (0..info.columns)
                                .map(|c| f32::from(row.get(c / 8).map_or(0, |b| b >> (c % 8) & 1))),
                        );
                    }
                    each(start, &widened)?;
                }
            }
        }
        Ok(())
    }

    /// Entity index of each row of a feature table, range-checked and distinct.
    pub(super) fn feature_entities(&self, info: &FeatureInfo) -> Result<Vec<u32>> {
        let place = feature_place(info.entity, &info.name);
        let rows = self.read_u32(&format!("{place}/entity"))?;
        let count = self.count(info.entity);
        let mut taken = vec![false; count];
        for (row, &index) in rows.iter().enumerate() {
            match taken.get_mut(index as usize) {
                None => {
                    let what = format!(
                        "row {row}: index {index} is out of range, there are {count} {}",
                        info.entity.plural()
                    );
                    return Err(self.fault(format!("{place}/entity"), what));
                }
                Some(true) => {
                    let what = format!("row {row}: {} {index} has a row already", info.entity.name());
                    return Err(self.fault(format!("{place}/entity"), what));
                }
                Some(free) => *free = true,
            }
        }
        Ok(rows)
    }

    /// The best possible R2 of each source (row) and target (column) with the
    /// order of the datasets, of a made-up corpus; `None` where nobody knows it.
    pub fn best_r2(&self) -> Result<Option<(Vec<String>, Array2<f64>)>> {
        if !self.file.link_exists("truth") {
            return Ok(None);
        }
        let group = self.group("/truth")?;
        let failed = |e: hdf5::Error| self.fault("/truth", e);
        let order = strings::read_attr_list(&group, "order").map_err(failed)?;
        let (file, shape) = array::open::<f64>(&group, "best_r2", 2).map_err(failed)?;
        if shape != [order.len(), order.len()] {
            let what = format!("best_r2 has shape {shape:?} for {} datasets", order.len());
            return Err(self.fault("/truth", what));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = order.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(self.fault("/truth", format!("order names {twice:?} twice")));
        }
        Ok(Some((order, file.read_2d().map_err(failed)?)))
    }

    pub(super) fn fault(&self, place: impl Into<String>, what: impl ToString) -> Error {
        fault(&self.path, place, what)
    }

    pub(super) fn group(&self, place: &str) -> Result<Group> {
        self.file.group(place).map_err(|e| self.fault(place, e))
    }

    /// Names in the group at `place`, sorted by byte; none where there is no such group.
    pub(super) fn members(&self, place: &str) -> Result<Vec<String>> {
        let (parent, leaf) = place.rsplit_once('/').unwrap_or(("", place));
        let parent = if parent.is_empty() { "/" } else { parent };
        if !self.group(parent)?.link_exists(leaf) {
            return Ok(Vec::new());
        }
        let mut names = self.group(place)?.member_names().map_err(|e| self.fault(place, e))?;
        names.sort_unstable();
        for name in &names {
            if let Some(fault) = super::names::fault(name) {
                return Err(self.fault(place, fault));
            }
        }
        Ok(names)
    }

    pub(super) fn read_u32(&self, place: &str) -> Result<Vec<u32>> {
        let read = || array::open::<u32>(&self.file, place, 1)?.0.read_raw::<u32>();
        read().map_err(|e| self.fault(place, e))
    }

    fn count_ids(&self, entity: Entity) -> Result<usize> {
        let place = format!("/{}/id", entity.plural());
        let file = self.file.dataset(&place).map_err(|e| self.fault(&place, e))?;
        let width = strings::width(&file).map_err(|e| self.fault(&place, e))?;
        let shape = array::checked_shape(&file, width).map_err(|e| self.fault(&place, e))?;
        match shape[..] {
            [count] if u32::try_from(count).is_ok() => Ok(count),
            _ => Err(self.fault(place, format!("has shape {shape:?}"))),
        }
    }

    fn entity_strings(&self, entity: Entity, name: &str) -> Result<Vec<String>> {
        let place = format!("/{}/{name}", entity.plural());
        let values = strings::read(&self.file, &place).map_err(|e| self.fault(&place, e))?;
        if values.len() != self.count(entity) {
            let what =
                format!("holds {} strings for {} {}", values.len(), self.count(entity), entity.plural());
            return Err(self.fault(place, what));
        }
        Ok(values)
    }

    fn list_features(&self, entity: Entity) -> Result<Vec<FeatureInfo>> {
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
        let encoding = match strings::read_attr(&group, "encoding").map_err(failed)?.as_str() {
            "f32" => Encoding::F32,
            "bits" => Encoding::Bits,
            other => return Err(self.fault(&place, format!("has the unknown encoding {other:?}"))),
        };
        let columns = scalar::read::<u64>(&group, "columns").map_err(failed)?;
        let columns = usize::try_from(columns).map_err(|e| self.fault(&place, e))?;
        let units = strings::read_attr(&group, "units").map_err(failed)?;
        let rows = array::open::<u32>(&group, "entity", 1).map_err(failed)?.1[0];
        let (shape, width) = match encoding {
            Encoding::F32 => (array::open::<f32>(&group, "values", 2).map_err(failed)?.1, columns),
            Encoding::Bits => {
                (array::open::<u8>(&group, "values", 2).map_err(failed)?.1, columns.div_ceil(8))
            }
        };
        if columns == 0 || shape != [rows, width] {
            let what = format!("values have shape {shape:?} for {rows} rows of {columns} columns");
            return Err(self.fault(place, what));
        }
        if too_large(rows, columns) {
            return Err(self.fault(place, format!("{rows} rows of {columns} columns are more than 16 GiB")));
        }
        Ok(FeatureInfo { entity, name, encoding, rows, columns, units })
    }
}

/// Whether a table passes the layout's limit of 16 GiB as f32: bits are widened
/// on reading, and a small file can claim any number of them.
pub(super) fn too_large(rows: usize, columns: usize) -> bool {
    const LARGEST: u64 = 1 << 34;
    (rows as u64).checked_mul(columns as u64).is_none_or(|cells| cells > LARGEST / 4)
}

pub(super) fn feature_place(entity: Entity, name: &str) -> String {
    format!("/features/{}/{name}", entity.name())
}

/// `a, b, c`, or words for nothing, to end "there is".
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { "none at all".into() } else { names.join(", ") }
}
