use crate::corpus::{Corpus, deck};
use crate::program::{
    Running, arg, command_on_ranks, crossrx, fresh, has_ranks, ranks_of, signal, start, wait_for,
};
use crate::tree::{assert_complete, splits};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A study of many short tasks, so that results appear all the time.
pub fn set_up(name: &str) -> (PathBuf, PathBuf) {
    let folder = fresh(name);
    let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
    Corpus::two_screens().write(&store);
    fs::write(&path, deck(&store, "")).unwrap();
    (folder, path)
}

/// Starts the study on `ranks` ranks; with `epochs` it can be made long.
fn begin(deck: &Path, out: &Path, ranks: usize, epochs: usize) -> Running {
    let splits = "data.splits={ rule = \"random\", folds = 30, seed = 1 }";
    let epochs = format!("train.epochs={epochs}");
    let set = ["--set", splits, "--set", "train.patience=100000", "--set", &epochs];
    start(command_on_ranks(ranks, &[&["transfer", arg(deck), "--out", arg(out)], &set[..]].concat()))
}

#[test]
fn a_job_killed_at_any_moment_leaves_whole_results_only() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("killed");
    for models in [0, 1, 4, 9] {
        let out = folder.join(format!("out-{models}"));
        let job = begin(&deck, &out, 2, 3);
        wait_for("models", || splits(&out.join("models")).len() >= models && ranks_of(&out).len() == 2);
        // All at once, as a node that fails takes them.
        signal("KILL", &[&ranks_of(&out)[..], &[job.child.id()]].concat());
        let outcome = job.finish(Duration::from_secs(30));
        assert!(!outcome.status.success());
        wait_for("the end of all ranks", || ranks_of(&out).is_empty());

        assert_complete(&out);
        assert!(splits(&out.join("models")).len() >= models);
        for name in ["run.json", "all_scores.csv", "report.html"] {
            assert!(!out.join(name).exists(), "{name} of a run that was killed");
        }
        for model in splits(&out.join("models")).iter().take(2) {
            let (store, table) = (folder.join("small.h5"), folder.join("predicted.csv"));
            let args = ["--store", arg(&store), "--dataset", "Blue", "--out", arg(&table)];
            crossrx(&[&["predict", "--model", arg(model)], &args[..]].concat()).ok();
        }
    }
}

#[test]
fn a_rank_that_dies_ends_the_job() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("dead-rank");
    for victim in [0, 2] {
        let out = folder.join(format!("out-{victim}"));
        let job = begin(&deck, &out, 3, 100_000);
        wait_for("the run", || out.exists() && ranks_of(&out).len() == 3);
        let mut ranks = ranks_of(&out);
        ranks.sort_unstable();
        signal("KILL", &[ranks[victim]]);
        let outcome = job.finish(Duration::from_secs(30));
        assert!(!outcome.status.success());
        wait_for("the end of all ranks", || ranks_of(&out).is_empty());
        assert_complete(&out);
    }
}

#[test]
fn a_launcher_that_dies_takes_its_ranks_along() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("dead-launcher");
    let out = folder.join("out");
    let job = begin(&deck, &out, 2, 100_000);
    wait_for("the run", || out.exists() && ranks_of(&out).len() == 2);
    signal("KILL", &[job.child.id()]);
    assert!(!job.finish(Duration::from_secs(30)).status.success());
    wait_for("the end of all ranks", || ranks_of(&out).is_empty());
    assert_complete(&out);
}
