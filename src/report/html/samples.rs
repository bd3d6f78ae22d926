use crate::report::models::Models;
use crate::report::predictions::{Sample, read_sample};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Rows kept of a table of predictions: enough for a smooth density.
const ROWS: usize = 40_000;

/// More panels than this are not drawn: only the pairs of a dataset with itself.
const PANELS: usize = 144;

/// Model (a place in `Models::all`), source and target.
pub(super) type Place = (usize, usize, usize);

/// Sampled predictions of the models that are no one's rival, from the first
/// split that has a table.
pub(super) struct Samples {
    /// With the split they come from.
    pub of: BTreeMap<Place, (u32, Sample)>,
    /// Tables that could not be read.
    pub notes: Vec<String>,
}

impl Samples {
    /// Reads them all, several at a time.
    pub fn read(models: &Models) -> Self {
        let mut tables: Vec<(Place, u32, &Path, Option<&str>)> = Vec::new();
        let mut notes = Vec::new();
        for (m, model) in models.all.iter().enumerate().filter(|(_, m)| !m.baseline) {
            let run = model.run;
            let endpoint = Some(run.info.endpoint.as_str()).filter(|name| !name.is_empty());
            let all = run.sources.len() * run.targets.len() <= PANELS;
            if !all {
                let pairs = run.sources.len() * run.targets.len();
                notes.push(format!(
                    "{}: of {pairs} pairs, predictions are drawn for each dataset with itself only.",
                    model.label
                ));
            }
            for (&(s, t), cells) in &run.cells {
                let found =
                    cells.iter().find_map(|(&split, cell)| Some((split, cell.predictions.as_deref()?)));
                if let Some((split, path)) = found.filter(|_| all || run.sources[s] == run.targets[t]) {
                    tables.push(((m, s, t), split, path, endpoint));
                }
            }
        }
        let read: Vec<_> = tables
            .into_par_iter()
            .map(|(at, split, path, endpoint)| (at, split, path, read_sample(path, endpoint, ROWS)))
            .collect();
        let mut of = BTreeMap::new();
        for (at, split, path, sample) in read {
            match sample {
                Ok(sample) => {
                    notes.extend(sample.without_prediction(path));
                    of.insert(at, (split, sample));
                }
                Err(e) => notes.push(format!("Passed over: {e}.")),
            }
        }
        Self { of, notes }
    }

    /// The endpoint predicted: `run.json`'s, or else that of a table of predictions.
    pub fn endpoint<'a>(&'a self, models: &'a Models) -> &'a str {
        let declared = models.all.iter().map(|m| m.run.info.endpoint.as_str()).find(|name| !name.is_empty());
        let read = || self.of.values().next().map(|(_, sample)| sample.endpoint.as_str());
        declared.or_else(read).unwrap_or_default()
    }

    /// A range that holds all but the outermost thousandth of the true values
    /// at either end, with a little room; `None` where there are none.
    pub fn range(&self) -> Option<(f64, f64)> {
        let points = self.of.values().flat_map(|(_, sample)| &sample.points);
        let mut truths: Vec<f32> = points.map(|point| point.0).collect();
        truths.sort_unstable_by(f32::total_cmp);
        let cut = truths.len() / 1000;
        let (low, high) = (*truths.get(cut)? as f64, truths[truths.len() - 1 - cut] as f64);
        let room = if high > low { (high - low) * 0.04 } else { low.abs().max(1.0) * 0.5 };
        Some((low - room, high + room))
    }
}
