use super::{DatasetInfo, Entity, FeatureInfo, Pairs, Provenance, Store, overlap};
use crate::Result;
use crate::metric::Moments;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a store holds, in numbers: the content of `crossrx inspect`, saved
/// beside every study for its report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreSummary {
    /// Who wrote it, when, and how.
    pub provenance: Provenance,
    /// [`Store::digest`]; empty in what a version without it saved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Number of drugs.
    pub drugs: usize,
    /// Number of samples.
    pub samples: usize,
    /// One entry a dataset.
    pub datasets: Vec<DatasetSummary>,
    /// One entry a feature table, drugs first.
    pub features: Vec<FeatureSummary>,
    /// One entry for each two datasets.
    pub overlaps: Vec<Overlap>,
}

/// The size and endpoints of one dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// Name.
    pub name: String,
    /// Drugs that occur in its pairs.
    pub drugs: usize,
    /// Samples that occur in its pairs.
    pub samples: usize,
    /// Pairs.
    pub pairs: usize,
    /// Lowest and highest dose, log10 molar.
    pub dose: Option<(f64, f64)>,
    /// One entry an endpoint.
    pub endpoints: Vec<EndpointSummary>,
    /// Numbers of the imported splits.
    pub splits: Vec<u32>,
}

/// The distribution of one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSummary {
    /// Name.
    pub name: String,
    /// Unit, "1" for none.
    pub units: String,
    /// Pairs that have a value.
    pub measured: usize,
    /// Mean of those; 0 where there are none.
    pub mean: f64,
    /// Their standard deviation (n - 1); 0 where there are fewer than two.
    pub sd: f64,
}

/// One feature table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureSummary {
    /// Its name, shape and units.
    #[serde(flatten)]
    pub info: FeatureInfo,
    /// Values that are not known.
    pub missing: u64,
}

/// What two datasets share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// First dataset.
    pub a: String,
    /// Second dataset.
    pub b: String,
    /// Drugs in pairs of both.
    pub drugs: usize,
    /// Samples in pairs of both.
    pub samples: usize,
}

impl StoreSummary {
    /// Streams every pair of `store` once an endpoint; memory is two blocks of
    /// pairs and one byte an entity and dataset.
    pub fn of(store: &Store) -> Result<StoreSummary> {
        let mut datasets = Vec::new();
        let mut present = Vec::new();
        for info in store.datasets() {
            let (summary, seen) = summarise(store, info)?;
            datasets.push(summary);
            present.push(seen);
        }
        let both = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|&(&a, &b)| a && b).count();
        let mut overlaps = Vec::new();
        for (i, a) in present.iter().enumerate() {
            for (j, b) in present.iter().enumerate().skip(i + 1) {
                overlaps.push(Overlap {
                    a: datasets[i].name.clone(),
                    b: datasets[j].name.clone(),
                    drugs: both(&a[0], &b[0]),
                    samples: both(&a[1], &b[1]),
                });
            }
        }
        let mut features = Vec::new();
        for f in Entity::ALL.iter().flat_map(|&e| store.features(e)) {
            features.push(FeatureSummary { info: f.clone(), missing: store.feature_missing(f)? });
        }
        Ok(StoreSummary {
            provenance: store.provenance().clone(),
            digest: store.digest()?,
            drugs: store.count(Entity::Drug),
            samples: store.count(Entity::Sample),
            datasets,
            features,
            overlaps,
        })
    }
}

fn summarise(store: &Store, info: &DatasetInfo) -> Result<(DatasetSummary, [Vec<bool>; 2])> {
    let mut seen = Entity::ALL.map(|e| vec![false; store.count(e)]);
    let mut dose: Option<(f64, f64)> = None;
    let mut endpoints = Vec::new();
    let blocks: Vec<_> = info.blocks().collect();
    for (k, (name, units)) in info.endpoints.iter().enumerate() {
        let mut moments = Moments::default();
        let read = |block: usize| {
            let rows = blocks[block].clone();
            if k == 0 {
                return store.pairs(&info.name, name, rows);
            }
            store.endpoint_values(&info.name, name, rows).map(|value| Pairs { value, ..Pairs::default() })
        };
        overlap(blocks.len(), read, |pairs| {
            let pairs = pairs?;
            moments.add(&pairs.value);
            pairs.drug.iter().for_each(|&d| seen[0][d as usize] = true);
            pairs.sample.iter().for_each(|&s| seen[1][s as usize] = true);
            if !pairs.dose.is_empty() {
                let low = pairs.dose.iter().copied().fold(f32::INFINITY, f32::min);
                let high = pairs.dose.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let (low, high) = (f64::from(low), f64::from(high));
                dose = Some(dose.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
            }
            Ok(())
        })?;
        let (name, units) = (name.clone(), units.clone());
        endpoints.push(EndpointSummary {
            name,
            units,
            measured: moments.n as usize,
            mean: moments.mean,
            sd: moments.sd(),
        });
    }
    let distinct = |seen: &[bool]| seen.iter().filter(|&&s| s).count();
    let summary = DatasetSummary {
        name: info.name.clone(),
        drugs: distinct(&seen[0]),
        samples: distinct(&seen[1]),
        pairs: info.pairs,
        dose,
        endpoints,
        splits: info.splits.clone(),
    };
    Ok((summary, seen))
}

impl fmt::Display for StoreSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.provenance;
        writeln!(f, "schema {} by {}, {}", p.schema_version, p.program, p.created)?;
        for command in p.command.lines() {
            writeln!(f, "  {command}")?;
        }
        if !self.digest.is_empty() {
            writeln!(f, "digest {}", self.digest)?;
        }
        writeln!(f, "\n{} drugs, {} samples\n", self.drugs, self.samples)?;
        writeln!(
            f,
            "{:<20} {:>8} {:>8} {:>12}  splits  dose (log10 M)",
            "dataset", "drugs", "samples", "pairs"
        )?;
        for d in &self.datasets {
            let dose = d.dose.map_or("-".into(), |(low, high)| format!("{low:.2} to {high:.2}"));
            writeln!(
                f,
                "{:<20} {:>8} {:>8} {:>12}  {:>6}  {dose}",
                d.name,
                d.drugs,
                d.samples,
                d.pairs,
                d.splits.len()
            )?;
        }
        let (endpoint, measured) = ("endpoint", "measured");
        writeln!(f, "\n{:<20} {endpoint:<12} {measured:>12} {:>10} {:>10}  units", "dataset", "mean", "sd")?;
        for d in &self.datasets {
            for e in &d.endpoints {
                writeln!(
                    f,
                    "{:<20} {:<12} {:>12} {:>10.4} {:>10.4}  {}",
                    d.name, e.name, e.measured, e.mean, e.sd, e.units
                )?;
            }
        }
        let (rows, columns) = ("rows", "columns");
        let missing = "missing";
        writeln!(f, "\n{:<20} {:<8} {rows:>8} {columns:>8} {missing:>8}  kept  units", "feature", "of")?;
        for FeatureSummary { info: t, missing } in &self.features {
            let kept = t.encoding.name();
            let entity = t.entity.name();
            writeln!(
                f,
                "{:<20} {entity:<8} {:>8} {:>8} {:>8}  {kept:<4}  {}",
                t.name, t.rows, t.columns, missing, t.units
            )?;
        }
        if !self.overlaps.is_empty() {
            writeln!(f, "\n{:<41} {:>8} {:>8}", "shared by", "drugs", "samples")?;
        }
        for o in &self.overlaps {
            writeln!(f, "{:<20} {:<20} {:>8} {:>8}", o.a, o.b, o.drugs, o.samples)?;
        }
        Ok(())
    }
}
