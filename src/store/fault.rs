//! Errors about a place in a store, HDF5's own among them, as one line.

use crate::Error;
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
