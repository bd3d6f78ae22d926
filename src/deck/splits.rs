use crate::split::RuleSplit;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::HashSet;

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
        let (named, folds) = match self {
            Splits::Imported(named) => (named, None),
            Splits::Rule { rule, only: Some(named) } => (named, Some(rule.folds)),
            Splits::Rule { only: None, .. } => return None,
        };
        if named.is_empty() {
            return Some("names no split".into());
        }
        let mut seen = HashSet::with_capacity(named.len());
        if let Some(twice) = named.iter().find(|n| !seen.insert(**n)) {
            return Some(format!("names split {twice} twice"));
        }
        let folds = folds?;
        let beyond = named.iter().find(|n| **n >= folds)?;
        Some(format!("split {beyond} of {folds} folds, which are 0 to {}", folds - 1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Rule;

    #[test]
    fn lists_are_checked_and_as_many_folds_as_may_be_are_checked_at_once() {
        let of = |folds, only: Option<&[u32]>| Splits::Rule {
            rule: RuleSplit { rule: Rule::Random, folds, seed: 1 },
            only: only.map(<[u32]>::to_vec),
        };
        let fault = |splits: Splits| splits.fault().unwrap_or_default();
        assert!(fault(of(10, Some(&[3, 1, 3]))).contains("split 3 twice"));
        assert!(fault(of(10, Some(&[3, 10]))).contains("split 10 of 10 folds"));
        assert!(fault(of(10, Some(&[]))).contains("no split"));
        assert!(fault(Splits::Imported(vec![7, 7])).contains("split 7 twice"));
        assert!(fault(of(MOST_FOLDS + 1, None)).contains("folds"));
        let begun = std::time::Instant::now();
        assert_eq!(of(MOST_FOLDS, None).fault(), None);
        let all: Vec<u32> = (0..MOST_FOLDS).collect();
        assert_eq!(of(MOST_FOLDS, Some(&all)).fault(), None);
        assert!(begun.elapsed().as_secs() < 1, "{:?}", begun.elapsed());
    }
}
