use std::fmt::{Display, Formatter, Result, Write};

/// A text from outside, shown so that it is only ever text: in an element or
/// inside a quoted attribute. Control characters become U+FFFD.
pub(crate) struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_open_a_tag_or_end_an_attribute() {
        let shown = Escaped("<script>\"x\" & 'y'\u{0}").to_string();
        assert_eq!(shown, "&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;\u{fffd}");
    }
}
