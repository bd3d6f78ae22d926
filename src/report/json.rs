use crate::{Error, Result, atomic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Far above any JSON file of a run; a larger one is not what its name says.
const LARGEST: u64 = 64 << 20;

/// Reads a JSON file. The bare words `NaN`, `Infinity` and `-Infinity`, which
/// Python's `json.dump` writes and JSON does not know, read as null.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .or_else(|first| serde_json::from_str(&without_python_words(&text)).map_err(|_| first))
        .map_err(|e| Error::run(path, format!("is not the JSON expected here: {e}")))
}

/// Reads a whole small text file of a run.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let failed = |e| Error::io(path, "cannot read", e);
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > LARGEST {
        return Err(Error::run(path, format!("has {length} bytes, more than the {LARGEST} read here")));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Writes `value` indented by four, as `json.dump(..., indent=4)` does.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    atomic::write_file(path, |w| {
        let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut *w, format))?;
        w.write_all(b"\n")
    })
}

fn without_python_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|w| !quoted && rest.starts_with(w));
        if let Some(word) = word {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
        if quoted && c == '\\' {
            out.extend(rest.chars().next());
            rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
        } else if c == '"' {
            quoted = !quoted;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_words_read_as_null_outside_strings_only() {
        let text = r#"{"a": NaN, "b\"": -Infinity, "NaN": "Infinity \\"}"#;
        let value: serde_json::Value = serde_json::from_str(&without_python_words(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": null, "b\"": null, "NaN": "Infinity \\"}));
    }

    #[test]
    fn malformed_json_is_refused_naming_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        std::fs::write(&path, "{\"a\": ").unwrap();
        let message = read::<serde_json::Value>(&path).unwrap_err().to_string();
        assert!(message.contains("run.json") && message.contains("JSON"), "{message}");
    }
}
