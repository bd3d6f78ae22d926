use crate::corpus::{Corpus, deck};
use crate::interrupted::set_up;
use crate::program::{
    CROSSRX, Outcome, Running, arg, command_on_ranks, crossrx, fresh, has_ranks, rank_of, ranks_of, signal,
    start, wait_for,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A job that has failed ends within this.
const LIMIT: Duration = Duration::from_secs(30);

/// The command of a study on `ranks` ranks that share each task and would not end by themselves.
fn endless(deck: &Path, out: &Path, ranks: usize, set: &[&str]) -> Command {
    let share = format!("study.ranks_per_task={ranks}");
    let mut args = vec!["transfer", arg(deck), "--out", arg(out), "--threads", "1"];
    let all = [&["train.epochs=1000000", "train.patience=1000000", share.as_str()], set].concat();
    args.extend(all.iter().flat_map(|set| ["--set", set]));
    command_on_ranks(ranks, &args)
}

/// Asserts that a job has failed with one line of error, which has all of
/// `words`, and that none of its processes is left.
fn told(outcome: &Outcome, out: &Path, words: &[&str]) {
    outcome.refused(words);
    wait_for("the end of all ranks", || ranks_of(out).is_empty());
}

/// Like [`told`], of a job in which a process died. MPICH's launcher kills all others as soon as it sees
/// that, be it before the word of why is said, and names the process itself.
fn died(outcome: &Outcome, out: &Path, words: &[&str]) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    if outcome.stderr.contains("error: ") || !said.contains("BAD TERMINATION") {
        return told(outcome, out, words);
    }
    assert!(!outcome.status.success() && said.contains(" RUNNING AT "), "{said}");
    wait_for("the end of all ranks", || ranks_of(out).is_empty());
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().split('.').next().unwrap().to_string()
}

/// The ranks of `out` in their order, once all of them train.
fn training_ranks(job: &Running, out: &Path, ranks: usize) -> Vec<u32> {
    wait_for("steps", || job.stderr_so_far().contains(": epoch 2/"));
    let mut found = ranks_of(out);
    found.sort_by_key(|&process| rank_of(process).unwrap_or(process));
    assert_eq!(found.len(), ranks);
    found
}

#[test]
fn a_rank_that_fails_is_named_with_its_task_step_and_cause() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("drills");
    let drills = [
        ("panic", 1, "panic at src/train/drill.rs"),
        ("error", 2, "CROSSRX_DRILL asks for an error"),
        ("memory", 1, "is gone: killed, out of memory, or crashed"),
        ("kill", 1, "is gone: killed, out of memory, or crashed"),
        ("kill", 0, "is gone: killed, out of memory, or crashed"),
    ];
    for (fault, rank, cause) in drills {
        let out = folder.join(format!("{fault}-{rank}"));
        let mut command = endless(&deck, &out, 3, &[]);
        command.env("CROSSRX_DRILL", format!("{fault}:{rank}:23:1")).env_remove("RUST_BACKTRACE");
        let outcome = start(command).finish(LIMIT);
        let place = format!("rank {rank} on {}, Red split 0, step 23: ", host());
        died(&outcome, &out, &[&place, cause]);
    }
}

#[test]
fn a_rank_that_stalls_is_named_with_who_waits_for_it_and_where() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("stall");
    for (rank, waiting) in
        [(1, "ranks 0 and 2 wait in the sum over ranks"), (0, "ranks 1 and 2 wait in the sum over ranks")]
    {
        let out = folder.join(rank.to_string());
        let mut command = endless(&deck, &out, 3, &["comm.timeout_seconds=2"]);
        command.env("CROSSRX_DRILL", format!("stall:{rank}:23"));
        let outcome = start(command).finish(LIMIT);
        let place = format!("rank {rank} on {}, Red split 0, step 23: has made no progress for ", host());
        told(&outcome, &out, &[&place, waiting]);
    }
}

