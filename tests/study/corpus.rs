use crossrx::store::{Encoding, Entity, FeatureInfo, PairBlock, SplitRows, StoreWriter};
use ndarray::Array2;
use std::path::Path;

pub const DRUGS: u32 = 30;
pub const SAMPLES: u32 = 24;

/// A made-up dataset, kept to compute from what the program must arrive at.
#[derive(Clone)]
pub struct Dataset {
    pub name: &'static str,
    pub drug: Vec<u32>,
    pub sample: Vec<u32>,
    /// log10 molar, or empty.
    pub dose: Vec<f32>,
    /// `auc`, NaN where not measured.
    pub auc: Vec<f32>,
    pub ic50: Vec<f32>,
    pub splits: Vec<SplitRows>,
}

/// A small corpus: features that tell of the responses, and datasets.
#[derive(Clone)]
pub struct Corpus {
    pub drug_ids: Vec<String>,
    pub sample_ids: Vec<String>,
    /// Drugs with a row in the feature tables.
    pub featured: Vec<u32>,
    pub datasets: Vec<Dataset>,
    /// Columns of `expression` in the order written.
    pub genes: Vec<usize>,
}

/// A number in [0, 1) for each place, whatever the order of asking.
pub fn noise(a: u32, b: u32, c: u32) -> f32 {
    let mut x = u64::from(a) << 42 ^ u64::from(b) << 21 ^ u64::from(c) ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
    }
    (x >> 40) as f32 / (1u64 << 24) as f32
}

const GENES: usize = 10;

fn gene(sample: u32, gene: usize) -> f32 {
    4.0 * noise(sample, gene as u32, 1)
}

fn descriptor(drug: u32, column: usize) -> f32 {
    noise(drug, column as u32, 2)
}

fn response(drug: u32, sample: u32, shift: f32) -> f32 {
    let effect = 0.3 * descriptor(drug, 0) + 0.1 * gene(sample, 0) - 0.2 * descriptor(drug, 1);
    effect + 0.1 * descriptor(drug, 2) * gene(sample, 1) + shift + 0.05 * noise(drug, sample, 3)
}

impl Dataset {
    /// Pairs of the drugs and samples given, four in five of them, in three parts.
    pub fn new(
        name: &'static str,
        drugs: impl Iterator<Item = u32> + Clone,
        samples: impl Iterator<Item = u32> + Clone,
        shift: f32,
    ) -> Self {
        let all = drugs.flat_map(|d| samples.clone().map(move |s| (d, s)));
        let (drug, sample): (Vec<u32>, Vec<u32>) = all.filter(|&(d, s)| noise(d, s, 4) < 0.8).unzip();
        let pairs = || drug.iter().zip(&sample);
        let auc = pairs().map(|(&d, &s)| response(d, s, shift)).collect();
        let ic50 = pairs().map(|(&d, &s)| 5.0 + response(s, d, shift)).collect();
        let splits = (0..2)
            .map(|k| {
                let rows = 0..drug.len() as u32;
                // Backwards, so that the order kept is the split's own and not the dataset's.
                let part = |from: f32, to: f32| {
                    rows.clone().rev().filter(|&r| (from..to).contains(&noise(r, k, 5))).collect()
                };
                SplitRows { train: part(0.0, 0.7), val: part(0.7, 0.85), test: part(0.85, 1.0) }
            })
            .collect();
        Dataset { name, drug, sample, dose: Vec::new(), auc, ic50, splits }
    }

    /// The same at three doses a pair, without splits of its own.
    pub fn at_doses(mut self) -> Self {
        let thrice = |from: &[u32]| from.iter().flat_map(|&x| [x; 3]).collect::<Vec<_>>();
        (self.drug, self.sample) = (thrice(&self.drug), thrice(&self.sample));
        self.dose = (0..self.drug.len()).map(|i| -8.0 + (i % 3) as f32).collect();
        let at = |values: &[f32]| -> Vec<f32> {
            values.iter().flat_map(|v| [0.2, 0.0, -0.3].map(|effect| v + effect)).collect()
        };
        (self.auc, self.ic50) = (at(&self.auc), at(&self.ic50));
        self.splits.clear();
        self
    }

    pub fn pairs(&self) -> usize {
        self.drug.len()
    }
}

impl Corpus {
    /// Two overlapping screens: Red of most drugs and samples, Blue of the later ones.
    pub fn two_screens() -> Self {
        let red = Dataset::new("Red", 0..24, 0..18, 0.0);
        let blue = Dataset::new("Blue", 12..DRUGS, 10..SAMPLES, 0.1);
        Corpus::of(vec![red, blue])
    }

