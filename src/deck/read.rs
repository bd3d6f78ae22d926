use super::Override;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use std::path::Path;

/// TOML text and overrides to a deck, every fault told with its key.
pub fn deserialize<T: DeserializeOwned>(path: &Path, text: &str, overrides: &[Override]) -> Result<T> {
    let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::deck(path, format!("line {line}"), e.message().replace('\n', " "))
    })?;
    for set in overrides {
        set.apply(&mut table)
            .map_err(|what| Error::deck(path, format!("--set {}", set.key.join(".")), what))?;
    }
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|e| {
        let key = e.path().to_string();
        let key = if key == "." { "top level".into() } else { key };
        Error::deck(path, key, e.inner().message().replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deck::{Deck, MissingFeatures, Splits};
    use proptest::prelude::*;

    const DECK: &str = r#"
        [store]
        path = "csa.h5"
        [data]
        endpoint = "auc"
        sources = ["CCLE", "gCSI"]
        splits = [0, 1]
        drug_features = ["mordred"]
        sample_features = ["expression"]
        [model]
        kind = "two-tower"
        head = [8]
    "#;

    fn read(text: &str, set: &[&str]) -> Result<Deck> {
        let set: Vec<Override> = set.iter().map(|s| s.parse().unwrap()).collect();
        Deck::parse(Path::new("d.toml"), text, &set)
    }

    #[test]
    fn a_deck_is_resolved_and_comes_back_the_same() {
        let deck = read(DECK, &["train.epochs=7", "store.path=other.h5"]).unwrap();
        assert_eq!(deck.train.epochs, 7);
        assert_eq!(deck.store.path, Path::new("other.h5"));
        assert_eq!(deck.data.targets, ["CCLE", "gCSI"]);
        assert_eq!(deck.data.missing_features, MissingFeatures::Refuse);
        assert_eq!(read(&deck.to_toml().unwrap(), &[]).unwrap(), deck);
        let rule = "data.splits={ rule = \"cold-drug\", folds = 5, seed = 2, only = [4] }";
        let deck = read(DECK, &[rule]).unwrap();
        assert_eq!(deck.data.splits.numbers(), [4]);
        assert!(matches!(deck.data.splits, Splits::Rule { .. }));
        assert_eq!(read(&deck.to_toml().unwrap(), &[]).unwrap(), deck);
    }

    #[test]
    fn faults_name_the_key_on_one_line() {
        let faults = [
            ("data.endpoitn=auc", "endpoitn"),
            ("train.epochs=many", "train.epochs"),
            ("train.batch=0", "train.batch"),
            ("train.lanes=0", "train.lanes"),
            ("model.kind=three-tower", "three-tower"),
            ("model.hed=[3]", "hed"),
            ("model.head=[]", "model.head"),
            ("model.head=[10000000000]", "model.head"),
            ("model.dropout=1.5", "model.dropout"),
            ("data.splits=[0, 0]", "data.splits"),
            ("data.splits=true", "data.splits"),
            ("data.splits={ rule = \"random\", folds = 2, seed = 1 }", "folds"),
            ("data.sources=[]", "data.sources"),
            ("data.drug_features=[\"a\", \"a\"]", "data.drug_features"),
            ("comm.timeout_seconds=0.5", "comm.timeout_seconds"),
            ("comm.timeout_seconds=nan", "comm.timeout_seconds"),
            ("comm.timeout=5", "timeout"),
            ("nonsense=1", "nonsense"),
            ("store.path.x=1", "path"),
        ];
        for (set, named) in faults {
            let message = read(DECK, &[set]).unwrap_err().to_string();
            assert!(
                message.contains(named) && message.contains("d.toml") && !message.contains('\n'),
                "{message}"
            );
        }
        let message = read(&DECK.replace("splits = [0, 1]", "splits = [0,"), &[]).unwrap_err().to_string();
        assert!(message.contains("line 7") || message.contains("line 8"), "{message}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", at in 0usize..300, cut in 0usize..40) {
            let _ = read(&text, &[]);
            let mut mangled: Vec<char> = DECK.chars().collect();
            let at = at.min(mangled.len());
            mangled.splice(at..(at + cut).min(mangled.len()), text.chars());
            if let Err(e) = read(&mangled.into_iter().collect::<String>(), &[]) {
                prop_assert!(e.to_string().contains("d.toml"));
            }
        }
    }
}
