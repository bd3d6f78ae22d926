/// Most bytes of a message.
const MOST: usize = 4 << 30;

/// A size in bytes, such as `4096`, `64KiB`, `256 MiB`, `1GiB`; from 4 bytes to 4 GiB.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("'{other}' is no unit of size; use KiB, MiB or GiB")),
    };
    match number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(bytes @ 4..=MOST) => Ok(bytes),
        _ => Err("must be from 4 bytes to 4GiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(
            ["4096", "64KiB", "256 MiB", "4GiB"].map(|s| size(s).unwrap()),
            [4096, 65536, 1 << 28, 4 << 30]
        );
        for wrong in ["", "KiB", "3", "5GiB", "64KB", "1.5MiB", "-4", "99999999999999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
