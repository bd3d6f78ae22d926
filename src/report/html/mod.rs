//! `report.html`: one page that needs no network and runs no script. One file
//! a section; every text that came from a file passes through `escape`.

mod colour;
mod corpus;
mod curves;
mod escape;
mod headline;
mod heatmap;
mod matrices;
mod number;
mod provenance;
mod samples;
mod scatter;
mod strict;
mod ticks;

use super::models::Models;
use crate::{Result, atomic};
use escape::Escaped;
use samples::Samples;
use std::path::Path;

const STYLE: &str = include_str!("style.css");

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
        ("strict", "Strict scores", strict::section(models)),
        ("curves", "Loss curves", curves::section(models, samples.endpoint(models))),
        ("scatter", "Predicted against true", scatter::section(models, &samples)),
        ("metrics", "Other metrics", matrices::others(models)),
        ("corpus", "Data", corpus::section(models, &samples)),
        ("run", "How it was run", provenance::section(models, &samples)),
    ];
    let mut body = String::new();
    let mut contents = String::new();
    for (id, name, section) in sections.iter().filter(|(_, _, section)| !section.is_empty()) {
        contents.push_str(&format!("<a href=\"#{id}\">{name}</a>"));
        body.push_str(&format!("<section id=\"{id}\"><h2>{name}</h2>{section}</section>\n"));
    }
    let title = Escaped(title);
    let head = headline::section(models);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1>{head}<nav>{contents}</nav></header>\n{body}</main>\n</body>\n</html>\n"
    )
}
