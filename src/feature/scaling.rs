use super::{Column, Features, ScaledFeatures};
use crate::store::Entity;
use crate::{Error, Result};
use std::path::Path;
use std::rc::Rc;

/// Mean and spread of one column over the entities that were trained on.
#[derive(Debug, Clone, PartialEq)]
struct ColumnScale {
    column: Column,
    mean: f32,
    /// Standard deviation, or zero where the column is constant.
    deviation: f32,
}

/// Mean and spread of the dose or the endpoint over the training pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueScale {
    /// Mean.
    pub mean: f32,
    /// Standard deviation, above zero; one where there is no spread.
    pub deviation: f32,
}

impl ValueScale {
    /// Of this mean and variance.
    pub fn new(mean: f64, variance: f64) -> Self {
        Self { mean: mean as f32, deviation: spread(mean, variance).unwrap_or(1.0) }
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
    pub dose: Option<ValueScale>,
    /// Of the endpoint.
    pub endpoint: ValueScale,
    endpoint_name: String,
}

/// The standard deviation, or `None` of what is constant but for rounding.
fn spread(mean: f64, variance: f64) -> Option<f32> {
    let deviation = variance.sqrt();
    (deviation > 1e-6 * mean.abs().max(1e-6)).then_some(deviation as f32)
}

/// Mean and deviation of each column over the values that are not missing; what is scaled stays as it is.
fn fit(features: &Features, trained_on: &[u32]) -> Vec<ColumnScale> {
    if features.are_scaled() {
        let plain = |column: &Column| ColumnScale { column: column.clone(), mean: 0.0, deviation: 1.0 };
        return features.columns().iter().map(plain).collect();
    }
    let width = features.width();
    let (mut count, mut mean, mut square) = (vec![0.0f64; width], vec![0.0f64; width], vec![0.0f64; width]);
    for &entity in trained_on {
        for ((n, sum), &x) in count.iter_mut().zip(&mut mean).zip(features.row(entity)) {
            if !x.is_nan() {
                *n += 1.0;
                *sum += f64::from(x);
            }
        }
    }
    mean.iter_mut().zip(&count).for_each(|(sum, n)| *sum /= n.max(1.0));
    for &entity in trained_on {
        for ((sum, mean), &x) in square.iter_mut().zip(&mean).zip(features.row(entity)) {
            if !x.is_nan() {
                *sum += (f64::from(x) - mean).powi(2);
            }
        }
    }
    let scale = |(c, column): (usize, &Column)| ColumnScale {
        column: column.clone(),
        mean: mean[c] as f32,
        deviation: spread(mean[c], square[c] / count[c].max(1.0)).unwrap_or(0.0),
    };
    features.columns().iter().enumerate().map(scale).collect()
}

impl Scaling {
    /// Fits every column over the distinct entities of the training pairs,
    /// `drugs` and `samples`, ascending; dose and endpoint were fitted over the
    /// pairs themselves.
    pub fn fit(
        features: [&Features; 2],
        [drugs, samples]: [&[u32]; 2],
        dose: Option<ValueScale>,
        endpoint: ValueScale,
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

    /// `features`, whose columns are those that were fitted, in order, as a
    /// network trained with this scaling sees them.
    pub fn scaled(&self, features: Rc<Features>, clip: f32) -> ScaledFeatures {
        let columns = self.of(features.entity());
        let inverse = |c: &ColumnScale| if c.deviation > 0.0 { 1.0 / c.deviation } else { 0.0 };
        let scale = columns.iter().map(|c| (c.mean, inverse(c))).collect();
        // What is scaled already has bounds of its own.
        let clip = if features.are_scaled() { f32::INFINITY } else { clip };
        ScaledFeatures::new(features, scale, clip)
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
        let mut reader = csv::Reader::from_path(path).map_err(|e| Error::csv(path, e))?;
        let (mut drug, mut sample, mut dose, mut endpoint) = (Vec::new(), Vec::new(), None, None);
        for (line, record) in (2..).zip(reader.deserialize::<(String, String, String, f32, f32)>()) {
            let (part, feature, name, mean, deviation) = record.map_err(|e| Error::csv(path, e))?;
            let of_pairs = part == "dose" || part == "endpoint";
            if !mean.is_finite()
                || !deviation.is_finite()
                || deviation < 0.0
                || (of_pairs && deviation == 0.0)
            {
                return Err(Error::table(path, line, format!("mean {mean}, deviation {deviation}")));
            }
            let column = ColumnScale { column: Column { feature, name: name.clone() }, mean, deviation };
            match part.as_str() {
                "drug" => drug.push(column),
                "sample" => sample.push(column),
                "dose" => dose = Some(ValueScale { mean, deviation }),
                "endpoint" => endpoint = Some((ValueScale { mean, deviation }, name)),
                other => return Err(Error::table(path, line, format!("unknown part '{other}'"))),
            }
        }
        let Some((endpoint, endpoint_name)) = endpoint else {
            return Err(Error::run(path, "has no row for the endpoint"));
        };
        Ok(Self { drug, sample, dose, endpoint, endpoint_name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    fn drugs() -> Features {
        let rows: [Option<&[f32]>; 4] = [
            Some(&[1.0, 7.0, NAN]),
            Some(&[3.0, 7.0, 2.0]),
            Some(&[100.0, 8.0, 4.0]),
            Some(&[NAN, NAN, NAN]),
        ];
        Features::made_up(Entity::Drug, &["x", "same", "gaps"], &rows)
    }

    fn fitted() -> Scaling {
        let samples = Features::made_up(Entity::Sample, &["s"], &[Some(&[5.0])]);
        let dose = Some(ValueScale::new(-6.0, 4.0));
        Scaling::fit([&drugs(), &samples], [&[0, 1], &[0]], dose, ValueScale::new(0.8, 0.04), "auc")
    }

    fn row(scaling: &Scaling, drug: u32) -> [f32; 3] {
        let mut row = [NAN; 3];
        scaling.scaled(Rc::new(drugs()), 4.0).rows().write(drug, &mut row);
        row
    }

    #[test]
    fn only_what_was_trained_on_sets_the_scale() {
        let scaling = fitted();
        assert_eq!(row(&scaling, 0), [-1.0, 0.0, 0.0]);
        assert_eq!(row(&scaling, 1), [1.0, 0.0, 0.0]);
        // Far out is clipped, a constant column says nothing, a missing value is the mean.
        assert_eq!(row(&scaling, 2), [4.0, 0.0, 0.0]);
        assert_eq!(row(&scaling, 3), [0.0; 3]);
    }

    #[test]
    fn what_is_constant_but_for_rounding_has_no_spread() {
        assert_eq!(ValueScale::new(-5.1, 1e-32).deviation, 1.0);
        assert_eq!(ValueScale::new(-5.1, 0.25).deviation, 0.5);
        let scale = ValueScale::new(0.8, 0.04);
        assert!((scale.restore(scale.scale(0.3)) - 0.3).abs() < 1e-6);
    }

    #[test]
    fn it_comes_back_from_its_file_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scaling.csv");
        let scaling = fitted();
        scaling.save(&path).unwrap();
        assert_eq!(Scaling::load(&path).unwrap(), scaling);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, said) in [
            ("dose,,,-6,2", "dose,,,-6,0", "deviation 0"),
            ("drug,f,x,2,1", "drug,f,x,2,NaN", "NaN"),
            ("drug,f,x,2,1", "gene,f,x,2,1", "gene"),
            ("endpoint", "endpunkt", "endpunkt"),
        ] {
            assert!(text.contains(from), "{text}");
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let message = Scaling::load(&path).unwrap_err().to_string();
            assert!(message.contains(said) && message.contains("scaling.csv"), "{message}");
        }
    }
}
