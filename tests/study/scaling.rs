use crate::corpus::{Corpus, deck};
use crate::program::{Outcome, arg, crossrx, fresh, has_ranks, on_ranks};
use crate::table::{Table, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a step is made of, in the table's words.
const OF_STEP: [&str; 7] = ["assemble", "forward", "backward", "reduce", "wait", "update", "rest"];

struct Case {
    folder: PathBuf,
    deck: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = fresh(name);
        let store = folder.join("corpus.h5");
        Corpus::two_screens().write(&store);
        let path = folder.join("deck.toml");
        fs::write(&path, deck(&store, "")).unwrap();
        Case { deck: path, folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn run(&self, started: usize, ranks: &str, more: &[&str]) -> Outcome {
        let out = self.out();
        let args = ["bench", "scaling", arg(&self.deck), "--ranks", ranks, "--out", arg(&out)];
        let own = ["--threads", "1", "--steps", "6", "--device", "cpu", "--comm-seconds", "0.2"];
        let all = [&args[..], &own, more].concat();
        if started == 1 { crossrx(&all) } else { on_ranks(started, &all) }
    }
}

/// Seconds by number of ranks, rank and phase.
fn rows(folder: &Path, mode: &str) -> BTreeMap<(usize, usize, String), f64> {
    let table = Table::read(&folder.join("scaling.csv"));
    assert_eq!(table.header, ["mode", "ranks", "rank", "host", "threads", "phase", "per", "seconds"]);
    assert!(
        table.column("mode").iter().all(|m| *m == mode) && table.column("threads").iter().all(|n| *n == "1")
    );
    let numbers = |name| table.numbers(name).into_iter().map(|n| n as usize);
    let places = numbers("ranks").zip(numbers("rank")).zip(table.column("phase"));
    let keyed = places.zip(table.numbers("seconds"));
    let rows: BTreeMap<_, _> = keyed.map(|(((r, k), phase), s)| ((r, k, phase.to_string()), s)).collect();
    assert_eq!(rows.len(), table.rows.len(), "a row stands twice");
    rows
}

/// Every rank has every phase, and those of a step add up to it.
fn check_rows(folder: &Path, mode: &str, counts: &[usize]) {
    let rows = rows(folder, mode);
    assert_eq!(rows.len(), 11 * counts.iter().sum::<usize>());
    for &ranks in counts {
        for rank in 0..ranks {
            let of = |phase: &str| {
                let seconds = rows.get(&(ranks, rank, phase.to_string()));
                *seconds.unwrap_or_else(|| panic!("no {phase} of rank {rank} of {ranks}"))
            };
            let parts: f64 = OF_STEP.iter().map(|phase| of(phase)).sum();
            assert!((parts - of("step")).abs() < 1e-7 + 1e-3 * of("step"), "{parts} {}", of("step"));
            assert!(["read", "forward", "backward", "score"].iter().all(|phase| of(phase) > 0.0));
            assert!(of("wait") >= 0.0 && of("wait") < of("step"));
            assert!(if ranks == 1 { of("sums") == 0.0 && of("wait") == 0.0 } else { of("sums") > 0.0 });
        }
    }
}

fn check_page(folder: &Path) -> String {
    let page = fs::read_to_string(folder.join("scaling.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("NaN") && !page.contains("<script") && !page.contains("http"), "{page}");
    assert!(page.contains("Efficiency over ranks") && page.contains("Red split 0"));
    page
}

#[test]
fn strong_scaling_is_measured_by_rank_and_phase_and_predicted() {
    if !has_ranks() {
        return;
    }
    let case = Case::new("scaling-strong");
    let said = case.run(4, "1,2,4", &["--mode", "strong", "--step-ms", "50"]).ok();
    assert!(
        said.contains("Red split 0, strong scaling") && said.contains("between nodes:  ASSUMED"),
        "{said}"
    );
    check_rows(&case.out(), "strong", &[1, 2, 4]);
    let report = json(&case.out().join("scaling.json"));
    let measured = report["measured"].as_array().unwrap();
    for (of, ranks) in measured.iter().zip([1, 2, 4]) {
        assert_eq!((&of["ranks"], &of["lanes"]), (&ranks.into(), &ranks.into()));
        let efficiency = of["efficiency"]["median"].as_f64().unwrap();
        // Ranks of a busy machine may be slower than one by any factor, but never much faster.
        assert!(efficiency > 0.0 && efficiency.is_finite(), "{efficiency} on {ranks}");
    }
    assert_eq!(measured[0]["efficiency"]["median"], 1.0);
    let model = &report["model"];
    assert_eq!(model["network"]["between"]["origin"], "assumed");
    assert!(model["network"]["within"]["origin"]["fitted"]["points"].as_u64().unwrap() >= 7);
    let predictions = model["predictions"].as_array().unwrap();
    assert_eq!((predictions.len(), &predictions[1]["step_ms"]), (2, &50.0.into()));
    let bands = predictions[1]["bands"].as_array().unwrap();
    // More ranks cannot share a batch of 64.
    assert_eq!(bands.last().unwrap()["ranks"], 64);
    let page = check_page(&case.out());
    assert_eq!(page.contains("functional only"), report["functional_only"].as_bool().unwrap());
    let comm = Table::read(&case.out().join("comm.csv"));
    assert!(comm.column("message").contains(&"ping-pong") && comm.column("ranks").contains(&"4"));
}

#[test]
fn weak_scaling_grows_the_step_and_takes_message_times_from_a_file() {
    if !has_ranks() {
        return;
    }
    let case = Case::new("scaling-weak");
    let times = case.folder.join("comm.json");
    let messages =
        ["bench", "comm", "--from", "1KiB", "--to", "64KiB", "--seconds", "0.1", "--json", arg(&times)];
    let said = on_ranks(3, &messages).ok();
    assert!(said.contains("tree sum           3     1    64 KiB"), "{said}");
    let known = ["--comm", arg(&times), "--network-gbps", "200", "--ranks-per-node", "8"];
    let weak = ["--mode", "weak", "--source", "Blue", "--split", "1", "--set", "train.batch=24"];
    case.run(2, "2", &[&weak[..], &known].concat()).ok();
    check_rows(&case.out(), "weak", &[1, 2]);
    let report = json(&case.out().join("scaling.json"));
    assert_eq!(report["task"], "Blue split 1");
    let pairs = [0, 1].map(|i| report["measured"][i]["pairs"].as_f64().unwrap());
    assert!(pairs[0] > 16.0 && pairs[0] <= 24.0, "{pairs:?}");
    assert!(pairs[1] > 1.5 * pairs[0] && pairs[1] <= 48.0, "{pairs:?}");
    let network = &report["model"]["network"];
    assert_eq!(network["ranks_per_node"], 8);
    assert!((network["between"]["per_byte"].as_f64().unwrap() - 8e-11).abs() < 1e-16);
    let bands = report["model"]["predictions"][0]["bands"].as_array().unwrap();
    assert_eq!(bands.last().unwrap()["ranks"], 4096);
}

#[test]
fn one_rank_is_measured_without_messages() {
    let case = Case::new("scaling-one");
    let said = case.run(1, "1", &[]).ok();
    assert!(said.contains("no message times, so no prediction"), "{said}");
    check_rows(&case.out(), "strong", &[1]);
    assert!(check_page(&case.out()).contains("nothing is predicted"));
    assert!(!case.out().join("comm.csv").exists());
}

#[test]
fn on_a_gpu_the_parts_of_a_step_are_told_apart_too() {
    let case = Case::new("scaling-gpu");
    let out = case.out();
    let args = ["bench", "scaling", arg(&case.deck), "--ranks", "1", "--out", arg(&out), "--steps", "1"];
    crossrx(&[&args[..], &["--device", "cuda-on-host", "--set", "train.batch=128"]].concat()).ok();
    let table = Table::read(&out.join("scaling.csv"));
    let phases = ["read", "assemble", "forward", "backward", "reduce", "wait", "update", "step", "score"];
    assert_eq!(table.column("phase"), phases);
    let seconds = table.numbers("seconds");
    let worked = |phase: &str| seconds[phases.iter().position(|p| *p == phase).unwrap()] > 0.0;
    assert!(["assemble", "forward", "backward", "update", "step", "score"].into_iter().all(worked));
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let case = Case::new("scaling-refused");
    let file = case.folder.join("comm.json");
    fs::write(&file, "{\"hosts\": []}").unwrap();
    for (ranks, more, words) in [
        ("1,8", &[][..], ["--ranks asks for 8", "the 1 that were started"]),
        ("1", &["--mode", "weak", "--set", "train.batch=4000"], ["4000 pairs", "lower train.batch"]),
        ("1", &["--source", "Grey"], ["data.sources", "Grey"]),
        ("1", &["--comm", arg(&file)], ["comm.json", "bench comm --json"]),
        ("0", &[], ["--ranks", "0"]),
        ("1", &["--step-ms", "0"], ["--step-ms", "above zero"]),
    ] {
        case.run(1, ranks, more).refused(&words);
        assert!(!case.out().exists(), "{words:?}");
    }
    crossrx(&["bench", "comm"]).refused(&["two or more"]);
    crossrx(&["bench", "comm", "--to", "9 parsecs"]).refused(&["--to", "parsecs"]);
    if has_ranks() {
        let lanes = ["--set", "train.lanes=4"];
        case.run(3, "1,3", &lanes).refused(&["4 lanes cannot be dealt to 3 ranks"]);
        assert!(!case.out().exists());
    }
}
