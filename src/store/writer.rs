use super::fault::{absent, fault};
use super::features::feature_place;
use super::target::{self, Target};
use super::{DatasetWriter, Entity, FeatureInfo, FeatureWriter, SplitRows, Store};
use super::{array, array_writer, feature_rules, names, provenance, strings};
use crate::{Error, Result};
use hdf5::File;
use ndarray::ArrayView2;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Writes a store into a temporary file beside its final path; nothing stands
/// under the final name until [`StoreWriter::finish`], and dropping the writer
/// removes the temporary file.
pub struct StoreWriter {
    pub(super) file: File,
    pub(super) path: PathBuf,
    draft: tempfile::TempPath,
    begun_over: Target,
    ids: [Vec<String>; 2],
    /// Pairs of the datasets written or found.
    pub(super) pairs: Vec<(String, usize)>,
    /// What was begun and not finished.
    pub(super) open_part: Option<String>,
}

impl StoreWriter {
    /// Begins a store for `path`, where nothing may be. `command` is the command
    /// line, kept as provenance.
    pub fn create(path: &Path, command: &str) -> Result<StoreWriter> {
        StoreWriter::begin(path, command, Target::free(path)?)
    }

    /// Like [`StoreWriter::create`], but replaces a store that is at `path`, of
    /// any version and sound or not, when finished. Anything else is refused.
    pub fn replace(path: &Path, command: &str) -> Result<StoreWriter> {
        StoreWriter::begin(path, command, Target::replaced(path)?)
    }

    fn begin(path: &Path, command: &str, target: Target) -> Result<StoreWriter> {
        hdf5::silence_errors(true);
        let draft = target::draft(path)?;
        let writer = StoreWriter::over(path, draft, target, |draft| writing_options().create(draft))?;
        let root = || {
            let file = &writer.file;
            provenance::write(file, command)?;
            for entity in Entity::ALL {
                let group = file.create_group(entity.plural())?;
                group.create_group("text")?;
                strings::write(&group, "id", &[])?;
            }
            file.create_group("features")?;
            for entity in Entity::ALL {
                file.create_group(&format!("features/{}", entity.name()))?;
            }
            file.create_group("datasets").map(|_| ())
        };
        root().map_err(|e| writer.fault("/", e))?;
        Ok(writer)
    }

    /// Copies the store at `path` aside to add to it; the old one stays as it
    /// is until [`StoreWriter::finish`]. `command` is appended to the provenance.
    /// Refused while another process amends the same store. Through a symbolic
    /// link, the store is amended and the link stays.
    pub fn amend(path: &Path, command: &str) -> Result<StoreWriter> {
        let path = &path.canonicalize().map_err(|e| Error::io(path, "cannot open the store", e))?;
        let target = Target::amended(path)?;
        let draft = target::draft(path)?;
        std::fs::copy(path, &draft).map_err(|e| Error::io(path, "cannot copy the store", e))?;
        let old = Store::open_copy(&draft, path)?;
        let ids = [old.ids(Entity::Drug)?, old.ids(Entity::Sample)?];
        let pairs = old.datasets().iter().map(|d| (d.name.clone(), d.pairs)).collect();
        drop(old);
        let mut writer = StoreWriter::over(path, draft, target, |draft| writing_options().open_rw(draft))?;
        provenance::add_command(&writer.file, command).map_err(|e| writer.fault("/", e))?;
        writer.ids = ids;
        writer.pairs = pairs;
        Ok(writer)
    }

    fn over(
        path: &Path,
        draft: tempfile::TempPath,
        begun_over: Target,
        open: impl FnOnce(&Path) -> hdf5::Result<File>,
    ) -> Result<StoreWriter> {
        let file = open(&draft).map_err(|e| fault(path, "/", format!("cannot begin to write: {e}")))?;
        let ids = [Vec::new(), Vec::new()];
        Ok(StoreWriter {
            file,
            path: path.into(),
            draft,
            begun_over,
            ids,
            pairs: Vec::new(),
            open_part: None,
        })
    }

    /// A text column of drugs or samples as it is now, by index. A name that is
    /// not there is an error that lists those that are.
    pub fn text_values(&self, entity: Entity, column: &str) -> Result<Vec<String>> {
        let place = format!("/{}/text", entity.plural());
        let read = || {
            let group = self.file.group(&place)?;
            let mut there = group.member_names()?;
            if there.iter().any(|t| t == column) {
                return strings::read(&group, column);
            }
            there.sort_unstable();
            Err(absent("text column", column, there).into())
        };
        read().map_err(|e: hdf5::Error| self.fault(&place, e))
    }