#[test]
fn a_rank_alone_in_its_task_that_stalls_is_named() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("stall-alone");
    let out = folder.join("out");
    let set = ["comm.timeout_seconds=2", "study.ranks_per_task=1"];
    let mut command = endless(&deck, &out, 2, &set);
    command.env("CROSSRX_DRILL", "stall:1:23");
    let outcome = start(command).finish(LIMIT);
    let place = format!("rank 1 on {}, ", host());
    told(&outcome, &out, &[&place, ", step 23: has made no progress for 8 s, and waits for nobody"]);
}

#[test]
fn a_rank_that_is_stopped_is_named() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("stopped");
    for rank in [0, 2] {
        let out = folder.join(rank.to_string());
        let job = start(endless(&deck, &out, 3, &["comm.timeout_seconds=2"]));
        signal("STOP", &[training_ranks(&job, &out, 3)[rank]]);
        let outcome = job.finish(LIMIT);
        let place = format!("rank {rank} on {}, Red split 0, step ", host());
        told(&outcome, &out, &[&place, ": no sign of life for "]);
    }
}

#[test]
fn a_rank_that_is_killed_at_any_moment_is_named() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("killed-rank");
    for rank in [0, 1, 3] {
        let out = folder.join(rank.to_string());
        let job = start(endless(&deck, &out, 4, &[]));
        let process = training_ranks(&job, &out, 4)[rank];
        signal("KILL", &[process]);
        let outcome = job.finish(LIMIT);
        let place = format!("rank {rank} on {}, Red split 0, step ", host());
        died(&outcome, &out, &[&place, &format!("its process {process} is gone")]);
    }
}

#[test]
fn a_job_that_is_stopped_as_a_whole_and_goes_on_is_left_alone() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("suspended");
    let out = folder.join("out");
    let job = start(endless(&deck, &out, 2, &["comm.timeout_seconds=4"]));
    let ranks = training_ranks(&job, &out, 2);
    signal("STOP", &ranks);
    std::thread::sleep(Duration::from_secs(10));
    signal("CONT", &ranks);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(ranks_of(&out).len(), 2);
    // Not to the launcher: Open MPI's lets SIGKILL follow.
    signal("TERM", &ranks);
    let outcome = job.finish(LIMIT);
    assert!(!outcome.stderr.contains("error: "), "{}", outcome.stderr);
}

#[test]
fn slow_steps_are_no_stall() {
    if !has_ranks() {
        return;
    }
    let folder = fresh("slow");
    let (store, out) = (folder.join("demo.h5"), folder.join("out"));
    crossrx(&["synth", "--preset", "demo", "--seed", "3", "--out", arg(&store)]).ok();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/demo.toml");
    let path = format!("store.path={}", arg(&store));
    let head = format!("model.head={:?}", [768; 14]);
    // One step, of which no part takes long by itself.
    let set = [&path, "comm.timeout_seconds=1", "train.epochs=1", "train.batch=100000", &head];
    let mut args =
        vec!["train", arg(&demo), "--source", "Beta", "--split", "0", "--out", arg(&out), "--threads", "1"];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    let outcome = start(command_on_ranks(2, &args)).finish(Duration::from_secs(120));
    let words = outcome.stderr.clone();
    outcome.ok();
    let seconds =
        words.lines().find_map(|line| line.split(" best 1 (").nth(1)?.split(' ').next()?.parse().ok());
    let seconds: f64 = seconds.unwrap_or_else(|| panic!("no epoch: {words}"));
    assert!(seconds > 2.0, "a step of {seconds} s is not slow");
}

#[test]
fn a_drill_that_cannot_be_read_is_refused() {
    let (folder, deck) = set_up("wrong-drill");
    let out = folder.join("out");
    let mut command = Command::new(CROSSRX);
    command.args(["transfer", arg(&deck), "--out", arg(&out)]).env("CROSSRX_DRILL", "burn:0:1");
    start(command).finish(LIMIT).refused(&["CROSSRX_DRILL", "burn:0:1"]);
    assert!(!out.exists());
}

