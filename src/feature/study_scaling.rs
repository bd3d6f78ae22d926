use super::{Column, Features, ScaledFeatures, StudyTables};
use crate::comm::{Communicator, agree, node_shared};
use crate::store::Entity;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::rc::Rc;

/// To what the columns of a study are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScaleKind {
    /// Mean 0 and standard deviation 1 over the training rows of the study, within so many deviations.
    Standard {
        /// Most deviations.
        clip: f32,
    },
    /// From 0, the least value over the training rows of the study, to 1, the largest.
    Unit,
}

impl ScaleKind {
    fn bounds(self) -> [f32; 2] {
        match self {
            ScaleKind::Standard { clip } => [-clip, clip],
            ScaleKind::Unit => [0.0, 1.0],
        }
    }
}

/// Which columns are worth reading: in every study, over its training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFilter {
    /// Least mean, in the units of the table.
    pub mean: f64,
    /// Least standard deviation.
    pub deviation: f64,
}

/// How each study's columns are scaled, each study by its own training rows, so that a column says the same of a
/// sample whatever its study measures it by. Saved as `scaling.csv`: columns `study,column,mean,deviation`, the
/// columns in the order that an encoder reads; a value becomes (value - mean) / deviation, and 0 where the
/// deviation is 0, for the column is constant. Scaled to 0..1, `mean` is the least value and `deviation` the range.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyScaling {
    kind: ScaleKind,
    columns: Vec<String>,
    studies: Vec<StudyScale>,
}

#[derive(Debug, Clone, PartialEq)]
struct StudyScale {
    name: String,
    /// Mean and deviation of each column.
    scale: Vec<[f32; 2]>,
}

/// What a column of a study is like over the rows that are not missing, summed about the first value.
#[derive(Debug, Clone, Copy)]
struct ColumnSums {
    count: f64,
    shift: f64,
    sum: f64,
    squares: f64,
    least: f32,
    largest: f32,
}

impl ColumnSums {
    const NONE: Self = Self {
        count: 0.0,
        shift: 0.0,
        sum: 0.0,
        squares: 0.0,
        least: f32::INFINITY,
        largest: f32::NEG_INFINITY,
    };

    #[inline]
    fn add(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        if self.count == 0.0 {
            self.shift = f64::from(value);
        }
        let off = f64::from(value) - self.shift;
        self.count += 1.0;
        self.sum += off;
        self.squares += off * off;
        self.least = self.least.min(value);
        self.largest = self.largest.max(value);
    }

    fn mean(&self) -> f64 {
        self.shift + self.sum / self.count.max(1.0)
    }

    fn deviation(&self) -> f64 {
        let n = self.count.max(1.0);
        (self.squares / n - (self.sum / n).powi(2)).max(0.0).sqrt()
    }

    fn scale(&self, kind: ScaleKind) -> [f32; 2] {
        if self.count == 0.0 {
            return [0.0, 0.0];
        }
        match kind {
            ScaleKind::Standard { .. } => {
                let (mean, deviation) = (self.mean(), self.deviation());
                // What is constant but for rounding has no spread.
                let spread = deviation > 1e-6 * mean.abs().max(1e-6);
                [mean as f32, if spread { deviation as f32 } else { 0.0 }]
            }
            ScaleKind::Unit => [self.least, self.largest - self.least],
        }
    }
}

