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
    // The word of a number is as good as always a finite one.
    if let [b'0'..=b'9' | b'-', ..] = cell
        && let Ok(value) = fast_float2::parse::<f32, _>(cell)
        && value.is_finite()
    {
        return Cell::Number(value);
    }
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

/// Like [`parse`], for who does not ask for the value: it is 0 where digits alone say "number".
pub(super) fn look(cell: &[u8]) -> Cell {
    /// More of them might be infinite as f32.
    const MOST_DIGITS: usize = 38;
    let unsigned = cell.strip_prefix(b"-").unwrap_or(cell);
    let (mut digits, mut points) = (0, 0);
    for byte in unsigned {
        digits += usize::from(byte.is_ascii_digit());
        points += usize::from(*byte == b'.');
    }
    let plain = digits > 0 && points <= 1 && digits + points == unsigned.len() && digits <= MOST_DIGITS;
    if plain { Cell::Number(0.0) } else { parse(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn looking_finds_what_parsing_does(cell in "-?[0-9.]{0,60}|[-+0-9.eEinfaNA]{0,6}|[ -~]{0,8}") {
            let kind = |cell| match cell {
                Cell::Number(_) => Cell::Number(0.0),
                other => other,
            };
            prop_assert_eq!(kind(look(cell.as_bytes())), kind(parse(cell.as_bytes())));
        }
    }

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
