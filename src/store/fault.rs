//! Errors about a place in a store, HDF5's own among them, each as one line.

use crate::Error;
use std::fmt::{Debug, Display};
use std::path::Path;

/// An [`Error::Store`] whose text is one line. HDF5 spreads failed writes over
/// several and buries the reason, of which a full disk is the usual one.
pub(super) fn fault(path: &Path, place: impl Into<String>, what: impl ToString) -> Error {
    let what = what.to_string();
    let full = "No space left on device";
    if what.contains(full) {
        return Error::store(path, place, format!("cannot write: {full}"));
    }
    Error::store(path, place, what.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Says that a store has no `what` called `name`, and what it has.
pub(super) fn absent(what: &str, name: impl Debug, there: impl IntoIterator<Item: Display>) -> String {
    let there: Vec<String> = there.into_iter().map(|t| t.to_string()).collect();
    let there = if there.is_empty() { "none at all".into() } else { there.join(", ") };
    format!("has no {what} {name:?}; there is {there}")
}
