use crate::{Error, Result};

/// The text as one word of bash: as it is where bash reads it so, else in single quotes.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Refuses what no line of a script can hold: nothing at all, a line break or another control character.
pub fn one_line<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    match text {
        "" => Err(Error::Request(format!("{what} is empty: leave it out, or name something"))),
        _ if text.chars().any(char::is_control) => {
            let what =
                format!("{what} {text:?} has a line break or another control character: write it without");
            Err(Error::Request(what))
        }
        _ => Ok(text),
    }
}

/// Like [`one_line`], and refuses a leading dash, which commands would take for an option.
pub fn operand<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    one_line(what, text)?;
    if text.starts_with('-') {
        let what =
            format!("{what} {text} begins with a dash, like an option: write ./{text} if it is a path");
        return Err(Error::Request(what));
    }
    Ok(text)
}

/// A name as schedulers take it in a directive, where nothing is quoted: letters, digits and `_.-+@:=/%,`, the
/// first a letter, digit or underscore.
pub fn scheduler_name<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    one_line(what, text)?;
    if !text.starts_with(first) || !text.chars().all(|c| first(c) || ".-+@:=/%,".contains(c)) {
        let what = format!(
            "{what} {text:?}: a scheduler takes letters, digits and _.-+@:=/%, beginning with a letter or digit"
        );
        return Err(Error::Request(what));
    }
    Ok(text)
}

/// Like [`scheduler_name`], for the name of a job, which also becomes part of a file's name.
pub fn job_name(text: &str) -> Result<&str> {
    scheduler_name("--name", text)?;
    if let Some(bad) = text.chars().find(|c| "/%,:=@+".contains(*c)) {
        return Err(Error::Request(format!("--name {text}: '{bad}' cannot be in the name of a log file")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn plain_words_stay_and_others_are_quoted() {
        assert_eq!(quoted("configs/csa.toml"), "configs/csa.toml");
        assert_eq!(quoted("my deck.toml"), "'my deck.toml'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(rm -r x)"), "'$(rm -r x)'");
    }

    #[test]
    fn what_a_script_cannot_hold_is_refused_with_the_reason() {
        for (text, said) in [("", "empty"), ("a\nb", "line break"), ("-x", "dash")] {
            let message = operand("the deck", text).unwrap_err().to_string();
            assert!(message.contains("the deck") && message.contains(said) && !message.contains('\n'));
        }
        assert!(operand("the deck", "a -b").is_ok());
        for text in ["-q", "a b", "x;y", "$x", "é"] {
            assert!(scheduler_name("--queue", text).unwrap_err().to_string().contains("--queue"), "{text}");
        }
        assert_eq!(scheduler_name("--account", "m1234_g").unwrap(), "m1234_g");
        assert!(job_name("a/b").is_err() && job_name("csa-3.1_x").is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bash_reads_a_quoted_word_as_it_was(text in "[^\\x00]{0,30}") {
            let script = format!("printf %s {}", quoted(&text));
            let said = Command::new("bash").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(said.stdout, text.into_bytes());
        }
    }
}
