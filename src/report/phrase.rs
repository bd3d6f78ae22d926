//! Numbers in words, as a person would say them.

/// A number and a noun, as in "1 task" and "2 tasks".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A number, a noun and its verb, as in "1 task is" and "2 tasks are".
pub fn are(number: usize, noun: &str) -> String {
    format!("{} {}", count(number, noun), if number == 1 { "is" } else { "are" })
}

/// The same of what one has, as in "1 task has" and "2 tasks have".
pub fn have(number: usize, noun: &str) -> String {
    format!("{} {}", count(number, noun), if number == 1 { "has" } else { "have" })
}

/// A time in seconds, as in "3.2 s" and "2 h 5 min".
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_plainly() {
        assert_eq!([count(1, "task"), count(0, "task")], ["1 task", "0 tasks"]);
        assert_eq!([are(1, "task"), are(2, "task")], ["1 task is", "2 tasks are"]);
        assert_eq!([have(1, "row"), have(2, "row")], ["1 row has", "2 rows have"]);
        let said = [3.21, 75.0, 601.0, 7322.0].map(duration);
        assert_eq!(said, ["3.2 s", "75 s", "10 min 1 s", "2 h 2 min"]);
    }
}
