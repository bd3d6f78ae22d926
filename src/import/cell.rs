//! What a cell of a table holds.

/// A cell that ought to hold a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Number(f32),
    Missing,
    Infinite,
    Text,
}

/// Reads a number as f32; truth values are 1 and 0, the words that pandas reads
/// as "no value" are [`Cell::Missing`].
pub(super) fn parse(cell: &[u8]) -> Cell {
    match cell {
        b"True" | b"TRUE" | b"true" => Cell::Number(1.0),
        b"False" | b"FALSE" | b"false" => Cell::Number(0.0),
        b"" | b"NA" | b"N/A" | b"n/a" | b"#N/A" | b"#N/A N/A" | b"#NA" | b"<NA>" | b"None" | b"null"
        | b"NULL" | b"1.#IND" | b"-1.#IND" | b"1.#QNAN" | b"-1.#QNAN" => Cell::Missing,
        _ => match fast_float2::parse::<f32, _>(cell) {
            Ok(value) if value.is_finite() => Cell::Number(value),
            Ok(value) if value.is_nan() => Cell::Missing,
            Ok(_) => Cell::Infinite,
            Err(_) => Cell::Text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_missing_words_and_text_are_told_apart() {
        assert_eq!(parse(b"-1.5e-3"), Cell::Number(-1.5e-3));
        for word in ["", "NA", "nan", "-NaN", "None", "n/a", "#N/A N/A", "-1.#IND"] {
            assert_eq!(parse(word.as_bytes()), Cell::Missing, "{word}");
        }
        for word in ["inf", "-Infinity", "1e39"] {
            assert_eq!(parse(word.as_bytes()), Cell::Infinite, "{word}");
        }
        for word in ["1,5", "1 2", "0x10", "--1"] {
            assert_eq!(parse(word.as_bytes()), Cell::Text, "{word}");
        }
    }
}
