/// Widest line of a comment.
const WIDTH: usize = 110;

/// A script in the making: lines, and comments broken at a width.
#[derive(Debug, Default)]
pub struct Text {
    lines: String,
}

impl Text {
    /// A line, or several, as they are.
    pub fn line(&mut self, line: impl AsRef<str>) -> &mut Self {
        self.lines.push_str(line.as_ref());
        self.lines.push('\n');
        self
    }

    /// An empty line.
    pub fn gap(&mut self) -> &mut Self {
        self.line("")
    }

    /// A comment, on as many lines as it needs.
    pub fn say(&mut self, comment: impl AsRef<str>) -> &mut Self {
        let mut line = String::from("#");
        for word in comment.as_ref().split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
                self.line(&line);
                line.truncate(1);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(line)
    }

    /// Words of a command, broken over lines before options where they do not fit on one.
    pub fn command(&mut self, words: &[String], end: &str) -> &mut Self {
        let mut line = String::new();
        for word in words {
            let begins = word.starts_with('-') || word.starts_with("\"$crossrx");
            if begins && line.len() + 1 + word.len() > WIDTH - 20 {
                self.line(format!("{line} \\"));
                line = String::from("   ");
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(line + end)
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_commands_are_broken_between_words() {
        let mut text = Text::default();
        text.say("word ".repeat(40)).gap();
        let words: Vec<String> = (0..12).map(|i| format!("--option-{i}=value")).collect();
        text.command(&words, " &");
        let text = text.finish();
        let (comment, command) = text.split_once("\n\n").unwrap();
        assert!(comment.lines().all(|line| line.starts_with("# word") && line.len() <= WIDTH));
        assert_eq!(command.matches('\\').count() + 1, command.lines().count());
        assert!(command.ends_with(" &\n") && command.contains("\\\n    --option"));
    }
}
