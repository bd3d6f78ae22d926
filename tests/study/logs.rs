//! What a user of a batch system sees of a run: the log of every rank, signs of life, what TensorBoard shows.

use crate::corpus::{Corpus, deck};
use crate::program::{
    CROSSRX, Outcome, arg, command_on_ranks, crossrx, fresh, has_ranks, on_ranks, ranks_of, start, wait_for,
};
use crate::table::Table;
use crate::tree::{assert_same, files, is_events};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Four tasks on lanes that change no bit, of so many epochs.
fn set_up(name: &str, epochs: usize) -> (PathBuf, PathBuf) {
    let folder = fresh(name);
    let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
    Corpus::two_screens().write(&store);
    let train = format!("lanes = 4\nepochs = {epochs}\npatience = {epochs}");
    let text = deck(&store, &train).replacen("epochs = 3\n", "", 1);
    fs::write(&path, format!("{text}[checkpoint]\nminutes = 0.001\n")).unwrap();
    (folder, path)
}

fn study(ranks: usize, deck: &Path, out: &Path, more: &[&str]) -> Outcome {
    let args = [&["transfer", arg(deck), "--out", arg(out), "--threads", "1"], more].concat();
    if ranks == 1 { crossrx(&args) } else { on_ranks(ranks, &args) }
}

