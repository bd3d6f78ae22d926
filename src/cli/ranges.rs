//! Many numbers, or hosts, in few words.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Ascending numbers as a list of runs, as in "0-7,64-71".
pub fn numbers(ascending: impl IntoIterator<Item = usize>) -> String {
    let runs = runs(ascending).into_iter().map(|run| match (*run.start(), *run.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// Names, or folded ones, that are listed: some sites number cabinet, chassis and slot, which does not fold.
const LISTED: usize = 8;

/// Names of hosts as batch systems fold them, as in "n[001-128,130],login1", the first few.
pub fn hosts<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    // By what stands before the number at the end, and its digits.
    let mut numbered: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    let mut others: Vec<&str> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        match digits.parse() {
            Ok(number) => numbered.entry((stem, digits.len())).or_default().push(number),
            Err(_) => others.push(name),
        }
    }
    let fold = |((stem, width), mut all): ((&str, usize), Vec<usize>)| {
        all.sort_unstable();
        all.dedup();
        let padded = |number: usize| format!("{number:0width$}");
        if let [alone] = all[..] {
            return format!("{stem}{}", padded(alone));
        }
        let runs = runs(all).into_iter().map(|run| match (*run.start(), *run.end()) {
            (first, last) if first == last => padded(first),
            (first, last) => format!("{}-{}", padded(first), padded(last)),
        });
        format!("{stem}[{}]", runs.collect::<Vec<_>>().join(","))
    };
    let mut folded: Vec<String> = numbered.into_iter().map(fold).collect();
    others.dedup();
    folded.extend(others.into_iter().map(String::from));
    let more = folded.len().saturating_sub(LISTED);
    folded.truncate(LISTED);
    let rest = if more > 0 { format!(",... ({more} more)") } else { String::new() };
    folded.join(",") + &rest
}

fn runs(ascending: impl IntoIterator<Item = usize>) -> Vec<RangeInclusive<usize>> {
    let mut runs: Vec<RangeInclusive<usize>> = Vec::new();
    for number in ascending {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == number => *run = *run.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_folded() {
        assert_eq!(numbers([]), "");
        assert_eq!(numbers([3]), "3");
        assert_eq!(numbers((0..8).chain(64..72).chain([80])), "0-7,64-71,80");
        assert_eq!(hosts(["n1"]), "n1");
        assert_eq!(hosts(["n002", "n001", "n003", "n010", "login"]), "n[001-003,010],login");
        assert_eq!(hosts(["n9", "n10", "gpu7"]), "gpu7,n9,n10");
        let slots: Vec<String> = (0..512).map(|slot| format!("x3005c{slot:03}s7b0n0")).collect();
        let told = hosts(slots.iter().map(String::as_str));
        assert!(
            told.starts_with("x3005c000s7b0n0,") && told.ends_with("c007s7b0n0,... (504 more)"),
            "{told}"
        );
        assert_eq!(hosts(["x", "99999999999999999999999"]), "x,99999999999999999999999");
    }
}
