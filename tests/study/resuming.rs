//! A study that was stopped, or killed, ends as if it had never been.

use crate::corpus::{Corpus, Dataset, deck};
use crate::program::{
    CROSSRX, Outcome, Running, arg, command_on_ranks, crossrx, fresh, has_ranks, rank_of, ranks_of, signal,
    start, wait_for,
};
use crate::tree::{assert_same, files};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A run that takes longer hangs. On a machine that is busy with other work, ranks that wait for one
/// another at every step are slow.
const PATIENCE: Duration = Duration::from_secs(400);

/// The exit code on which a job script requeues.
const STOPPED: i32 = 75;

/// A study whose one task takes seconds, with dropout and in four lanes.
struct Case {
    folder: PathBuf,
    deck: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        Self::with(name, "lanes = 4\nepochs = 1600\npatience = 1600")
    }

    fn with(name: &str, train: &str) -> Self {
        let folder = fresh(name);
        let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
        Corpus::two_screens().write(&store);
        let text = deck(&store, train).replace("epochs = 3\n", "");
        fs::write(&path, format!("{text}[checkpoint]\nminutes = 0.001\n")).unwrap();
        Self { folder, deck: path }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, ranks: usize, out: &Path, more: &[&str]) -> Command {
        let set = ["--set", "data.splits=[0]", "--set", "data.sources=[\"Red\"]", "--threads", "1"];
        let args = [&["transfer", arg(&self.deck), "--out", arg(out)], &set[..], more].concat();
        match ranks {
            1 => {
                let mut command = Command::new(CROSSRX);
                command.args(args);
                command
            }
            _ => command_on_ranks(ranks, &args),
        }
    }

    fn begin(&self, ranks: usize, out: &Path, more: &[&str]) -> Running {
        start(self.command(ranks, out, more))
    }

    fn run(&self, ranks: usize, out: &Path, more: &[&str]) -> Outcome {
        self.begin(ranks, out, more).finish(PATIENCE)
    }

    /// The run that nobody stops.
    fn reference(&self) -> PathBuf {
        let out = self.out("reference");
        self.run(1, &out, &[]).ok();
        out
    }
}

/// A number below `most`, another one every time.
fn random(most: u32) -> u32 {
    use std::hash::{BuildHasher, Hasher};
    (std::collections::hash_map::RandomState::new().build_hasher().finish() % u64::from(most)) as u32
}

/// The manifest of the newest checkpoint, as text; empty where there is none.
fn manifest(out: &Path) -> String {
    fs::read_to_string(out.join("checkpoints/Red/split_0/manifest.json")).unwrap_or_default()
}

/// The step of the epoch under way at which the newest checkpoint was written.
fn step_of_checkpoint(out: &Path) -> u64 {
    serde_json::from_str::<Value>(&manifest(out)).unwrap()["step"].as_u64().unwrap()
}

/// Begins the study and waits until it has written a checkpoint, and a little longer.
fn begin_training(case: &Case, ranks: usize, out: &Path, more: &[&str]) -> Running {
    let before = manifest(out);
    let job = case.begin(ranks, out, more);
    let trains = || ![String::new(), before.clone()].contains(&manifest(out)) && ranks_of(out).len() == ranks;
    wait_for("a checkpoint", trains);
    std::thread::sleep(Duration::from_millis(random(100).into()));
    job
}

