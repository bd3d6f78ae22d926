use super::quote::operand;
use super::wish::Wish;
use crate::deck::Deck;
use crate::report::phrase::count;
use crate::study::Grouping;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// One deck, checked, with where its store and its results are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    /// Path of the deck.
    pub deck: String,
    /// Path of the store that it names.
    pub store: String,
    /// The run folder.
    pub out: String,
}

fn text<'a>(what: &str, path: &'a Path) -> Result<&'a str> {
    let text =
        path.to_str().ok_or_else(|| Error::run(path, format!("{what} is not valid UTF-8: rename it")))?;
    operand(what, text)
}

/// The last part of a deck's path without its ending.
fn stem(deck: &str) -> &str {
    Path::new(deck).file_stem().and_then(|stem| stem.to_str()).unwrap_or("study")
}

/// Where a deck's store and results are, as the wish has it.
pub fn study(path: &Path, deck: &Deck, wish: &Wish) -> Result<Study> {
    let path = text("the deck", path)?;
    let many = wish.decks.len() > 1;
    let parent = if wish.scaling.is_some() { "scaling" } else { "runs" };
    let out = match &wish.out {
        Some(out) if !many => out.clone(),
        Some(out) => out.join(stem(path)),
        None => Path::new(parent).join(stem(path)),
    };
    // Files beside the folder are named after it, so no slash may end it.
    let out: PathBuf = out.components().collect();
    Ok(Study {
        deck: path.into(),
        store: text("store.path", &deck.store.path)?.into(),
        out: text("--out", &out)?.into(),
    })
}

/// How many tasks a deck has and how ranks are grouped for them; ranks that will have none are warned of.
pub fn tasks(name: &str, deck: &Deck, ranks: usize, warnings: &mut Vec<String>) -> Result<String> {
    let (sources, splits) = (deck.data.sources.len(), deck.data.splits.numbers().len());
    let tasks = sources * splits;
    let grouping = Grouping::of(ranks, tasks, deck.study.ranks_per_task, deck.train.lanes);
    grouping.check(ranks)?;
    let idle = ranks - grouping.ranks * grouping.groups;
    let mut line = format!(
        "{name}: {} ({} x {}) on {}, {grouping}",
        count(tasks, "task"),
        count(sources, "source"),
        count(splits, "split"),
        count(ranks, "rank")
    );
    if idle > 0 {
        line += &format!("; {} idle", count(idle, "rank"));
        warnings.push(format!(
            "{name}: {idle} of {ranks} ranks will have nothing to do: {} for {}",
            grouping,
            count(tasks, "task")
        ));
    } else if grouping.groups < tasks {
        line += &format!(
            ", each {} one after the other",
            if tasks % grouping.groups == 0 { "some" } else { "a few" }
        );
    }
    Ok(line + ".")
}

/// A job's name made of a deck's, with what a scheduler does not take replaced.
pub fn derived_name(deck: &str, scaling: bool) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' };
    let stem: String = stem(deck).chars().map(plain).collect();
    let stem = stem.trim_start_matches(['-', '.']);
    let stem = if stem.is_empty() { "study" } else { stem };
    if scaling { format!("{stem}-scaling") } else { stem.into() }
}
