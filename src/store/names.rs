//! What may name a dataset, a feature table, an endpoint or a text column.

/// Longest name, in bytes.
const LONGEST: usize = 200;
/// Longest name of a dataset: folders of results are called `<SOURCE>-<TARGET>`.
const LONGEST_DATASET: usize = 100;

/// Why `name` cannot be used, if so. Names become HDF5 links and folders of
/// results, so path separators and control characters are out.
pub(crate) fn why_not(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("a name is empty".into())
    } else if name.len() > LONGEST {
        Some(format!("the name {:.40}... is longer than {LONGEST} bytes", name))
    } else if name.starts_with('.') || name.contains(odd) {
        Some(format!(
            "the name {name:?} starts with a dot, or holds a slash, a backslash or a control character"
        ))
    } else {
        None
    }
}

/// Why `name` cannot be used for a dataset, if so.
pub(crate) fn why_not_dataset(name: &str) -> Option<String> {
    if name.len() > LONGEST_DATASET {
        Some(format!("the dataset {:.40}... has a name longer than {LONGEST_DATASET} bytes", name))
    } else if name.contains("..") {
        Some(format!("the name {name:?} holds two dots"))
    } else {
        why_not(name)
    }
}

/// The name nearest to a column's header that can be used: what is odd becomes
/// an underscore, what is too long is cut. `None` for a blank one.
pub(crate) fn of_header(header: &str) -> Option<String> {
    // Room for a number that makes it distinct.
    const ROOM: usize = 12;
    let mut name = String::new();
    for c in header.trim().chars() {
        if name.len() + c.len_utf8() > LONGEST - ROOM {
            break;
        }
        name.push(if odd(c) || name.is_empty() && c == '.' { '_' } else { c });
    }
    (!name.is_empty()).then_some(name)
}

fn odd(c: char) -> bool {
    c == '/' || c == '\\' || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_become_names() {
        assert_eq!(of_header(" mg/kg "), Some("mg_kg".into()));
        assert_eq!(of_header("..\\x\0"), Some("_._x_".into()));
        assert_eq!(of_header(" \t"), None);
        assert!(why_not_dataset("GDSC v1.0").is_none());
        for name in ["", "a/b", "..", "a..b", ".hidden", "a\nb", &"x".repeat(101)] {
            assert!(why_not_dataset(name).is_some(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_made_of_any_header_can_be_used(header in ".{0,300}") {
            if let Some(name) = of_header(&header) {
                prop_assert_eq!(why_not(&name), None);
            }
        }
    }
}