#[test]
fn stopped_at_any_step_and_resumed_on_any_ranks_it_ends_with_the_same_bits() {
    let case = Case::new("stopped");
    let reference = case.reference();
    let mut within_an_epoch = 0;
    let mut stops = 0;
    for (name, ranks) in [("USR1", [1, 1, 1]), ("TERM", [2, 1, 4]), ("INT", [4, 8, 2]), ("USR1", [1, 2, 1])] {
        if ranks.iter().any(|&n| n > 1) && !has_ranks() {
            return;
        }
        let out = case.out(&format!("{name}-{}", ranks[1]));
        for ranks in &ranks[..2] {
            let job = begin_training(&case, *ranks, &out, &[]);
            // Any one rank may be told; all stop at the same step.
            let told = ranks_of(&out);
            signal(name, &[told[random(told.len() as u32) as usize]]);
            let outcome = job.finish(Duration::from_secs(30));
            assert_eq!(outcome.status.code(), Some(STOPPED), "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("stopped ") && !outcome.stderr.contains("error: "),
                "{}",
                outcome.stderr
            );
            assert!(ranks_of(&out).is_empty() && !out.join("models").exists());
            within_an_epoch += u32::from(step_of_checkpoint(&out) > 0);
            stops += 1;
        }
        let outcome = case.run(ranks[2], &out, &["--resume"]);
        assert!(outcome.stderr.contains("going on from the checkpoint"), "{}", outcome.stderr);
        outcome.ok();
        assert_same(&reference, &out);
        assert!(!out.join("checkpoints").exists(), "checkpoints of a finished study");
    }
    assert!(within_an_epoch * 2 > stops, "{within_an_epoch} of {stops} within an epoch");
}

/// Kills all ranks at random moments until the study ends by itself.
/// `CROSSRX_KILLS` says how often; `make proof` kills a hundred times.
#[test]
fn killed_at_random_moments_and_resumed_it_ends_with_the_same_bits() {
    let wish = std::env::var("CROSSRX_KILLS").ok().and_then(|n| n.parse().ok());
    let most: u32 = wish.unwrap_or(6);
    let case = Case::with("killed-and-resumed", "lanes = 4\nepochs = 1200\npatience = 1200");
    let reference = case.reference();
    let started = Instant::now();
    let whole = case.run(1, &case.out("timed"), &[]);
    let takes = started.elapsed().as_millis() as u32;
    whole.ok();
    let (mut kills, mut went_on) = (0, 0);
    for round in 0.. {
        let out = case.out(&format!("round-{round}"));
        loop {
            let ranks = if has_ranks() { [1, 2, 4][random(3) as usize] } else { 1 };
            let mut job = case.begin(ranks, &out, &[]);
            let last = Instant::now() + Duration::from_millis((random(2 * takes * ranks as u32) + 1).into());
            while Instant::now() < last && job.child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let ended = kills >= most || job.child.try_wait().unwrap().is_some();
            if !ended {
                // All at once, as a node that fails takes them.
                signal("KILL", &[&ranks_of(&out)[..], &[job.child.id()]].concat());
                kills += 1;
            }
            let outcome = job.finish(PATIENCE);
            went_on += u32::from(outcome.stderr.contains("going on from the checkpoint"));
            if ended {
                outcome.ok();
                break;
            }
            wait_for("the end of all ranks", || ranks_of(&out).is_empty());
        }
        assert_same(&reference, &out);
        fs::remove_dir_all(&out).unwrap();
        if kills >= most {
            break;
        }
    }
    let _ = writeln!(std::io::stderr(), "{kills} kills, {went_on} starts from a checkpoint");
    assert!(kills == most && (most < 20 || went_on > most / 4), "{kills} kills, {went_on} from a checkpoint");
}

#[test]
fn a_second_signal_stops_at_once() {
    let case = Case::new("second-signal");
    let out = case.out("out");
    let mut command = case.command(1, &out, &[]);
    // It never comes to the step after this one.
    command.env("CROSSRX_DRILL", "stall:0:4000");
    let job = start(command);
    let process = [job.child.id()];
    wait_for("the stall", || job.stderr_so_far().contains("CROSSRX_DRILL: Stall"));
    assert!(!manifest(&out).is_empty());
    let before = manifest(&out);
    // The first, told twice, is one.
    signal("TERM", &process);
    signal("TERM", &process);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(ranks_of(&out), process);
    signal("USR1", &process);
    let outcome = job.finish(Duration::from_secs(10));
    assert_eq!(outcome.status.code(), Some(128 + 10), "{}\n{}", outcome.status, outcome.stderr);
    assert_eq!(manifest(&out), before);
    case.run(1, &out, &[]).ok();
    assert_same(&case.reference(), &out);
}

