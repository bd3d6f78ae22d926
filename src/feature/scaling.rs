use super::{Column, Features};
use crate::store::Entity;
use crate::{Error, Result};
use std::path::Path;

/// Mean and spread of one column over the entities that were trained on.
#[derive(Debug, Clone, PartialEq)]
struct ColumnScale {
    column: Column,
    mean: f32,
    /// Standard deviation, or zero where the column is constant.
    deviation: f32,
}

/// Mean and spread of a quantity of the pairs over the training rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointScale {
    /// Mean.
    pub mean: f32,
    /// Standard deviation; one where there is no spread.
    pub deviation: f32,
}

impl EndpointScale {
    /// Of this mean and variance.
    pub fn new(mean: f64, variance: f64) -> Self {
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self { mean: mean as f32, deviation: deviation as f32 }
    }

    /// To mean zero and deviation one.
    pub fn scale(&self, value: f32) -> f32 {
        (value - self.mean) / self.deviation
    }

    /// Back to the units of the data.
    pub fn restore(&self, value: f32) -> f32 {
        value * self.deviation + self.mean
    }
}

/// How inputs and endpoint were scaled for a training. Saved with the model
/// as `scaling.csv`: columns `part,feature,column,mean,deviation`, part being
/// `drug`, `sample`, `dose` or `endpoint`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    drug: Vec<ColumnScale>,
    sample: Vec<ColumnScale>,
    /// Of the dose, where the network takes one.
    pub dose: Option<EndpointScale>,
    /// Of the endpoint.
    pub endpoint: EndpointScale,
    endpoint_name: String,
}

fn fit(features: &Features, trained_on: &[u32]) -> Vec<ColumnScale> {
    let width = features.width();
    let n = trained_on.len().max(1) as f64;
    let mut mean = vec![0.0f64; width];
    let mut square = vec![0.0f64; width];
    for &entity in trained_on {
        mean.iter_mut().zip(features.row(entity)).for_each(|(m, &x)| *m += f64::from(x) / n);
    }
    for &entity in trained_on {
        for ((s, m), &x) in square.iter_mut().zip(&mean).zip(features.row(entity)) {
            *s += (f64::from(x) - m).powi(2) / n;
        }
    }
    let columns = features.columns().iter().zip(mean.iter().zip(&square));
    let scale = |(column, (&mean, &variance)): (&Column, (&f64, &f64))| {
        // Rounding leaves a constant column a spread of about its last digit.
        let constant = variance.sqrt() <= 1e-6 * mean.abs().max(1e-6);
        let deviation = if constant { 0.0 } else { variance.sqrt() as f32 };
        ColumnScale { column: column.clone(), mean: mean as f32, deviation }
    };
    columns.map(scale).collect()
}

impl Scaling {
    /// Fits every column over the distinct entities of the training pairs, and
    /// dose and endpoint over the pairs themselves. `drugs` and `samples` are
    /// the distinct entities, ascending.
    pub fn fit(
        features: [&Features; 2],
        [drugs, samples]: [&[u32]; 2],
        dose: Option<EndpointScale>,
        endpoint: EndpointScale,
        endpoint_name: &str,
    ) -> Self {
        Self {
            drug: fit(features[0], drugs),
            sample: fit(features[1], samples),
            dose,
            endpoint,
            endpoint_name: endpoint_name.into(),
        }
    }

    fn of(&self, entity: Entity) -> &[ColumnScale] {
        match entity {
            Entity::Drug => &self.drug,
            Entity::Sample => &self.sample,
        }
    }

    /// Name of the endpoint that was trained on.
    pub fn endpoint_name(&self) -> &str {
        &self.endpoint_name
    }

    /// The columns that the network reads, in order.
    pub fn columns(&self, entity: Entity) -> Vec<Column> {
        self.of(entity).iter().map(|c| c.column.clone()).collect()
    }

    /// The mean of each column.
    pub fn means(&self, entity: Entity) -> Vec<f32> {
        self.of(entity).iter().map(|c| c.mean).collect()
    }

    /// Scales features in place: mean zero, deviation one, then within
    /// `clip` deviations; a column that was constant in training becomes zero.
    /// The columns must be those that were fitted, in order.
    pub fn apply(&self, features: &mut Features, clip: f32) {
        let columns = self.of(features.entity());
        assert_eq!(columns.len(), features.width(), "columns fitted and columns scaled");
        let scales: Vec<(f32, f32)> = columns
            .iter()
            .map(|c| (c.mean, if c.deviation > 0.0 { 1.0 / c.deviation } else { 0.0 }))
            .collect();
        for row in features.rows_mut() {
            for (x, &(mean, inverse)) in row.iter_mut().zip(&scales) {
                *x = ((*x - mean) * inverse).clamp(-clip, clip);
            }
        }
    }

    /// Writes `scaling.csv`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let number = |v: f32| v.to_string();
        crate::atomic::write_file(path, |w| {
            let mut csv = csv::Writer::from_writer(w);
            csv.write_record(["part", "feature", "column", "mean", "deviation"])?;
            for entity in Entity::ALL {
                for c in self.of(entity) {
                    let Column { feature, name } = &c.column;
                    csv.write_record([entity.name(), feature, name, &number(c.mean), &number(c.deviation)])?;
                }
            }
            let pairs = self.dose.map(|s| ("dose", "", s)).into_iter();
            for (part, name, s) in pairs.chain([("endpoint", self.endpoint_name.as_str(), self.endpoint)]) {
                csv.write_record([part, "", name, &number(s.mean), &number(s.deviation)])?;
            }
            csv.flush()
        })
    }

    /// Reads `scaling.csv`.
    pub fn load(path: &Path) -> Result<Self> {
        let mut reader =
            csv::Reader::from_path(path).map_err(|e| Error::run(path, format!("cannot read: {e}")))?;
        let (mut drug, mut sample, mut dose, mut endpoint) = (Vec::new(), Vec::new(), None, None);
        for (line, record) in (2..).zip(reader.deserialize::<(String, String, String, f32, f32)>()) {
            let (part, feature, name, mean, deviation) =
                record.map_err(|e| Error::table(path, line, e.to_string()))?;
            if !mean.is_finite() || !deviation.is_finite() || deviation < 0.0 {
                return Err(Error::table(path, line, format!("mean {mean}, deviation {deviation}")));
            }
            let column = ColumnScale { column: Column { feature, name: name.clone() }, mean, deviation };
            match part.as_str() {
                "drug" => drug.push(column),
                "sample" => sample.push(column),
                "dose" => dose = Some(EndpointScale { mean, deviation }),
                "endpoint" => endpoint = Some((EndpointScale { mean, deviation }, name)),
                other => return Err(Error::table(path, line, format!("unknown part '{other}'"))),
            }
        }
        let Some((endpoint, endpoint_name)) = endpoint else {
            return Err(Error::run(path, "has no row for the endpoint"));
        };
        Ok(Self { drug, sample, dose, endpoint, endpoint_name })
    }
}
