use crate::split::RuleSplit;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The key `data.splits`: numbers of imported splits, or a rule, as in
/// `{ rule = "cold-drug", folds = 10, seed = 1, only = [0, 1] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Splits {
    /// Splits kept in the store.
    Imported(Vec<u32>),
    /// Splits made by a rule.
    Rule {
        /// The rule.
        #[serde(flatten)]
        rule: RuleSplit,
        /// Folds to run; all of them if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        only: Option<Vec<u32>>,
    },
}

/// One a drug or sample left out is the most that can be meant.
const MOST_FOLDS: u32 = 100_000;

impl Splits {
    /// Numbers of the splits to run.
    pub fn numbers(&self) -> Vec<u32> {
        match self {
            Splits::Imported(numbers) | Splits::Rule { only: Some(numbers), .. } => numbers.clone(),
            Splits::Rule { rule, only: None } => (0..rule.folds).collect(),
        }
    }

    /// What is wrong with them, if anything.
    pub fn fault(&self) -> Option<String> {
        if let Splits::Rule { rule, .. } = self
            && !(3..=MOST_FOLDS).contains(&rule.folds)
        {
            return Some(format!("folds = {}: 3 to {MOST_FOLDS}", rule.folds));
        }
        let numbers = self.numbers();
        if numbers.is_empty() {
            return Some("names no split".into());
        }
        if let Some(twice) = (1..numbers.len()).find(|&i| numbers[..i].contains(&numbers[i])) {
            return Some(format!("names split {} twice", numbers[twice]));
        }
        match self {
            Splits::Rule { rule, .. } => {
                let beyond = numbers.iter().find(|n| **n >= rule.folds)?;
                Some(format!("split {beyond} of {} folds, which are 0 to {}", rule.folds, rule.folds - 1))
            }
            Splits::Imported(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Splits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from)? {
            toml::Value::Array(list) => {
                let numbers = toml::Value::Array(list).try_into().map_err(de::Error::custom)?;
                Ok(Splits::Imported(numbers))
            }
            toml::Value::Table(mut table) => {
                let only =
                    table.remove("only").map(toml::Value::try_into).transpose().map_err(de::Error::custom)?;
                let rule = toml::Value::Table(table).try_into().map_err(de::Error::custom)?;
                Ok(Splits::Rule { rule, only })
            }
            other => Err(de::Error::custom(format!(
                "{} where a list of numbers or a table such as {{ rule = \"random\", folds = 10, seed = 1 }} belongs",
                other.type_str()
            ))),
        }
    }
}
