use super::fault::{absent, fault};
use super::{DatasetInfo, Entity, FeatureInfo, Provenance, SCHEMA_VERSION};
use super::{array, links, provenance, strings};
use crate::{Error, Result};
use hdf5::{File, Group};
use ndarray::Array2;
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
    pub(super) features: [Vec<FeatureInfo>; 2],
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
            let place = format!("/{}/text", entity.plural());
            return Err(self.fault(place, absent("text column", column, known)));
        }
        self.entity_strings(entity, &format!("text/{column}"))
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
        let array = array::open::<f64>(&group, "best_r2", 2).map_err(failed)?;
        let shape = &array.shape[..];
        if shape != [order.len(), order.len()] {
            let what = format!("best_r2 has shape {shape:?} for {} datasets", order.len());
            return Err(self.fault("/truth", what));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = order.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(self.fault("/truth", format!("order names {twice:?} twice")));
        }
        let r2 = Array2::from_shape_vec((order.len(), order.len()), array.read_all().map_err(failed)?);
        Ok(Some((order, r2.map_err(|e| self.fault("/truth", e))?)))
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
            if let Some(why) = super::names::why_not(name) {
                return Err(self.fault(place, why));
            }
        }
        Ok(names)
    }

    pub(super) fn read_u32(&self, place: &str) -> Result<Vec<u32>> {
        let read = || array::open::<u32>(&self.file, place, 1)?.read_all();
        read().map_err(|e| self.fault(place, e))
    }

    fn count_ids(&self, entity: Entity) -> Result<usize> {
        let place = format!("/{}/id", entity.plural());
        let array = self.file.dataset(&place).map_err(|e| self.fault(&place, e))?;
        let width = strings::width(&array).map_err(|e| self.fault(&place, e))?;
        let shape = array::checked_shape(&array, width).map_err(|e| self.fault(&place, e))?;
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
}