    pub fn of(datasets: Vec<Dataset>) -> Self {
        let ids = |name: &str, n: u32| (0..n).map(|i| format!("{name}_{i}")).collect();
        Corpus {
            drug_ids: ids("Drug", DRUGS),
            sample_ids: ids("Sample", SAMPLES),
            featured: (0..DRUGS).collect(),
            datasets,
            genes: (0..GENES).collect(),
        }
    }

    /// Writes the store; labels say whether a pair's row is even or odd.
    pub fn write(&self, path: &Path) {
        self.try_write(path).unwrap();
    }

    fn try_write(&self, path: &Path) -> crossrx::Result<()> {
        let mut w = StoreWriter::create(path, "test")?;
        w.entities(Entity::Drug, &self.drug_ids)?;
        w.entities(Entity::Sample, &self.sample_ids)?;
        let info = |entity, name: &str, encoding, rows: usize, columns| FeatureInfo {
            entity,
            name: name.into(),
            encoding,
            rows,
            columns,
            units: "1".into(),
        };
        let names = |prefix: &str, columns: &[usize]| -> Vec<String> {
            columns.iter().map(|c| format!("{prefix}{c}")).collect()
        };
        let shape = |columns: usize| (self.featured.len(), columns);
        let columns: Vec<usize> = (0..8).collect();
        let mordred = info(Entity::Drug, "mordred", Encoding::F32, self.featured.len(), 8);
        let mut f = w.feature(mordred, &names("descriptor", &columns), &self.featured)?;
        f.append(Array2::from_shape_fn(shape(8), |(r, c)| descriptor(self.featured[r], c)).view())?;
        f.finish()?;
        let bits = info(Entity::Drug, "ecfp4", Encoding::Bits, self.featured.len(), 8);
        let mut f = w.feature(bits, &names("bit", &columns), &self.featured)?;
        let bit = |(r, c): (usize, usize)| f32::from(descriptor(self.featured[r], c) > 0.5);
        f.append(Array2::from_shape_fn(shape(8), bit).view())?;
        f.finish()?;
        let samples: Vec<u32> = (0..self.sample_ids.len() as u32).collect();
        let expression = info(Entity::Sample, "expression", Encoding::F32, samples.len(), self.genes.len());
        let mut f = w.feature(expression, &names("gene", &self.genes), &samples)?;
        let shape = (samples.len(), self.genes.len());
        f.append(Array2::from_shape_fn(shape, |(r, c)| gene(r as u32, self.genes[c])).view())?;
        f.finish()?;
        for dataset in &self.datasets {
            let n = dataset.pairs();
            let endpoints = [("auc".to_string(), "1".to_string()), ("ic50".into(), "log10 M".into())];
            let header =
                ["source", "improve_sample_id", "improve_chem_id", "site", "gone", "dose", "auc", "ic50"];
            let header: Vec<String> = header
                .iter()
                .filter(|&&c| c != "dose" || !dataset.dose.is_empty())
                .map(|c| c.to_string())
                .collect();
            let labels = ["site".to_string()];
            let mut d = w.dataset(dataset.name, &endpoints, !dataset.dose.is_empty(), &labels, &header)?;
            d.append(&PairBlock {
                drug: dataset.drug.clone(),
                sample: dataset.sample.clone(),
                row: (0..n as u64).collect(),
                dose: dataset.dose.clone(),
                endpoints: vec![dataset.auc.clone(), dataset.ic50.clone()],
                labels: vec![(0..n).map(|i| i as u16 % 2).collect()],
            })?;
            d.label_values("site", &["even, or so".to_string(), "odd".to_string()])?;
            d.finish()?;
            for (k, rows) in (0..).zip(&dataset.splits) {
                w.split(dataset.name, k, rows)?;
            }
        }
        w.finish()
    }
}

/// A deck for [`Corpus::two_screens`] in `store`, with `train` added to its `[train]`.
pub fn deck(store: &Path, train: &str) -> String {
    format!(
        "[store]\npath = {store:?}\n\
         [data]\nendpoint = \"auc\"\nsources = [\"Red\", \"Blue\"]\nsplits = [0, 1]\n\
         drug_features = [\"mordred\", \"ecfp4\"]\nsample_features = [\"expression\"]\n\
         [model]\nkind = \"two-tower\"\ndrug_tower = [16]\nsample_tower = [16]\nhead = [16, 8]\ndropout = 0.2\n\
         [train]\nbatch = 64\nepochs = 3\nlearning_rate = 0.01\n{train}\n"
    )
}
