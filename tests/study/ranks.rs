use crate::corpus::{Corpus, Dataset, deck};
use crate::program::{CROSSRX, arg, crossrx, fresh, has_ranks, on_ranks, start};
use crate::table::Table;
use crate::tree::assert_same;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A folder with a store and a deck.
fn set_up(name: &str, train: &str) -> (PathBuf, PathBuf) {
    let folder = fresh(name);
    let store = folder.join("small.h5");
    Corpus::two_screens().write(&store);
    let path = folder.join("deck.toml");
    fs::write(&path, deck(&store, train)).unwrap();
    (folder, path)
}

/// Trains Red on its split 0 on `ranks` ranks with further arguments.
fn train(deck: &Path, out: &Path, ranks: usize, more: &[&str]) {
    let args = ["train", arg(deck), "--source", "Red", "--split", "0", "--out", arg(out)];
    on_ranks(ranks, &[&args, more].concat()).ok();
}

#[test]
fn with_fixed_lanes_ranks_groups_and_threads_change_no_bit() {
    let (folder, deck) = set_up("fixed-lanes", "lanes = 4");
    let alone = folder.join("alone");
    crossrx(&["transfer", arg(&deck), "--out", arg(&alone), "--threads", "1"]).ok();
    let history = Table::read(&alone.join("models/Red/split_0/history.csv"));
    assert_eq!(history.rows.len(), 3);
    let losses = history.numbers("train_loss");
    assert!(losses[2] < losses[0], "nothing was learnt: {losses:?}");

    let threads = folder.join("threads");
    crossrx(&["transfer", arg(&deck), "--out", arg(&threads), "--threads", "2"]).ok();
    assert_same(&alone, &threads);
    if !has_ranks() {
        return;
    }
    // Four tasks: on as many groups, on fewer, on groups of two, and with ranks left over.
    for (ranks, ranks_per_task) in [(2, ""), (4, ""), (3, ""), (5, ""), (4, "2"), (3, "2"), (4, "4")] {
        let out = folder.join(format!("{ranks}-{ranks_per_task}"));
        let set = format!("study.ranks_per_task={ranks_per_task}");
        let mut args = vec!["transfer", arg(&deck), "--out", arg(&out)];
        if !ranks_per_task.is_empty() {
            args.extend(["--set", &set]);
        }
        let outcome = on_ranks(ranks, &args);
        let idle = outcome.stderr.contains("nothing to do");
        assert_eq!(idle, ranks == 5 || ranks_per_task == "2" && ranks == 3, "{}", outcome.stderr);
        outcome.ok();
        assert_same(&alone, &out);
    }
}

/// Trains with `set` on every number of ranks with every number of threads a rank; all must end
/// in the bits of one rank with one thread, and a model without dropout in others.
fn ranks_and_threads_change_no_bit(name: &str, corpus: &Corpus, set: &[&str]) {
    let folder = fresh(name);
    let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
    corpus.write(&store);
    fs::write(&path, deck(&store, "lanes = 8")).unwrap();
    let set = [&["data.sources=[\"Red\"]", "train.epochs=2", "model.dropout=0.2"], set].concat();
    let trained = |ranks: usize, threads: &str, more: &[&str]| {
        let out = folder.join(format!("{ranks}-{threads}{}", more.join("-")));
        let set = set.iter().chain(more).flat_map(|set| ["--set", set]);
        train(&path, &out, ranks, &["--threads", threads].into_iter().chain(set).collect::<Vec<_>>());
        out
    };
    let first = trained(1, "1", &[]);
    let model = |run: &Path| fs::read(run.join("models/Red/split_0/model.safetensors")).unwrap();
    assert_eq!(Table::read(&first.join("models/Red/split_0/history.csv")).rows.len(), 2);
    assert!(model(&first) != model(&trained(1, "1", &["model.dropout=0.0"])), "dropout drops nothing");
    for (ranks, threads) in [1, 2, 4, 8].into_iter().flat_map(|ranks| [(ranks, "1"), (ranks, "2")]).skip(1) {
        assert_same(&first, &trained(ranks, threads, &[]));
    }
}

