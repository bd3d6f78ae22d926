//! `report.html`: one page that needs no network and runs no script. One file
//! a section; every text that came from a file passes through `escape`.

mod colour;
mod corpus;
mod curves;
mod document;
pub(crate) mod escape;
mod headline;
mod heatmap;
mod matrices;
pub(crate) mod number;
mod provenance;
mod rivals;
mod samples;
mod scatter;
mod strict;
pub(crate) mod ticks;

pub(super) use curves::chart;
pub(crate) use document::document;
pub(super) use provenance::{bars, deck, facts};

use super::models::Models;
use crate::{Result, atomic};
use samples::Samples;
use std::path::Path;

/// The page's title unless the user gives another.
const TITLE: &str = "How far does a drug-response model carry from one screen to another?";

/// Writes the page on `models`. Tables of predictions are read here, a sample
/// of each, in bounded memory; one that cannot be read is named in the notes.
pub fn write(path: &Path, models: &Models, title: Option<&str>) -> Result<()> {
    let page = page(models, title.unwrap_or(TITLE));
    atomic::write_file(path, |w| w.write_all(page.as_bytes()))
}

fn page(models: &Models, title: &str) -> String {
    let samples = Samples::read(models);
    let sections = [
        ("matrix", "Source to target", matrices::r2(models)),
        ("rivals", "Against the rivals", rivals::section(models)),
        ("strict", "Strict scores", strict::section(models)),
        ("curves", "Loss curves", curves::section(models, samples.endpoint(models))),
        ("scatter", "Predicted against true", scatter::section(models, &samples)),
        ("metrics", "Other metrics", matrices::others(models)),
        ("corpus", "Data", corpus::section(models, &samples)),
        ("run", "How it was run", provenance::section(models, &samples)),
    ];
    document(title, &headline::section(models), "", &sections)
}
