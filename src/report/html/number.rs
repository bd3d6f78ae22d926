/// `value` with `decimals` decimals and a minus sign of full width; an en dash
/// where it is not a number.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{value:.decimals$}");
    let zero = text.strip_prefix('-').filter(|rest| rest.chars().all(|c| matches!(c, '0' | '.')));
    zero.map_or_else(|| text.replace('-', "−"), str::to_string)
}

/// Like [`fixed`] with a plus sign on positive values.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let positive =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().any(|c| matches!(c, '1'..='9'));
    if positive { format!("+{text}") } else { text }
}

/// `value` with three significant digits or so, for an axis or a unit.
pub(crate) fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}").replace('-', "−");
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.replace('-', "−") }
}

/// A count with thin spaces between thousands.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out
}

/// A [`count`] and what is counted, as in "1 row" and "2 rows".
pub(crate) fn counted(value: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_print() {
        assert_eq!([fixed(-0.1234, 3), fixed(-0.0001, 3), fixed(f64::NAN, 3)], ["−0.123", "0.000", "–"]);
        assert_eq!([signed(0.5, 2), signed(-0.5, 2), signed(0.0001, 2)], ["+0.50", "−0.50", "0.00"]);
        assert_eq!([short(0.25), short(12.0), short(-0.0), short(1e-5)], ["0.25", "12", "0", "1.0e−5"]);
        assert_eq!([count(7), count(174523)], ["7", "174\u{2009}523"]);
        assert_eq!([1, 0].map(|n| counted(n, "class", "classes")), ["1 class", "0 classes"]);
    }
}
