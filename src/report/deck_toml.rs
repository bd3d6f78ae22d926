//! What a report reads from the resolved deck of a run. A deck of another
//! program, or one that cannot be read, says nothing.

use std::path::Path;
use toml::{Table, Value};

/// Folds of the rule that the splits are made by; `None` where they came with
/// the data.
pub fn folds(deck: &str) -> Option<u32> {
    let folds = section(deck, "data")?.get("splits")?.get("folds")?.as_integer()?;
    u32::try_from(folds).ok().filter(|&folds| folds > 2)
}

/// Sample features, an encoder by the name of its folder, as in
/// `expression, latent:PCA`.
pub fn sample_features(deck: &str) -> Option<String> {
    let data = section(deck, "data")?;
    let fine_tuned = data.get("latent").and_then(Value::as_str) == Some("fine-tuned");
    let short = |name: &str| match name.strip_prefix("latent:") {
        Some(folder) => {
            let last = Path::new(folder).file_name().map(|name| name.to_string_lossy().into_owned());
            let use_of = if fine_tuned { " (fine-tuned)" } else { "" };
            format!("latent:{}{use_of}", last.as_deref().unwrap_or(folder))
        }
        None => name.to_string(),
    };
    let names = data.get("sample_features")?.as_array()?.iter();
    let names: Vec<String> = names.filter_map(|name| Some(short(name.as_str()?))).collect();
    Some(names.join(", ")).filter(|names| !names.is_empty())
}

/// Whether an encoder was shown the classes of the rows that it learned from.
pub fn has_center_loss(deck: &str) -> bool {
    section(deck, "model").is_some_and(|model| model.contains_key("center_loss"))
}

fn section(deck: &str, name: &str) -> Option<Table> {
    match deck.parse::<Table>().ok()?.remove(name)? {
        Value::Table(section) => Some(section),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_those_of_a_rule() {
        let rule = "[data]\nsplits = { rule = \"random\", folds = 5, seed = 1 }\n";
        assert_eq!(folds(rule), Some(5));
        assert_eq!(folds("[data.splits]\nrule = \"cold-drug\"\nfolds = 3\n"), Some(3));
        for other in ["[data]\nsplits = [0, 1]\n", "[data]\nsplits = { folds = 2 }\n", "data = 1\n", "[", ""]
        {
            assert_eq!(folds(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_encoder_is_named_after_its_folder() {
        let deck = "[data]\nsample_features = [\"expression\", \"latent:/runs/PCA/\"]\n";
        assert_eq!(sample_features(deck).as_deref(), Some("expression, latent:PCA"));
        let tuned = "[data]\nlatent = \"fine-tuned\"\nsample_features = [\"latent:../ae\"]\n";
        assert_eq!(sample_features(tuned).as_deref(), Some("latent:ae (fine-tuned)"));
        assert_eq!([sample_features("[data]\n"), sample_features("no deck")], [None, None]);
    }

    #[test]
    fn center_loss_is_seen() {
        assert!(has_center_loss("[model.center_loss]\nweight = 0.1\n") && !has_center_loss("[model]\n"));
    }
}
