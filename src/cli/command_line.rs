/// The command line as typed, near enough to be typed again; kept in stores as provenance.
pub fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    let quoted = std::env::args_os().enumerate().map(|(i, arg)| {
        let arg = arg.to_string_lossy();
        match arg.rsplit_once('/') {
            Some((_, program)) if i == 0 => program.to_owned(),
            _ if !arg.is_empty() && arg.chars().all(plain) => arg.into_owned(),
            _ => format!("'{}'", arg.replace('\'', r"'\''")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