/// Lines of `text` that have all of `words`.
fn count(text: &str, words: &[&str]) -> usize {
    text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[test]
fn rank_0_tells_of_every_task_and_each_rank_keeps_a_file() {
    let (folder, deck) = set_up("log-files", 3);
    for ranks in [1, 2, 4].into_iter().filter(|&ranks| ranks == 1 || has_ranks()) {
        let out = folder.join(ranks.to_string());
        // In the folder of the study, which is not there yet.
        let log = out.join("logs/job.log");
        let outcome = study(ranks, &deck, &out, &["--log-file", arg(&log)]);
        let said = outcome.stderr.clone();
        outcome.ok();
        assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
        assert!(said.lines().all(|line| line.starts_with('[') && !line.contains('@')), "{said}");
        for task in ["Red split 0", "Red split 1", "Blue split 0", "Blue split 1"] {
            assert_eq!(count(&said, &[&format!("{task}: done in"), "best of 3 epochs is"]), 1, "{said}");
        }
        assert_eq!(count(&said, &["; 4 of 4 tasks"]), 1, "{said}");
        let head = format!("{ranks} rank{} on 1 host, 1 thread each", if ranks == 1 { "" } else { "s" });
        assert_eq!(count(&said, &[&head]), 1, "{said}");
        assert_eq!(count(&said, &[": rank", " on core"]), 1, "{said}");

        let file = |rank: usize| fs::read_to_string(out.join(format!("logs/job.{rank:04}.log"))).unwrap();
        let all: Vec<String> = (0..ranks).map(file).collect();
        let (mut epochs, mut done) = (0, 0);
        for (rank, text) in all.iter().enumerate() {
            let first = text.lines().next().unwrap();
            assert!(first.contains(&format!("begins: rank {rank} of {ranks} on ")), "{first}");
            assert!(text.lines().all(|line| &line[..2] == "20" && &line[23..24] == "Z"), "{text}");
            assert!(text.ends_with('\n') && !text.contains('\u{1b}'), "{text}");
            epochs += count(text, &[": epoch ", " loss "]);
            done += usize::from(rank > 0) * count(text, &[": done in"]);
        }
        assert_eq!(epochs, 4 * 3, "each rank has its own epochs: {all:?}");
        assert_eq!(count(&all[0], &[": done in"]), 4, "{}", all[0]);
        assert_eq!(count(&said, &[": epoch ", " loss "]), count(&all[0], &[": epoch ", " loss "]));
        assert!(ranks < 4 || done > 0, "{all:?}");
        for rank in 0..ranks {
            assert_eq!(count(&all[0], &[&format!("rank {rank} on "), ": cores ", "1 thread"]), 1);
        }
        assert!(!out.join(format!("logs/job.{ranks:04}.log")).exists());

        // A job that is started again goes on in the same files, also where the study begins anew.
        study(ranks, &deck, &out, &["--log-file", arg(&log), "--fresh"]).ok();
        for (rank, before) in all.iter().enumerate() {
            assert_eq!(count(&file(rank), &["begins: rank "]), 2, "{}", file(rank));
            assert!(file(rank).starts_with(before));
        }
    }
    let beside = folder.join("beside");
    study(1, &deck, &beside, &["--log-file", arg(&beside.join("job.log"))]).ok();
    assert!(beside.join("job.0000.log").exists() && beside.join("run.json").exists());
    let nowhere = deck.join("run.log");
    study(1, &deck, &folder.join("nowhere"), &["--log-file", arg(&nowhere)]).refused(&["deck.toml"]);
}

#[test]
fn other_ranks_warn_with_rank_and_host_and_a_log_that_cannot_be_written_costs_nothing() {
    let (folder, deck) = set_up("no-logs", 3);
    let (reference, out) = (folder.join("reference"), folder.join("out"));
    study(1, &deck, &reference, &[]).ok();
    fs::remove_dir_all(reference.join("logs")).unwrap();
    let ranks = if has_ranks() { 4 } else { 1 };
    fs::create_dir(&out).unwrap();
    fs::write(out.join("logs"), "").unwrap();
    let outcome = study(ranks, &deck, &out, &[]);
    let said = outcome.stderr.clone();
    outcome.ok();
    assert_eq!(count(&said, &["warn: ", ": its log is not kept: ", "the training goes on"]), 4, "{said}");
    for line in said.lines().filter(|line| line.contains('@')) {
        let (speaker, rest) = line.split_once("] [").unwrap();
        let (rank, host) = speaker.strip_prefix('[').unwrap().split_once('@').unwrap();
        assert!((1..ranks).contains(&rank.parse().unwrap()) && !host.is_empty(), "{line}");
        assert!(rest.contains("] warn: "), "{line}");
    }
    assert!(ranks == 1 || said.contains("[1@") || said.contains("[2@") || said.contains("[3@"), "{said}");
    fs::remove_file(out.join("logs")).unwrap();
    assert_same(&reference, &out);
}

#[test]
fn a_heartbeat_says_how_a_training_goes_and_changes_no_bit() {
    let (folder, deck) = set_up("heartbeat", 600);
    let set = ["--set", "data.sources=[\"Red\"]", "--set", "data.splits=[0]"];
    let mut runs = Vec::new();
    for (ranks, every) in [(1, "0"), (1, "0.01"), (2, "0.01")] {
        if ranks > 1 && !has_ranks() {
            continue;
        }
        let out = folder.join(format!("{ranks}-{every}"));
        let outcome = study(ranks, &deck, &out, &[&set[..], &["--heartbeat", every]].concat());
        let said = outcome.stderr.clone();
        outcome.ok();
        let words =
            ["Red split 0: epoch ", "/600 step ", ", loss 0.", " samples/s, at most ", "; 0 of 1 task"];
        let beats = count(&said, &words);
        assert_eq!(beats > 2, every != "0", "{beats} beats: {said}");
        runs.push(out);
    }
    runs[1..].iter().for_each(|run| assert_same(&runs[0], run));
    for wrong in ["-1", "soon", "inf"] {
        let outcome = study(1, &deck, &folder.join("wrong"), &[&format!("--heartbeat={wrong}")]);
        assert!(!outcome.status.success() && outcome.stderr.contains("--heartbeat"), "{}", outcome.stderr);
    }
}

#[test]
fn nothing_depends_on_a_terminal() {
    let (folder, deck) = set_up("no-terminal", 3);
    let reference = folder.join("reference");
    study(1, &deck, &reference, &[]).ok();
    for (name, redirect) in [
        ("closed", "2>&-"),
        ("full", "2>/dev/full"),
        ("stdout-closed", ">&-"),
        ("dumb", "2>&1 | cat"),
        ("nothing", "</dev/null >/dev/null 2>&1"),
    ] {
        let out = folder.join(name);
        let script = format!("set -o pipefail; TERM=dumb \"$0\" \"$@\" {redirect}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, CROSSRX, "transfer", arg(&deck), "--out", arg(&out)]);
        let outcome = start(command).finish(Duration::from_secs(120));
        assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
        outcome.ok();
        assert_same(&reference, &out);
    }
}

/// A bar is drawn on a terminal that can go back in a line, and only there.
#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let (folder, deck) = set_up("dumb-terminal", 3);
    if Command::new("script").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: script is not installed");
        return;
    }
    for (term, draws) in [("dumb", false), ("xterm", true)] {
        let run = format!("'{CROSSRX}' transfer '{}' --out '{}'", arg(&deck), arg(&folder.join(term)));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &run, "/dev/null"]).env("TERM", term);
        let outcome = start(command).finish(Duration::from_secs(120));
        assert!(outcome.stdout.contains("; 4 of 4 tasks"), "{}", outcome.stdout);
        assert_eq!(outcome.stdout.contains('\u{1b}'), draws, "{term}: {:?}", outcome.stdout);
        outcome.ok();
    }
}