#[test]
fn a_panic_ends_one_process_too() {
    let (folder, deck) = set_up("panic-alone");
    let out = folder.join("out");
    let mut command = Command::new(CROSSRX);
    command.args(["transfer", arg(&deck), "--out", arg(&out)]).env("CROSSRX_DRILL", "panic:0:5");
    command.env_remove("RUST_BACKTRACE");
    start(command).finish(LIMIT).refused(&["Red split 0, step 5: panic at src/train/drill.rs"]);
}

/// Two programs with arguments of their own, a rank each.
fn side_by_side(one: (&Path, &[&str]), other: (&Path, &[&str])) -> Outcome {
    let mut command = command_on_ranks(1, &[]);
    // The first program stands where the program under test would.
    let program: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let launcher = command.get_program().to_owned();
    command = Command::new(launcher);
    command.args(&program[..program.len() - 1]).arg(one.0).args(one.1);
    command.args([":", "-n", "1"]).arg(other.0).args(other.1);
    start(command).finish(LIMIT)
}

fn two_folders(name: &str) -> [PathBuf; 2] {
    let folder = fresh(name);
    ["one", "two"].map(|name| {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

#[test]
fn ranks_with_other_decks_are_refused_with_both_values() {
    if !has_ranks() {
        return;
    }
    let [one, two] = two_folders("two-decks");
    let store = one.join("small.h5");
    Corpus::two_screens().write(&store);
    let decks = [(&one, "epochs = 7"), (&two, "epochs = 8")].map(|(folder, epochs)| {
        let path = folder.join("deck.toml");
        fs::write(&path, deck(&store, "").replace("epochs = 3", epochs)).unwrap();
        path
    });
    let out = one.join("out");
    let [first, second] = decks.each_ref().map(|deck| ["transfer", arg(deck), "--out", arg(&out)]);
    let outcome = side_by_side((Path::new(CROSSRX), &first), (Path::new(CROSSRX), &second));
    outcome.refused(&["the deck", "`epochs = 7` on rank 0", "`epochs = 8` on rank 1", &host()]);
    assert!(!out.exists());
}

#[test]
fn ranks_with_other_stores_are_refused_with_both_digests() {
    if !has_ranks() {
        return;
    }
    let [one, two] = two_folders("two-stores");
    let mut corpus = Corpus::two_screens();
    corpus.write(&one.join("small.h5"));
    corpus.datasets[0].auc[5] += 0.01;
    corpus.write(&two.join("small.h5"));
    let digest = |folder: &Path| {
        let said = crossrx(&["inspect", arg(&folder.join("small.h5"))]).ok();
        said.lines().find_map(|line| line.strip_prefix("digest ")).unwrap().trim().to_string()
    };
    let path = one.join("deck.toml");
    fs::write(&path, deck(Path::new("small.h5"), "")).unwrap();
    let out = one.join("out");
    let args = ["transfer", arg(&path), "--out", arg(&out)];
    // The same path, which is another file in each rank's folder, as on a disk of the node.
    let script = |folder: &Path| {
        let script = folder.join("run.sh");
        let text = format!("#!/bin/sh\ncd '{}' && exec '{CROSSRX}' \"$@\"\n", folder.display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script
    };
    let outcome = side_by_side((&script(&one), &args), (&script(&two), &args));
    outcome.refused(&["the content of the store", &digest(&one), &digest(&two)]);
}

#[test]
fn ranks_of_other_builds_are_refused() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("two-builds");
    let other = folder.join("crossrx");
    fs::copy(CROSSRX, &other).unwrap();
    // What follows the sections of a program changes nothing but the file.
    let mut bytes = fs::OpenOptions::new().append(true).open(&other).unwrap();
    std::io::Write::write_all(&mut bytes, b"another build").unwrap();
    drop(bytes);
    let out = folder.join("out");
    let args = ["transfer", arg(&deck), "--out", arg(&out)];
    let outcome = side_by_side((Path::new(CROSSRX), &args), (&other, &args));
    outcome.refused(&["the program", "on rank 0", "on rank 1", env!("CARGO_PKG_VERSION"), "XXH3"]);
}
