//! How a row of a table finds its drug or sample in the store.

use super::table::Table;
use crate::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Text with `{column}` places, filled from a record: `COSMIC-{cosmic_id}`.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Column(usize),
}

impl Template {
    /// The template that is one column.
    pub fn column(column: usize) -> Template {
        Template { parts: vec![Part::Column(column)] }
    }

    /// Reads `text` against the columns of `table`.
    pub fn parse(text: &str, table: &Table) -> Result<Template> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((column, after)) = after.split_once('}') else {
                return Err(Error::Request(format!("{text:?}: a {{ is not closed")));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Column(table.column(column)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Template { parts })
    }

    /// Like [`Template::parse`], but text without braces names a column.
    pub fn parse_column(text: &str, table: &Table) -> Result<Template> {
        if text.contains('{') {
            Template::parse(text, table)
        } else {
            table.column(text).map(Template::column)
        }
    }

    /// Fills the template from the present record; false where a cell is empty.
    pub fn fill(&self, table: &Table, into: &mut Vec<u8>) -> bool {
        into.clear();
        for part in &self.parts {
            match part {
                Part::Text(text) => into.extend_from_slice(text.as_bytes()),
                Part::Column(column) => match table.cell(*column) {
                    b"" => {
                        into.clear();
                        return false;
                    }
                    cell => into.extend_from_slice(cell),
                },
            }
        }
        !into.is_empty()
    }

    /// The columns it is filled from.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|p| if let Part::Column(c) = p { Some(*c) } else { None })
    }
}

/// What a key is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// This entity, by index.
    One(u32),
    /// Several entities, that differ only in case and punctuation.
    Many,
    /// None.
    Unknown,
}

/// Entity indices by id, or by a text column compared without case and punctuation.
#[derive(Debug)]
pub(super) struct Lookup {
    by_key: HashMap<Vec<u8>, Found>,
    folded: bool,
}

impl Lookup {
    /// Finds entities by their exact id.
    pub fn by_id(ids: &[String]) -> Lookup {
        let by_key = ids.iter().zip(0..).map(|(id, index)| (id.clone().into_bytes(), Found::One(index)));
        Lookup { by_key: by_key.collect(), folded: false }
    }

    /// Finds entities by a text column, one text an entity. Empty texts are never found.
    pub fn by_text(texts: &[String]) -> Lookup {
        let mut by_key = HashMap::new();
        for (text, index) in texts.iter().zip(0..) {
            let mut key = Vec::new();
            fold(text.as_bytes(), &mut key);
            match by_key.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(Found::One(index));
                }
                Entry::Occupied(mut taken) => {
                    taken.insert(Found::Many);
                }
            }
        }
        by_key.remove(&Vec::new());
        Lookup { by_key, folded: true }
    }

    /// Looks `key` up; `folded` is memory to work in.
    pub fn find(&self, key: &[u8], folded: &mut Vec<u8>) -> Found {
        let found = if self.folded {
            fold(key, folded);
            self.by_key.get(folded)
        } else {
            self.by_key.get(key)
        };
        found.copied().unwrap_or(Found::Unknown)
    }
}

/// Letters and digits in lower case: `PD-0332991` and `pd 0332991` are one.
fn fold(text: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let text = String::from_utf8_lossy(text);
    let mut utf8 = [0; 4];
    for c in text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase) {
        into.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_without_case_and_punctuation_and_twins_are_seen() {
        let texts = ["PD-0332991", "17-AAG", "", "Nutlin-3", "nutlin 3"].map(String::from);
        let lookup = Lookup::by_text(&texts);
        let mut folded = Vec::new();
        assert_eq!(lookup.find(b"pd 0332991", &mut folded), Found::One(0));
        assert_eq!(lookup.find(b"17aag", &mut folded), Found::One(1));
        assert_eq!(lookup.find(b"Nutlin-3", &mut folded), Found::Many);
        assert_eq!(lookup.find(b"--", &mut folded), Found::Unknown);
        let exact = Lookup::by_id(&texts[..2]);
        assert_eq!(
            (exact.find(b"17-AAG", &mut folded), exact.find(b"17aag", &mut folded)),
            (Found::One(1), Found::Unknown)
        );
    }
}