/// `$CROSSRX_PYTHON`, else `python3`, if it has TensorBoard.
fn python() -> Option<String> {
    let python = std::env::var("CROSSRX_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {python} cannot import tensorboard (set CROSSRX_PYTHON to one that can)"
    );
    None
}

/// Prints step and value of each scalar, as TensorBoard has them.
const READER: &str = r#"
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
for tag in sorted(events.Tags()['scalars']):
    for event in events.Scalars(tag):
        print(tag, event.step, repr(event.value))
"#;

/// A training that is killed, and goes on from a checkpoint before that, leaves files of which TensorBoard shows
/// every epoch once; and its history in `logs` can be read at any time.
#[test]
fn tensorboard_shows_every_epoch_once_after_a_kill_too() {
    let (folder, deck) = set_up("tensorboard", 300);
    let out = folder.join("out");
    let mut args =
        vec!["train", arg(&deck), "--source", "Red", "--split", "0", "--out", arg(&out), "--threads", "1"];
    // A checkpoint after 30 ms of training, on a fast disk as on a slow one.
    args.extend(["--set", "checkpoint.minutes=0.0005"]);
    let logs = out.join("logs/Red/split_0");
    let history = logs.join("history.csv");
    let ranks = if has_ranks() { 2 } else { 1 };
    let command = || {
        let mut one = Command::new(CROSSRX);
        one.args(&args);
        if ranks == 1 { one } else { command_on_ranks(ranks, &args) }
    };
    let mut killed = command();
    killed.env("CROSSRX_DRILL", "kill:0:700:1");
    let job = start(killed);
    wait_for("the history of a training under way", || history.exists() && !out.join("models").exists());
    let outcome = job.finish(Duration::from_secs(120));
    assert!(!outcome.status.success(), "the drill has not killed it: {}", outcome.stderr);
    wait_for("the end of all ranks", || ranks_of(&out).is_empty());
    let outcome = start(command()).finish(Duration::from_secs(120));
    let went_on = outcome.stderr.contains("going on from the checkpoint");
    outcome.ok();
    assert!(went_on, "there was no checkpoint");
    let model = out.join("models/Red/split_0/history.csv");
    assert_eq!(fs::read(&history).unwrap(), fs::read(&model).unwrap());
    let events = files(&logs).into_iter().filter(|path| is_events(path)).count();
    assert_eq!(events, 2);

    let Some(python) = python() else { return };
    let output = Command::new(python).args(["-c", READER]).arg(&logs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let table = Table::read(&model);
    let steps = table.column("step");
    assert_eq!(steps.len(), 300);
    for tag in ["learning_rate", "samples_per_second", "train_loss", "val_loss", "val_r2"] {
        let of = |line: &str| {
            let mut words = line.split(' ');
            (words.next() == Some(tag))
                .then(|| (words.next().unwrap().to_string(), words.next().unwrap().parse().unwrap()))
        };
        let shown: Vec<(String, f32)> = text.lines().filter_map(of).collect();
        let at: Vec<String> = shown.iter().map(|(step, _)| step.clone()).collect();
        assert_eq!(at, steps, "{tag}");
        if tag != "samples_per_second" {
            let values: Vec<f32> = table.numbers(tag).iter().map(|&value| value as f32).collect();
            assert_eq!(shown.iter().map(|(_, value)| *value).collect::<Vec<_>>(), values, "{tag}");
        }
    }
    assert_eq!(text.lines().count(), 5 * 300);
}
