//! What may name a dataset, a feature table, an endpoint or a text column.

/// Why `name` cannot be used, if so. Names become HDF5 links and folders of
/// results, so path separators and control characters are out.
pub(super) fn fault(name: &str) -> Option<String> {
    let odd = |c: char| c == '/' || c == '\\' || c.is_control();
    if name.is_empty() {
        Some("a name is empty".into())
    } else if name.len() > 200 {
        Some(format!("the name {:.40}... is longer than 200 bytes", name))
    } else if name.starts_with('.') || name.contains(odd) {
        Some(format!("the name {name:?} starts with a dot or holds a slash or a control character"))
    } else {
        None
    }
}
