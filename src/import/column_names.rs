//! From the headers of a table to names that a store takes.

use crate::store::names;
use std::collections::HashSet;

/// Gives out names, each once.
#[derive(Debug, Default)]
pub(super) struct ColumnNames {
    taken: HashSet<String>,
}

impl ColumnNames {
    /// The store's name for the column headed `header`: what a store does not
    /// take becomes an underscore, a name given before gets a number. `None`
    /// where the header is blank, as pandas' nameless index is.
    pub fn give(&mut self, header: &str) -> Option<String> {
        if is_blank(header) {
            return None;
        }
        names::of_header(header).map(|name| self.distinct(name))
    }

    /// `name`, with a number behind it where it was given before.
    pub fn distinct(&mut self, name: String) -> String {
        let mut free = name.clone();
        let mut number = 2;
        while !self.taken.insert(free.clone()) {
            free = format!("{name}.{number}");
            number += 1;
        }
        free
    }
}

/// Whether a column has no name; pandas calls one without "Unnamed: 3".
pub(super) fn is_blank(header: &str) -> bool {
    header.is_empty() || header.starts_with("Unnamed:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_usable_and_distinct() {
        let mut names = ColumnNames::default();
        let given = ["a/b", "a_b", "a\\b", "", "Unnamed: 0", ".x"].map(|h| names.give(h));
        let wanted = [Some("a_b"), Some("a_b.2"), Some("a_b.3"), None, None, Some("_x")];
        assert_eq!(given.each_ref().map(Option::as_deref), wanted);
    }
}
