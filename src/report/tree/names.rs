use super::RunInfo;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Source and target of each folder `<SRC>-<TGT>`. Names may hold `-` too: a
/// cut is taken whose halves are names known from `run.json`, from `models/`
/// or from folders with a single `-`; of several, the one with the longest
/// source. A folder that leaves a doubt is refused by name.
pub(super) fn resolve(
    infer: &Path,
    pairs: &[(String, PathBuf)],
    info: &RunInfo,
    trained: &[(String, PathBuf)],
) -> Result<Vec<(String, String)>> {
    let mut sources: BTreeSet<&str> = trained.iter().map(|(name, _)| name.as_str()).collect();
    sources.extend(info.sources.iter().map(String::as_str));
    let mut known: BTreeSet<&str> = sources.clone();
    known.extend(info.targets.iter().map(String::as_str));
    for (name, _) in pairs {
        let mut cuts = cuts(name);
        if let (Some((source, target)), None) = (cuts.next(), cuts.next()) {
            known.extend([source, target]);
        }
    }
    let resolve = |name: &str| {
        let longest = |good: &dyn Fn(&(&str, &str)) -> bool| cuts(name).filter(good).last();
        // A half may be known by chance, so the strongest evidence is asked first.
        let cut = longest(&|(s, t)| sources.contains(s) && known.contains(t))
            .or_else(|| longest(&|(s, t)| known.contains(s) && known.contains(t)))
            .or_else(|| longest(&|(s, _)| sources.contains(s)))
            .or_else(|| cuts(name).next().filter(|_| cuts(name).count() == 1));
        cut.map(|(s, t)| (s.to_string(), t.to_string())).ok_or_else(|| {
            let what = if name.contains('-') {
                "cannot tell source from target: add run.json with \"sources\" and \"targets\""
            } else {
                "is not named <SOURCE>-<TARGET>"
            };
            Error::run(infer.join(name), what)
        })
    };
    pairs.iter().map(|(name, _)| resolve(name)).collect()
}

/// `declared` first and in its order, then the others of `met` by name.
pub(super) fn ordered<'a>(declared: &[String], met: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in declared {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let others: BTreeSet<&String> = met.filter(|name| !names.contains(name)).collect();
    let others: Vec<String> = others.into_iter().cloned().collect();
    names.extend(others);
    names
}

fn cuts(name: &str) -> impl Iterator<Item = (&str, &str)> {
    name.match_indices('-')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .filter(|(source, target)| !source.is_empty() && !target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(folders: &[&str], sources: &[&str], trained: &[&str]) -> Result<Vec<(String, String)>> {
        let named =
            |names: &[&str]| names.iter().map(|n| (n.to_string(), PathBuf::new())).collect::<Vec<_>>();
        let sources: Vec<String> = sources.iter().map(|s| s.to_string()).collect();
        let info = RunInfo { targets: sources.clone(), sources, ..RunInfo::default() };
        resolve(Path::new("infer"), &named(folders), &info, &named(trained))
    }

    #[test]
    fn names_with_dashes_are_told_apart_by_what_is_known() {
        let pair = |s: &str, t: &str| (s.to_string(), t.to_string());
        let from_run = resolved(&["A-B-C", "A-B-A-B"], &["A-B", "C"], &[]).unwrap();
        assert_eq!(from_run, [pair("A-B", "C"), pair("A-B", "A-B")]);
        let from_models = resolved(&["NCI-60-CCLE"], &[], &["NCI-60"]).unwrap();
        assert_eq!(from_models, [pair("NCI-60", "CCLE")]);
        let from_others = resolved(&["A-C", "C-B", "A-B"], &[], &[]).unwrap();
        assert_eq!(from_others[0], pair("A", "C"));
    }

    #[test]
    fn a_doubtful_folder_is_refused_by_name() {
        let message = resolved(&["A-B-C"], &[], &[]).unwrap_err().to_string();
        assert!(message.contains("A-B-C") && message.contains("run.json"), "{message}");
        let message = resolved(&["CCLE"], &[], &[]).unwrap_err().to_string();
        assert!(message.contains("CCLE") && message.contains("<SOURCE>-<TARGET>"), "{message}");
    }

    #[test]
    fn declared_order_comes_first() {
        let met = ["a".to_string(), "z".to_string(), "b".to_string()];
        assert_eq!(ordered(&["z".to_string()], met.iter()), ["z", "a", "b"]);
    }
}