#[test]
fn a_dense_model_has_the_same_bits_on_one_two_four_and_eight_ranks() {
    if has_ranks() {
        let layers = ["model.drug_tower=[16, 16]", "model.sample_tower=[16, 16]", "model.head=[16, 16]"];
        let style = ["data.drug_features=[\"mordred\"]", "model.layer_norm=true", "model.residual=true"];
        let set = [layers, style].concat();
        ranks_and_threads_change_no_bit("same-bits-dense", &Corpus::two_screens(), &set);
    }
}

#[test]
fn a_model_of_bits_and_doses_has_the_same_bits_on_one_two_four_and_eight_ranks() {
    if has_ranks() {
        let corpus = Corpus::of(vec![Dataset::new("Red", 0..24, 0..18, 0.0).at_doses()]);
        let splits = "data.splits={ rule = \"random\", folds = 5, seed = 1, only = [0] }";
        let set = [splits, "data.drug_features=[\"ecfp4\"]", "data.drug_bits=true", "data.dose=true"];
        ranks_and_threads_change_no_bit("same-bits-of-bits", &corpus, &set);
    }
}

#[test]
fn wide_layers_and_threads_change_no_bit() {
    let folder = fresh("wide-layers");
    let store = folder.join("demo.h5");
    crossrx(&["synth", "--preset", "demo", "--seed", "3", "--out", arg(&store)]).ok();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/demo.toml");
    let path = format!("store.path={}", arg(&store));
    let trained = |threads: &str| {
        let out = folder.join(threads);
        let set = ["model.head=[256, 256]", "model.dropout=0.1", "train.batch=2048", "train.epochs=2", &path];
        let mut args = vec!["train", arg(&demo), "--source", "Alpha", "--split", "0", "--threads", threads];
        args.extend(["--out", arg(&out)]);
        args.extend(set.iter().flat_map(|set| ["--set", set]));
        crossrx(&args).ok();
        out
    };
    let one = trained("1");
    assert_same(&one, &trained("2"));
    assert_same(&one, &trained("5"));
}

#[test]
fn without_lanes_a_number_of_ranks_repeats_itself() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("repeats", "");
    let [first, again] = ["first", "again"].map(|name| folder.join(name));
    train(&deck, &first, 3, &[]);
    train(&deck, &again, 3, &[]);
    assert_same(&first, &again);
}

/// A step over all rows has the same gradient however it is summed, so plain
/// gradient descent must follow the same losses on any number of ranks.
#[test]
fn sums_over_any_number_of_ranks_are_right() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("sums", "optimizer = \"sgd\"\nmomentum = 0.0\nwarmup_epochs = 0.0");
    let losses = |ranks: usize| {
        let out = folder.join(ranks.to_string());
        let set = ["train.batch=100000", "train.epochs=6", "train.learning_rate=0.05", "model.dropout=0.0"];
        train(&deck, &out, ranks, &set.map(|set| ["--set", set]).concat());
        let history = Table::read(&out.join("models/Red/split_0/history.csv"));
        assert_eq!(history.numbers("step"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        [history.numbers("train_loss"), history.numbers("val_loss")].concat()
    };
    let one = losses(1);
    assert!(one[5] < 0.9 * one[0], "too little was learnt to tell sums apart: {one:?}");
    for ranks in [2, 3, 4, 5, 6, 7, 8] {
        for (got, want) in losses(ranks).iter().zip(&one) {
            assert!((got / want - 1.0).abs() < 1e-5, "{ranks} ranks: {got} is not {want}");
        }
    }
}

/// Each would do all of the work, into the same folder.
#[test]
fn ranks_that_the_launcher_of_another_mpi_starts_are_refused() {
    let needs = Command::new("ldd").arg(CROSSRX).output().unwrap();
    let needs = String::from_utf8_lossy(&needs.stdout).into_owned();
    // Debian's names, which tell them apart where both are there.
    let other = if needs.contains("libmpich.so") { "mpirun.openmpi" } else { "mpiexec.mpich" };
    if !needs.contains("libmpi") || Command::new(other).arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: another MPI's launcher, for there is no {other}");
        return;
    }
    let (folder, deck) = set_up("strangers", "");
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mpirun.sh"));
    command.args(["-n", "2", CROSSRX, "transfer", arg(&deck), "--out", arg(&folder.join("out"))]);
    command.env("CROSSRX_MPIRUN", other);
    let outcome = start(command).finish(Duration::from_secs(60));
    outcome.refused(&["2 processes that do not see each other", "this crossrx runs on"]);
    assert!(!folder.join("out").exists());
}