/// A rank whose group has no task left, and one that is still opening the corpus, hear it too.
#[test]
fn whenever_a_rank_is_told_the_study_stops() {
    let case = Case::with("told-anywhere", "lanes = 2\nepochs = 100000\npatience = 100000");
    let early = case.out("early");
    let job = case.begin(1, &early, &[]);
    let listens = || {
        let status = fs::read_to_string(format!("/proc/{}/status", job.child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        // SIGINT, the last to be listened to; MPICH has a handler of its own for SIGUSR1.
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & (1 << 1) != 0
    };
    wait_for("the handlers of signals", listens);
    signal("USR1", &[job.child.id()]);
    let outcome = job.finish(Duration::from_secs(30));
    assert_eq!(outcome.status.code(), Some(STOPPED), "{}", outcome.stderr);
    if !has_ranks() {
        return;
    }
    // Two tasks, of which one is over soon; the rank that is told had that one, and has none left.
    let (folder, out) = (&case.folder, case.out("finished-group"));
    let (store, path) = (folder.join("uneven.h5"), folder.join("uneven.toml"));
    let [big, tiny] =
        [("Big", 24, 18), ("Tiny", 6, 5)].map(|(name, d, s)| Dataset::new(name, 0..d, 0..s, 0.0));
    Corpus::of(vec![big, tiny]).write(&store);
    let text = deck(&store, "lanes = 2\npatience = 100000").replace("\"Red\", \"Blue\"", "\"Big\", \"Tiny\"");
    fs::write(&path, text.replace("batch = 64", "batch = 4").replace("epochs = 3", "epochs = 1000")).unwrap();
    let args = ["transfer", arg(&path), "--out", arg(&out), "--threads", "1", "--set", "data.splits=[0]"];
    let job = start(command_on_ranks(2, &[&args[..], &["--set", "study.ranks_per_task=1"]].concat()));
    wait_for("the tiny task", || out.join("journal/Tiny/split_0.json").exists());
    let second = ranks_of(&out).into_iter().find(|&process| rank_of(process) == Some(1)).unwrap();
    signal("USR1", &[second]);
    let outcome = job.finish(Duration::from_secs(30));
    assert_eq!(outcome.status.code(), Some(STOPPED), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("1 of 2 tasks complete"), "{}", outcome.stderr);
}

#[test]
fn hours_that_are_nearly_over_stop_it() {
    let case = Case::with("max-hours", "lanes = 4\nepochs = 8000\npatience = 8000");
    let out = case.out("out");
    let ranks = if has_ranks() { 2 } else { 1 };
    let outcome = case.run(ranks, &out, &["--max-hours", "0.00003"]);
    assert_eq!(outcome.status.code(), Some(STOPPED), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stopped as --max-hours 0.00003 is nearly over"), "{}", outcome.stderr);
    case.run(1, &out, &["--max-hours", "1"]).ok();
    assert_same(&case.reference(), &out);
    for hours in ["0", "nan", "soon"] {
        let outcome = crossrx(&["transfer", arg(&case.deck), "--out", arg(&out), "--max-hours", hours]);
        assert!(!outcome.status.success() && outcome.stderr.contains("--max-hours"), "{}", outcome.stderr);
    }
}

#[test]
fn lanes_stay_those_that_a_training_was_begun_in() {
    if !has_ranks() {
        return;
    }
    let case = Case::with("lanes-stay", "epochs = 1600\npatience = 1600");
    let reference = case.out("two-ranks");
    case.run(2, &reference, &["--set", "study.ranks_per_task=2"]).ok();
    let stopped = |ranks: usize, name: &str| {
        let out = case.out(name);
        let wish = format!("study.ranks_per_task={ranks}");
        let job = begin_training(&case, ranks, &out, &["--set", &wish]);
        signal("USR1", &ranks_of(&out));
        assert_eq!(job.finish(Duration::from_secs(30)).status.code(), Some(STOPPED));
        out
    };
    let out = stopped(2, "two-then-one");
    case.run(1, &out, &[]).ok();
    assert_same(&reference, &out);

    let out = stopped(3, "three-then-two");
    let outcome = case.run(2, &out, &["--set", "study.ranks_per_task=2"]);
    assert!(outcome.stderr.contains("begun in 3 lanes, which 2 ranks cannot share"), "{}", outcome.stderr);
    outcome.ok();
}

/// Flips a byte in the middle of the state that a checkpoint holds.
fn damage(folder: &Path) -> PathBuf {
    let path = folder.join("state.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_damaged_checkpoint_falls_back_and_two_stop_and_stay() {
    let case = Case::new("damaged");
    let out = case.out("out");
    let job = case.begin(1, &out, &[]);
    let [newest, before] = ["split_0", "split_0.prev"].map(|name| out.join("checkpoints/Red").join(name));
    wait_for("two checkpoints", || newest.exists() && before.exists());
    signal("USR1", &[job.child.id()]);
    assert_eq!(job.finish(Duration::from_secs(30)).status.code(), Some(STOPPED));

    let kept = case.out("kept");
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        for file in files(from) {
            let to = to.join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from.join(file), to).unwrap();
        }
    };
    copy(&out, &kept);
    damage(&newest);
    let outcome = case.run(1, &out, &[]);
    let said =
        outcome.stderr.contains("the newest checkpoint is damaged") && outcome.stderr.contains("checksum");
    assert!(said, "{}", outcome.stderr);
    outcome.ok();
    assert_same(&case.reference(), &out);

    copy(&kept, &out);
    let damaged = [damage(&newest), damage(&before)].map(|path| (fs::read(&path).unwrap(), path));
    let there = files(&out);
    for ranks in [1, 2] {
        if ranks == 1 || has_ranks() {
            case.run(ranks, &out, &[]).refused(&["Red split 0", "no checkpoint", "checksum", "split_0.prev"]);
        }
    }
    assert_eq!(files(&out), there);
    assert!(damaged.iter().all(|(bytes, path)| fs::read(path).unwrap() == *bytes));
}

#[test]
fn a_disk_that_fills_up_leaves_the_checkpoint_before() {
    let case = Case::with("full-disk-checkpoint", "lanes = 4\nepochs = 8000\npatience = 8000");
    let reference = case.reference();
    let (disk, out) = (case.out("disk"), case.out("out"));
    fs::create_dir(&disk).unwrap();
    // A checkpoint is due after 30 ms, however fast the machine is.
    let command = case.command(1, &disk.join("out"), &["--set", "checkpoint.minutes=0.0005"]);
    let words = command.get_args().map(|word| format!("'{}'", word.to_str().unwrap()));
    let go_on = std::iter::once(CROSSRX.to_string()).chain(words).collect::<Vec<_>>().join(" ");
    let script = format!(
        "mount -t tmpfs -o size=4m none {disk} || exit 77
         checkpoint={disk}/out/checkpoints/Red/split_0
         sums() {{ cd $checkpoint && md5sum *; }}
         # Told to stop once a check holds.
         begin() {{
             {go_on} 2>{disk}.said & pid=$!
             until \"$@\" || ! kill -0 $pid; do sleep 0.01; done
             kill -USR1 $pid
             wait $pid; status=$?
             cat {disk}.said >&2
         }}
         begin test -e $checkpoint; [ $status = 75 ] || exit 1
         before=$(sums)
         head -c 8m /dev/zero >{disk}/filler; truncate -s -16k {disk}/filler
         begin grep -q 'no checkpoint of' {disk}.said; [ $status != 0 ] && [ $status != 75 ] || exit 2
         [ \"$(sums)\" = \"$before\" ] || exit 3
         rm {disk}/filler
         {go_on} || exit 4
         cp -r {disk}/out {out}",
        disk = arg(&disk),
        out = arg(&out),
    );
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "bash", "-c", &script]);
    let outcome = start(command).finish(PATIENCE);
    if !outcome.stderr.contains("] ") {
        let _ = writeln!(std::io::stderr(), "skipped: no small disk can be mounted: {}", outcome.stderr);
        return;
    }
    assert!(outcome.status.success(), "{}\n{}", outcome.status, outcome.stderr);
    let warned =
        outcome.stderr.contains("no checkpoint of Red split 0") && outcome.stderr.contains("No space");
    assert!(warned, "{}", outcome.stderr);
    assert_same(&reference, &out);
}

/// All folders `split_<k>` of models and scores, with the number of the file
/// system that each has.
fn numbers(out: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for file in files(out) {
        let of = file.parent().unwrap().to_path_buf();
        if of.file_name().is_some_and(|name| name.to_string_lossy().starts_with("split_")) {
            found.insert(of.clone(), fs::metadata(out.join(of)).unwrap().ino());
        }
    }
    found
}

#[test]
fn a_study_does_only_what_is_missing() {
    let case = Case::with("only-missing", "lanes = 2\nepochs = 60\npatience = 60");
    let splits = "data.splits={ rule = \"random\", folds = 6, seed = 1 }";
    let study = |ranks: usize, out: &Path| {
        let args = ["transfer", arg(&case.deck), "--out", arg(out), "--set", splits, "--threads", "1"];
        start(if ranks == 1 { command_alone(&args) } else { command_on_ranks(ranks, &args) })
    };
    let finish = |job: Running| job.finish(PATIENCE);
    let reference = case.out("reference");
    finish(study(1, &reference)).ok();
    let out = case.out("out");
    // Beside what a killed job has left half-written.
    let complete = |out: &Path| -> Vec<PathBuf> {
        let journal = out.join("journal");
        let records = if journal.exists() { files(&journal) } else { Vec::new() };
        let hidden =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        records.into_iter().filter(|path| !hidden(path)).map(|path| path.with_extension("")).collect()
    };
    for (wanted, ranks, kill) in [(2, 1, true), (4, 2, false), (7, 4, true)] {
        let ranks = if has_ranks() { ranks } else { 1 };
        let before = numbers(&out_or_empty(&out));
        let done = complete(&out);
        let job = study(ranks, &out);
        wait_for("tasks", || complete(&out).len() >= wanted);
        if kill {
            signal("KILL", &[&ranks_of(&out)[..], &[job.child.id()]].concat());
        } else {
            signal("USR1", &ranks_of(&out));
        }
        let outcome = finish(job);
        assert!(
            !outcome.status.success() && (kill || outcome.status.code() == Some(STOPPED)),
            "{}",
            outcome.stderr
        );
        wait_for("the end of all ranks", || ranks_of(&out).is_empty());
        let after = numbers(&out);
        for task in &done {
            let model = Path::new("models").join(task);
            assert_eq!(before[&model], after[&model], "{} was run twice", task.display());
        }
        assert!(!out.join("run.json").exists());
    }
    let done = complete(&out);
    let before = numbers(&out);
    let outcome = finish(study(1, &out));
    assert!(
        outcome.stderr.contains(&format!("{} of 12 tasks complete already", done.len())),
        "{}",
        outcome.stderr
    );
    outcome.ok();
    let after = numbers(&out);
    assert!(
        done.iter()
            .all(|task| before[&Path::new("models").join(task)] == after[&Path::new("models").join(task)])
    );
    assert_same(&reference, &out);

    let record: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let told: Value = serde_json::from_slice(&fs::read(out.join("study.json")).unwrap()).unwrap();
    let seconds = told["jobs"].as_array().unwrap().iter().map(|job| job["seconds"].as_f64().unwrap());
    assert_eq!((record["jobs"].as_u64(), seconds.clone().count()), (Some(4), 4));
    let wall = record["wall_s"].as_f64().unwrap();
    assert!(wall > 0.0 && wall <= seconds.sum::<f64>(), "{wall} s");

    // Complete, it runs nothing and keeps the record of the job that completed it.
    let record = fs::read(out.join("run.json")).unwrap();
    let outcome = finish(study(1, &out));
    assert!(outcome.stdout.contains("R2 of two-tower"), "{}", outcome.stdout);
    assert_eq!((numbers(&out), fs::read(out.join("run.json")).unwrap()), (after, record));

    // Results that somebody has removed are made again.
    fs::remove_dir_all(out.join("models/Red/split_3")).unwrap();
    let outcome = finish(study(1, &out));
    assert!(
        outcome.stderr.contains("Red split 3: results are missing that the journal names"),
        "{}",
        outcome.stderr
    );
    assert_same(&reference, &out);
}

fn command_alone(args: &[&str]) -> Command {
    let mut command = Command::new(CROSSRX);
    command.args(args);
    command
}

/// The folder, made if need be.
fn out_or_empty(out: &Path) -> PathBuf {
    fs::create_dir_all(out).unwrap();
    out.to_path_buf()
}

#[test]
fn a_changed_deck_or_store_is_refused_unless_fresh() {
    let case = Case::with("changed", "lanes = 2\nepochs = 5");
    let out = case.out("out");
    case.run(1, &out, &[]).ok();
    let there = numbers(&out);
    let set = ["--set", "train.learning_rate=0.02"];
    case.run(1, &out, &set).refused(&["train.learning_rate was 0.01 and is 0.02", "--fresh"]);
    case.run(1, &out, &["--set", "data.clip=3.0"]).refused(&["data.clip was 4.0 and is 3.0"]);
    assert_eq!(numbers(&out), there);
    // Where the store lies and how often trainings are saved decides no result.
    let moved = case.folder.join("moved.h5");
    fs::copy(case.folder.join("small.h5"), &moved).unwrap();
    let path = format!("store.path={}", arg(&moved));
    case.run(1, &out, &["--set", &path, "--set", "checkpoint.minutes=7"]).ok();
    assert_eq!(numbers(&out), there);

    let mut other = Corpus::two_screens();
    other.datasets[0].auc[0] += 1e-3;
    fs::remove_file(&moved).unwrap();
    other.write(&moved);
    case.run(1, &out, &["--set", &path]).refused(&["the store was ", " and is ", "--fresh"]);
    assert_eq!(numbers(&out), there);

    let mine = ["notes.txt", "my_report.html", "rerun.json", "other.csv"].map(|name| out.join(name));
    mine.iter().for_each(|path| fs::write(path, "mine").unwrap());
    let history = || fs::read(out.join("models/Red/split_0/history.csv")).unwrap();
    let old = history();
    let outcome = case.run(1, &out, &[&set[..], &["--fresh"]].concat());
    assert!(outcome.stderr.contains("removing the run that it holds"), "{}", outcome.stderr);
    outcome.ok();
    assert!(history() != old && mine.iter().all(|path| path.exists()));
    let anew = case.out("anew");
    case.run(1, &anew, &set).ok();
    mine.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_same(&anew, &out);

    let nothing = case.out("nothing");
    let outcome = case.run(1, &nothing, &["--resume"]);
    assert!(outcome.stderr.contains("there is nothing to resume"), "{}", outcome.stderr);
    outcome.ok();
    case.run(1, &nothing, &["--resume"]).ok();
}

#[test]
fn two_jobs_are_not_at_work_in_one_folder() {
    let case = Case::with("two-jobs", "lanes = 4\nepochs = 100000\npatience = 100000");
    let out = case.out("out");
    let job = begin_training(&case, 1, &out, &[]);
    for more in [&[][..], &["--fresh"]] {
        case.run(1, &out, more).refused(&["out", "another job is at work in this folder"]);
    }
    signal("USR1", &[job.child.id()]);
    assert_eq!(job.finish(Duration::from_secs(30)).status.code(), Some(STOPPED));
}