    /// The names of the feature tables of drugs or samples as they are now, sorted.
    pub fn features(&self, entity: Entity) -> Result<Vec<String>> {
        let place = format!("/features/{}", entity.name());
        let names = self.file.group(&place).and_then(|group| group.member_names());
        let mut names = names.map_err(|e| self.fault(place, e))?;
        names.sort_unstable();
        Ok(names)
    }

    /// The names of the columns of a feature table as it is now. A table that is
    /// not there is an error that lists those that are.
    pub fn feature_names(&self, entity: Entity, table: &str) -> Result<Vec<String>> {
        let there = self.features(entity)?;
        if !there.iter().any(|name| name == table) {
            let place = format!("/features/{}", entity.name());
            return Err(self.fault(place, absent("feature table", table, there)));
        }
        let place = feature_place(entity, table);
        let read = || strings::read(&self.file.group(&place)?, "names");
        read().map_err(|e| self.fault(format!("{place}/names"), e))
    }

    /// The ids written or found so far, by index.
    pub fn ids(&self, entity: Entity) -> &[String] {
        &self.ids[entity as usize]
    }

    /// Appends drugs or samples; those there already keep their indices, and
    /// their text columns are empty for the new ones. Refuses an id that is
    /// empty or there already, naming it.
    pub fn entities(&mut self, entity: Entity, ids: &[String]) -> Result<()> {
        let place = format!("/{}/id", entity.plural());
        let mut all = self.ids[entity as usize].clone();
        all.extend_from_slice(ids);
        let mut seen = HashSet::with_capacity(all.len());
        if let Some(twice) = all.iter().find(|id| !seen.insert(id.as_str())) {
            return Err(self.fault(place, format!("the {} {twice:?} is there twice", entity.name())));
        }
        if seen.contains("") || u32::try_from(all.len()).is_err() {
            return Err(self.fault(place, "an id is empty, or there are too many"));
        }
        let write = || {
            let group = self.file.group(entity.plural())?;
            group.unlink("id")?;
            strings::write(&group, "id", &all)?;
            let text = group.group("text")?;
            for column in text.member_names()? {
                let mut values = strings::read(&text, &column)?;
                values.resize(all.len(), String::new());
                text.unlink(&column)?;
                strings::write(&text, &column, &values)?;
            }
            Ok(())
        };
        write().map_err(|e: hdf5::Error| self.fault(place, e))?;
        self.ids[entity as usize] = all;
        Ok(())
    }

    /// Adds a text column of drugs or samples, one string an entity by index.
    /// Refuses a name that is there already or cannot be one, another number of
    /// strings than of entities, and a string longer than 65,536 bytes or with a NUL in it.
    pub fn text(&mut self, entity: Entity, column: &str, values: &[String]) -> Result<()> {
        let place = format!("/{}/text/{column}", entity.plural());
        let count = self.ids(entity).len();
        if values.len() != count {
            return Err(
                self.fault(place, format!("{} strings for {count} {}", values.len(), entity.plural()))
            );
        }
        let group = format!("{}/text", entity.plural());
        self.free_name(&group, column)?;
        let write = || strings::write(&self.file.group(&group)?, column, values);
        write().map_err(|e| self.fault(place, e))
    }

