use super::generalization::Generalization;
use super::models::Models;
use crate::metric::Metric;
use crate::{Result, atomic};
use ndarray::Array2;
use std::path::Path;

/// Writes, for every model and metric, `<model>_<met>_G_mean.csv`,
/// `_G_std.csv`, `_Gn_mean.csv` (sources by targets) and `_Ga.csv`, `_Gna.csv`
/// (a value a source) into `folder`; see [`Generalization`] for what they are.
/// The first column is `src`, numbers keep all their digits, and what was not
/// scored is empty.
pub fn write(folder: &Path, models: &Models) -> Result<()> {
    for model in &models.all {
        for metric in Metric::ALL {
            let table = Generalization::of(model.run, metric);
            let path =
                |what: &str| folder.join(format!("{}_{}_{what}.csv", model.file_stem(), metric.name()));
            let (sources, targets) = (&model.run.sources, &model.run.targets);
            write_matrix(&path("G_mean"), sources, targets, &table.mean)?;
            write_matrix(&path("G_std"), sources, targets, &table.std)?;
            write_matrix(&path("Gn_mean"), sources, targets, &table.normalised)?;
            write_column(&path("Ga"), sources, "Ga", &table.aggregated)?;
            write_column(&path("Gna"), sources, "Gna", &table.normalised_aggregated)?;
        }
    }
    Ok(())
}

fn write_matrix(path: &Path, sources: &[String], targets: &[String], values: &Array2<f64>) -> Result<()> {
    atomic::write_file(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(["src"].into_iter().chain(targets.iter().map(String::as_str)))?;
        for (source, row) in sources.iter().zip(values.rows()) {
            table.write_record([source.clone()].into_iter().chain(row.iter().map(|&v| cell(v))))?;
        }
        table.flush()
    })
}

fn write_column(path: &Path, sources: &[String], name: &str, values: &[f64]) -> Result<()> {
    let values = Array2::from_shape_fn((values.len(), 1), |(s, _)| values[s]);
    write_matrix(path, sources, &[name.to_string()], &values)
}

fn cell(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}
