use crate::Result;
use crate::store::{SplitRows, Store};

/// The rows of imported split `k` of `dataset`, as the store holds and checks them: every row in
/// range, parts disjoint, none empty.
pub fn rows(store: &Store, dataset: &str, k: u32) -> Result<SplitRows> {
    store.split(dataset, k)
}