    /// Begins a feature table of `info.rows` rows. `names` are the distinct
    /// names of its `info.columns` columns, `entity` the index of each row.
    /// Refuses a name that is there already or cannot be one, names and indices
    /// that do not fit the shape, a column or an entity that is there twice, an
    /// index out of range, a table without columns or of more than 16 GiB as f32.
    pub fn feature(
        &mut self,
        info: FeatureInfo,
        names: &[String],
        entity: &[u32],
    ) -> Result<FeatureWriter<'_>> {
        let place = feature_place(info.entity, &info.name);
        let count = self.ids(info.entity).len();
        feature_rules::check_shape(info.rows, info.columns)
            .and_then(|()| feature_rules::check_names(&info, names))
            .and_then(|()| feature_rules::check_entities(&info, entity, count))
            .map_err(|e| self.fault(place, e))?;
        self.free_name(&format!("features/{}", info.entity.name()), &info.name)?;
        FeatureWriter::begin(self, info, names, entity)
    }

    /// Begins a dataset. `endpoints` are names with units, `labels` the names
    /// of its text columns, `columns` the header of the table it came from.
    /// Refuses a name that is there already or cannot be one, in the dataset too,
    /// and a dataset without endpoints.
    pub fn dataset(
        &mut self,
        name: &str,
        endpoints: &[(String, String)],
        dose: bool,
        labels: &[String],
        columns: &[String],
    ) -> Result<DatasetWriter<'_>> {
        self.free_name("datasets", name)?;
        if let Some(why) = names::why_not_dataset(name) {
            return Err(self.fault("/datasets", why));
        }
        for part in endpoints.iter().map(|(name, _)| name).chain(labels) {
            if let Some(why) = names::why_not(part) {
                return Err(self.fault(format!("/datasets/{name}"), why));
            }
        }
        if endpoints.is_empty() {
            return Err(self.fault(format!("/datasets/{name}"), "has no endpoint"));
        }
        DatasetWriter::begin(self, name, endpoints, dose, labels, columns)
    }

    /// Adds split `k` of a finished dataset, checked as [`SplitRows::check`] says.
    pub fn split(&mut self, dataset: &str, k: u32, rows: &SplitRows) -> Result<()> {
        let place = format!("/datasets/{dataset}/split/{k}");
        let Some((_, pairs)) = self.pairs.iter().find(|(name, _)| name == dataset) else {
            let what = absent("dataset", dataset, self.pairs.iter().map(|(name, _)| name));
            return Err(self.fault("/datasets", what));
        };
        rows.check(*pairs).map_err(|e| self.fault(&place, e))?;
        let write = || {
            let group = self.file.group(&format!("datasets/{dataset}/split"))?;
            let group = group.create_group(&k.to_string())?;
            rows.parts().into_iter().try_for_each(|(part, rows)| array::write(&group, part, rows))
        };
        write().map_err(|e| self.fault(place, e))
    }

    /// Adds the best possible R2 of each source (row) and target (column),
    /// known for made-up corpora; `order` names the datasets.
    pub fn best_r2(&mut self, order: &[String], r2: ArrayView2<f64>) -> Result<()> {
        let n = order.len();
        if r2.dim() != (n, n) || n == 0 {
            return Err(self.fault("/truth", format!("shape {:?} for {n} datasets", r2.dim())));
        }
        let write = || {
            let group = self.file.create_group("truth")?;
            strings::write_attr_list(&group, "order", order)?;
            let mut array = array::begin::<f64>(&group, "best_r2", &[n, n], &[n, n])?;
            array.append(&r2.iter().copied().collect::<Vec<_>>());
            array.close();
            array_writer::flush([&mut array])
        };
        write().map_err(|e: hdf5::Error| self.fault("/truth", e))
    }

    /// Flushes and syncs the file and gives it its final name.
    pub fn finish(self) -> Result<()> {
        if let Some(part) = &self.open_part {
            return Err(self.fault(part.clone(), "was begun and not finished"));
        }
        let StoreWriter { file, path, draft, begun_over, .. } = self;
        let closed = file.flush().and_then(|()| file.close());
        closed.map_err(|e| fault(&path, "/", format!("cannot write: {e}")))?;
        begun_over.publish(draft, &path)
    }

    pub(super) fn fault(&self, place: impl Into<String>, what: impl ToString) -> Error {
        fault(&self.path, place, what)
    }

    /// Checks that `name` can be and is not yet a member of `group`.
    fn free_name(&self, group: &str, name: &str) -> Result<()> {
        if let Some(part) = &self.open_part {
            return Err(self.fault(part.clone(), "was begun and not finished"));
        }
        if let Some(why) = names::why_not(name) {
            return Err(self.fault(format!("/{group}"), why));
        }
        let found = self.file.group(group).map_err(|e| self.fault(format!("/{group}"), e))?.link_exists(name);
        if found { Err(self.fault(format!("/{group}/{name}"), "is there already")) } else { Ok(()) }
    }
}

/// Format 1.10 keeps a checksum over every piece of metadata, chunk indices
/// included, which the older default does not.
fn writing_options() -> hdf5::FileBuilder {
    let mut options = File::with_options();
    options.with_fapl(|p| p.libver_v110());
    options
}
