//! The page of a pretraining: what its latent space looks like and how well it
//! was learned. One file an input or a section; every text that came from a
//! file passes through `escape`.

mod classes;
/// `embedding.csv`: the latent rows in two dimensions.
pub mod embedding_csv;
mod frame;
mod groups;
mod headline;
mod maps;
mod marks;
mod provenance;
/// `quality.json`: how good a latent space is.
pub mod quality_json;
mod reconstruction;

use super::html::document;
use super::run_json::{self, RunInfo};
use super::{deck_toml, history, json};
use crate::metric::Epoch;
use crate::{Result, atomic};
use embedding_csv::Embedding;
use headline::Seen;
use quality_json::Quality;
use std::path::{Path, PathBuf};

/// The page's title unless the user gives another.
const TITLE: &str = "What was learned from the samples alone?";

const STYLE: &str = include_str!("style.css");

/// Whether `dir` is the folder of a pretraining: those alone hold a `quality.json`.
pub fn is_pretraining(dir: &Path) -> bool {
    dir.join(QUALITY).is_file()
}

/// Writes `report.html` into the folder `run` of a pretraining, from its
/// `quality.json` and `embedding.csv` and, where they are there, `history.csv`,
/// `deck.toml` and `run.json`; `title` replaces the page's own title. A file
/// that is missing, malformed or of another run is an error that names it, and
/// no page is written then.
pub fn write(run: &Path, title: Option<&str>) -> Result<()> {
    let page = Pretraining::read(run)?.page(title.unwrap_or(TITLE));
    atomic::write_file(&run.join(PAGE), |w| w.write_all(page.as_bytes()))
}

/// What was learned, in a line for a terminal.
pub fn summary(run: &Path) -> Result<String> {
    Ok(headline::text(&quality_json::read(&run.join(QUALITY))?))
}

/// Name of the page.
pub const PAGE: &str = "report.html";

const QUALITY: &str = "quality.json";

/// The folder of a pretraining, read into memory, all but its weights.
struct Pretraining {
    dir: PathBuf,
    quality: Quality,
    embedding: Embedding,
    history: Vec<Epoch>,
    info: RunInfo,
    deck: Option<String>,
}

impl Pretraining {
    fn read(dir: &Path) -> Result<Self> {
        let quality = quality_json::read(&dir.join(QUALITY))?;
        let there = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        Ok(Self {
            embedding: embedding_csv::read(&dir.join("embedding.csv"), &quality)?,
            quality,
            history: there("history.csv").map_or_else(|| Ok(Vec::new()), |path| history::read(&path))?,
            info: there("run.json").map_or_else(|| Ok(RunInfo::default()), |path| run_json::read(&path))?,
            deck: there("deck.toml").map(|path| json::read_text(&path)).transpose()?,
            dir: dir.into(),
        })
    }

    fn page(&self, title: &str) -> String {
        let seen = Seen {
            by_center_loss: self.deck.as_deref().is_some_and(deck_toml::has_center_loss),
            rows: classes::by_study(&self.quality, &self.embedding),
        };
        let sections = [
            ("latent", "The latent space", maps::section(&self.quality, &self.embedding)),
            ("reconstruction", "Reconstruction", reconstruction::section(&self.quality, &self.history)),
            ("classes", "Studies and classes", classes::section(&self.quality, &self.embedding)),
            ("run", "How it was run", provenance::section(self)),
        ];
        document(title, &headline::section(&self.quality, &seen), STYLE, &sections)
    }
}