impl StudyScaling {
    /// Fits the columns that all of `tables` have on the rows marked as `training`, one mark a row; of these columns,
    /// those that `filter` lets pass. Every rank of `world` calls this; the first one reads. Refuses a filter that
    /// lets nothing pass.
    ///
    /// # Panics
    /// When there is not one mark a row.
    pub fn fit(
        tables: &StudyTables<'_>,
        training: &[bool],
        kind: ScaleKind,
        filter: Option<ColumnFilter>,
        world: &dyn Communicator,
    ) -> Result<Self> {
        assert_eq!(training.len(), tables.rows(), "a mark a row");
        let columns = tables.columns();
        let fitted = || -> Result<(Vec<u32>, Vec<[f32; 2]>)> {
            let mut sums = Vec::new();
            for number in 0..tables.names().count() {
                sums.push(sums_of(tables, number, training)?);
            }
            let passes = |column: usize| {
                let dull = |f: ColumnFilter| {
                    sums.iter().any(|of| of[column].mean() < f.mean || of[column].deviation() < f.deviation)
                };
                !filter.is_some_and(dull)
            };
            let kept: Vec<u32> = (0..columns.len()).filter(|&c| passes(c)).map(|c| c as u32).collect();
            let scale = |of: &Vec<ColumnSums>| -> Vec<[f32; 2]> {
                kept.iter().map(|&column| of[column as usize].scale(kind)).collect()
            };
            let scales = sums.iter().flat_map(scale).collect();
            Ok((kept, scales))
        };
        let (kept, scales) = agree(world, if world.rank() == 0 { fitted() } else { Ok(Default::default()) })?;
        let (mut kept, mut scales) =
            (bytemuck::cast_slice(&kept).to_vec(), bytemuck::cast_slice(&scales).to_vec());
        world.broadcast(0, &mut kept);
        world.broadcast(0, &mut scales);
        let kept: Vec<u32> = kept.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        let scales: Vec<[f32; 2]> = scales.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
        if kept.is_empty() {
            return Err(Error::Request(format!(
                "none of {} columns has that mean and deviation in every study",
                columns.len()
            )));
        }
        let of = tables.names().zip(scales.chunks_exact(kept.len()));
        Ok(Self {
            kind,
            columns: kept.iter().map(|&column| columns[column as usize].clone()).collect(),
            studies: of.map(|(name, scale)| StudyScale { name: name.into(), scale: scale.into() }).collect(),
        })
    }

    /// The columns that are read, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Names of the studies.
    pub fn studies(&self) -> impl Iterator<Item = &str> {
        self.studies.iter().map(|study| study.name.as_str())
    }

