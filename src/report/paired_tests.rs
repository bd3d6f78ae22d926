use super::models::Models;
use super::verdict::Duel;
use crate::{Result, atomic};
use std::path::Path;

const COLUMNS: [&str; 13] = [
    "source",
    "target",
    "model",
    "rival",
    "splits",
    "mean_model",
    "mean_rival",
    "difference",
    "sd",
    "t",
    "p",
    "t_corrected",
    "p_corrected",
];

/// Writes `paired_tests.csv`: a row a model, rival, source and target that both
/// have scored on a common split. Means, difference and standard deviation are
/// of R2 over those splits; see [`crate::metric::PairedTest`] for the rest. The
/// tests are empty where there is nothing to test, t also where it is infinite.
pub fn write(path: &Path, models: &Models) -> Result<()> {
    atomic::write_file(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(COLUMNS)?;
        for model in &models.all {
            for rival in &model.rivals {
                let other = &models.all[rival.place].label;
                for duel in &rival.verdict.duels {
                    let names = [&duel.source, &duel.target, &model.label, other].map(String::clone);
                    table.write_record(names.into_iter().chain(numbers(duel)))?;
                }
            }
        }
        table.flush()
    })
}

fn numbers(duel: &Duel) -> impl Iterator<Item = String> {
    let (difference, sd) = duel.difference();
    let test = duel.test();
    let of = |value: fn(&crate::metric::PairedTest) -> f64| test.as_ref().map_or(f64::NAN, value);
    let tests = [of(|t| t.t), of(|t| t.p), of(|t| t.t_corrected), of(|t| t.p_corrected)];
    let cells = [duel.model, duel.rival, difference, sd].into_iter().map(cell).chain(tests.map(nine_digits));
    std::iter::once(duel.differences.len().to_string()).chain(cells.collect::<Vec<_>>())
}

/// More digits of a t or p say nothing, and may differ between machines.
fn nine_digits(value: f64) -> String {
    cell(format!("{value:.8e}").parse().unwrap_or(value))
}

fn cell(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}
