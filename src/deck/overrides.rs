use std::str::FromStr;

/// One `--set section.key=value`: any TOML value, or plain text where it is
/// not TOML, so that paths need no quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Parts of the dotted key.
    pub key: Vec<String>,
    /// What to set it to.
    pub value: toml::Value,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, plain) = text.split_once('=').ok_or("expected section.key=value")?;
        let key: Vec<String> = key.trim().split('.').map(str::to_string).collect();
        if key.iter().any(|part| part.is_empty()) {
            return Err("expected section.key=value".into());
        }
        let parsed = format!("value = {plain}").parse::<toml::Table>().ok();
        let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        Ok(Self { key, value: value.unwrap_or_else(|| toml::Value::String(plain.trim().into())) })
    }
}

impl Override {
    /// Sets the key in `table`, making sections on the way. Fails, naming the
    /// part, where the way leads through something that is not a section.
    pub fn apply(&self, table: &mut toml::Table) -> Result<(), String> {
        let mut table = table;
        let Some((last, sections)) = self.key.split_last() else { return Ok(()) };
        for section in sections {
            let next = table.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = next.as_table_mut().ok_or_else(|| format!("'{section}' is not a section"))?;
        }
        table.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_or_else_plain_text() {
        let value = |text: &str| text.parse::<Override>().unwrap().value;
        assert_eq!(value("train.epochs=3"), toml::Value::Integer(3));
        assert_eq!(value("store.path=runs/a b.h5"), toml::Value::String("runs/a b.h5".into()));
        assert_eq!(value("store.path=\"q=1.h5\""), toml::Value::String("q=1.h5".into()));
        assert_eq!(value("data.splits=[1, 2]").as_array().unwrap().len(), 2);
        assert!("train.epochs".parse::<Override>().is_err());
        assert!("train..epochs=1".parse::<Override>().is_err());
    }

    #[test]
    fn sections_are_made_and_values_are_not_walked_through() {
        let mut table = toml::Table::new();
        "a.b.c=1".parse::<Override>().unwrap().apply(&mut table).unwrap();
        assert_eq!(table["a"]["b"]["c"].as_integer(), Some(1));
        assert!("a.b.c.d=1".parse::<Override>().unwrap().apply(&mut table).is_err());
    }
}