    /// The rows of `tables` as an encoder sees them, each study scaled as the one here of its name; an entity is a
    /// row, by its number. A missing value becomes 0, and so does a column that a study lacks. Held once by the
    /// ranks of a node; every rank of `world` calls this. Refuses a study that was not fitted.
    pub fn read(&self, tables: &StudyTables<'_>, world: &dyn Communicator) -> Result<ScaledFeatures> {
        let scales = tables.names().map(|name| self.scale_of(name)).collect::<Result<Vec<_>>>();
        let scales = agree(world, scales)?;
        let (width, bounds) = (self.columns.len(), self.kind.bounds());
        let length = tables.rows().saturating_mul(width);
        let values = node_shared(world, "the studies", length, |values: &mut [f32]| {
            for (number, scale) in scales.iter().enumerate() {
                let places = tables.places(number, &self.columns);
                let inverse = |deviation: f32| if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
                let cells: Vec<Option<(usize, f32, f32)>> = places
                    .iter()
                    .zip(*scale)
                    .map(|(place, [mean, deviation])| Some((((*place)?), *mean, inverse(*deviation))))
                    .collect();
                tables.each_row(number, |row, from| {
                    for (to, cell) in values[row * width..][..width].iter_mut().zip(&cells) {
                        let Some((place, mean, inverse)) = *cell else { continue };
                        let scaled = ((from[place] - mean) * inverse).clamp(bounds[0], bounds[1]);
                        *to = if scaled.is_nan() { 0.0 } else { scaled };
                    }
                })?;
            }
            Ok(())
        })?;
        let feature: Vec<&str> = tables.names().collect();
        let feature = feature.join("+");
        let column = |name: &String| Column { feature: feature.clone(), name: name.clone() };
        let columns = self.columns.iter().map(column).collect();
        let features = Features::of_rows(Entity::Sample, columns, values);
        Ok(ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); width], f32::INFINITY))
    }

    fn scale_of(&self, name: &str) -> Result<&[[f32; 2]]> {
        match self.studies.iter().find(|study| study.name == name) {
            Some(study) => Ok(&study.scale),
            None => Err(Error::Request(format!(
                "no study '{name}' was pretrained on, but {}",
                self.studies().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// Writes `scaling.csv`.
    pub fn save(&self, path: &Path) -> Result<()> {
        crate::atomic::write_file(path, |w| {
            let mut csv = csv::Writer::from_writer(w);
            csv.write_record(["study", "column", "mean", "deviation"])?;
            for study in &self.studies {
                for (column, [mean, deviation]) in self.columns.iter().zip(&study.scale) {
                    csv.write_record([&study.name, column, &mean.to_string(), &deviation.to_string()])?;
                }
            }
            csv.flush()
        })
    }

    /// Reads `scaling.csv`, of columns that were scaled to `kind`. Refuses a number that is not finite, a negative
    /// deviation, and studies whose columns differ.
    pub fn load(path: &Path, kind: ScaleKind) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
        Self::parse(path, &bytes, kind)
    }

    /// The same of `bytes`, which came from `path`.
    pub fn parse(path: &Path, bytes: &[u8], kind: ScaleKind) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(bytes);
        let (mut columns, mut studies): (Vec<String>, Vec<StudyScale>) = (Vec::new(), Vec::new());
        for (line, record) in (2..).zip(reader.deserialize::<(String, String, f32, f32)>()) {
            let (name, column, mean, deviation) = record.map_err(|e| Error::csv(path, e))?;
            if !mean.is_finite() || !deviation.is_finite() || deviation < 0.0 {
                return Err(Error::table(path, line, format!("mean {mean}, deviation {deviation}")));
            }
            if studies.last().is_none_or(|study| study.name != name) {
                if studies.iter().any(|study| study.name == name) {
                    return Err(Error::table(
                        path,
                        line,
                        format!("the rows of {name} do not stand together"),
                    ));
                }
                studies.push(StudyScale { name, scale: Vec::new() });
            }
            let first = studies.len() == 1;
            let Some(study) = studies.last_mut() else { continue };
            if first {
                columns.push(column);
            } else if columns.get(study.scale.len()) != Some(&column) {
                let what = format!("column {column}: not in the place that it has in the first study");
                return Err(Error::table(path, line, what));
            }
            study.scale.push([mean, deviation]);
        }
        match studies.iter().find(|study| study.scale.len() != columns.len()) {
            _ if columns.is_empty() => Err(Error::run(path, "names no column")),
            Some(short) => Err(Error::run(path, format!("{} lacks columns of the first study", short.name))),
            None => Ok(Self { kind, columns, studies }),
        }
    }
}

/// What the common columns of a study are like over its training rows.
fn sums_of(tables: &StudyTables<'_>, number: usize, training: &[bool]) -> Result<Vec<ColumnSums>> {
    let columns = tables.columns();
    let mut sums = vec![ColumnSums::NONE; columns.len()];
    // Every study has them.
    let places: Vec<usize> = tables.places(number, columns).into_iter().flatten().collect();
    tables.each_row(number, |row, values| {
        if training[row] {
            sums.iter_mut().zip(&places).for_each(|(sums, &place)| sums.add(values[place]));
        }
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;
    use crate::store::{Encoding, FeatureInfo, Store, StoreWriter};
    use ndarray::{ArrayView2, array};

    const NAN: f32 = f32::NAN;

    /// Two studies, of which the second has the columns of the first in another order, less one, and one more.
    fn store(folder: &Path) -> Store {
        let path = folder.join("s.h5");
        let mut writer = StoreWriter::create(&path, "test").unwrap();
        writer.entities(Entity::Sample, &["A", "B", "C", "D"].map(String::from)).unwrap();
        let mut table = |name: &str, columns: &[&str], samples: &[u32], values: ArrayView2<f32>| {
            let info = FeatureInfo {
                entity: Entity::Sample,
                name: name.into(),
                encoding: Encoding::F32,
                rows: samples.len(),
                columns: columns.len(),
                units: "1".into(),
            };
            let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
            let mut feature = writer.feature(info, &columns, samples).unwrap();
            feature.append(values).unwrap();
            feature.finish().unwrap();
        };
        let chip = array![[1.0, 5.0, 9.0], [3.0, 5.0, 9.0], [100.0, 6.0, NAN]];
        table("chip", &["a", "b", "c"], &[0, 1, 2], chip.view());
        let reads = array![[10.0, 70.0, 1.0], [12.0, NAN, 3.0]];
        table("reads", &["c", "x", "a"], &[3, 0], reads.view());
        writer.finish().unwrap();
        Store::open(&path).unwrap()
    }

    fn names() -> Vec<String> {
        ["chip", "reads"].map(String::from).to_vec()
    }

    #[test]
    fn each_study_is_scaled_by_its_own_training_rows() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let tables = StudyTables::of(&store, &names()).unwrap();
        assert_eq!((tables.columns(), tables.rows()), (&["a", "c"].map(String::from)[..], 5));
        let training = [true, true, false, true, true];
        let standard = ScaleKind::Standard { clip: 4.0 };
        let fitted = StudyScaling::fit(&tables, &training, standard, None, &Serial).unwrap();
        let features = fitted.read(&tables, &Serial).unwrap();
        let row = |row| features.table().row(row).to_vec();
        // Column c is constant over the training rows of the first study.
        assert_eq!([row(0), row(1), row(2)], [[-1.0, 0.0], [1.0, 0.0], [4.0, 0.0]]);
        assert_eq!([row(3), row(4)], [[-1.0, -1.0], [1.0, 1.0]]);
        let unit = StudyScaling::fit(&tables, &training, ScaleKind::Unit, None, &Serial).unwrap();
        let features = unit.read(&tables, &Serial).unwrap();
        assert_eq!(features.table().row(2), [1.0, 0.0]);
        assert_eq!(features.table().row(3), [0.0, 0.0]);
        let path = dir.path().join("scaling.csv");
        fitted.save(&path).unwrap();
        assert_eq!(StudyScaling::load(&path, standard).unwrap(), fitted);
    }

    #[test]
    fn a_column_must_pass_in_every_study() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let tables = StudyTables::of(&store, &names()).unwrap();
        let fit = |mean, deviation| {
            let (filter, kind) = (Some(ColumnFilter { mean, deviation }), ScaleKind::Unit);
            StudyScaling::fit(&tables, &[true; 5], kind, filter, &Serial)
        };
        assert_eq!(fit(9.0, 0.0).unwrap().columns(), ["c"]);
        assert_eq!(fit(1.5, 0.5).unwrap().columns(), ["a"]);
        assert!(fit(9.5, 0.5).is_err());
        let one = |name: &str| StudyTables::of(&store, &[name.to_string()]);
        assert!(one("nowhere").err().unwrap().to_string().contains("chip"));
        // What was fitted on one study does not scale another.
        let chip = one("chip").unwrap();
        let fitted = StudyScaling::fit(&chip, &[true; 3], ScaleKind::Unit, None, &Serial).unwrap();
        assert!(fitted.read(&tables, &Serial).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scaling.csv");
        let header = "study,column,mean,deviation\n";
        for (rows, said) in [
            ("s,a,1,-1\n", "scaling.csv:2"),
            ("s,a,1,NaN\n", "scaling.csv:2"),
            ("s,a,1,1\ns,b,1,1\nt,b,1,1\n", "scaling.csv:4"),
            ("s,a,1,1\ns,b,1,1\nt,a,1,1\n", "t lacks"),
            ("s,a,1,1\nt,a,1,1\ns,b,1,1\n", "stand together"),
            ("", "no column"),
        ] {
            std::fs::write(&path, format!("{header}{rows}")).unwrap();
            let message = StudyScaling::load(&path, ScaleKind::Unit).unwrap_err().to_string();
            assert!(message.contains(said), "{rows}: {message}");
        }
    }
}
