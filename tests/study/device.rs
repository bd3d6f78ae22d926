//! The program on a CUDA device whose kernels run on the host, and on a machine without a GPU.

use crate::corpus::{Corpus, deck};
use crate::program::{CACHE, CROSSRX, arg, command_on_ranks, crossrx, fresh, has_ranks, start};
use crate::table::Table;
use crate::tree::assert_same;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ON_HOST: [&str; 2] = ["--device", "cuda-on-host"];

/// Red alone is trained on, and scored on both screens.
const ONE_TASK: [&str; 8] = [
    "--set",
    "data.splits=[0]",
    "--set",
    "data.sources=[\"Red\"]",
    "--set",
    "data.targets=[\"Red\", \"Blue\"]",
    "--threads",
    "1",
];

/// Kernels on the host are slow, the more so on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(400);

fn set_up(name: &str, train: &str) -> (PathBuf, PathBuf) {
    let folder = fresh(name);
    let (store, path) = (folder.join("small.h5"), folder.join("deck.toml"));
    Corpus::two_screens().write(&store);
    fs::write(&path, deck(&store, train)).unwrap();
    (folder, path)
}

/// A study of one source and split, on so many ranks.
fn study(ranks: usize, deck: &Path, out: &Path, more: &[&str]) -> String {
    let args = [&["transfer", arg(deck), "--out", arg(out)], &ONE_TASK[..], more].concat();
    match ranks {
        1 => crossrx(&args).ok(),
        _ => start(command_on_ranks(ranks, &args)).finish(PATIENCE).ok(),
    }
}

fn assert_close(one: &[f64], other: &[f64], within: f64) {
    assert_eq!(one.len(), other.len());
    let scale = one.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    for (a, b) in one.iter().zip(other) {
        assert!((a - b).abs() <= within * scale, "{a} and {b}, of at most {scale}");
    }
}

#[test]
fn a_study_on_a_device_comes_to_what_processors_come_to() {
    let (folder, deck) = set_up("device-study", "weight_decay = 0.01");
    let outs = ["processors", "device", "bf16"].map(|name| folder.join(name));
    study(1, &deck, &outs[0], &["--device", "cpu"]);
    study(1, &deck, &outs[1], &ON_HOST);
    study(1, &deck, &outs[2], &[&ON_HOST[..], &["--set", "train.precision=\"bf16\""]].concat());
    let table = |out: &Path, file: &str| Table::read(&out.join(file));
    let history = |out: &Path, column| table(out, "models/Red/split_0/history.csv").numbers(column);
    let predicted =
        |out: &Path, cell: &str| table(out, &format!("infer/{cell}/split_0/test_y_data_predicted.csv"));
    for (out, within) in [(&outs[1], 1e-4), (&outs[2], 0.05)] {
        for column in ["train_loss", "val_loss"] {
            assert_close(&history(&outs[0], column), &history(out, column), within);
        }
        for cell in ["Red-Red", "Red-Blue"] {
            let values = |out| predicted(out, cell).numbers("auc_pred");
            assert_close(&values(&outs[0]), &values(out), within.max(2e-3));
        }
    }
    // The two storages are two computations.
    assert_ne!(history(&outs[1], "train_loss"), history(&outs[2], "train_loss"));
}

#[test]
fn lanes_on_devices_of_one_rank_or_two_end_with_the_same_bits() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("device-ranks", "lanes = 4");
    let [one, two] = ["one", "two"].map(|name| folder.join(name));
    study(1, &deck, &one, &ON_HOST);
    let said = study(2, &deck, &two, &ON_HOST);
    assert!(said.contains("Red"), "{said}");
    assert_same(&one, &two);
}

/// A folder with a library in NCCL's place, whose messages are files.
fn nccl_by_files(folder: &Path) -> PathBuf {
    let library = folder.join("nccl");
    fs::create_dir_all(&library).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/study/nccl/by_files.cpp");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let mut command = Command::new(compiler);
    command
        .args(["-std=c++17", "-O1", "-fPIC", "-shared", "-o"])
        .arg(library.join("libnccl.so.2"))
        .arg(source);
    assert!(command.status().unwrap().success());
    library
}

/// What is recorded on the host is no library's work, so steps are launched one by one.
#[test]
fn gradients_go_between_devices_by_nccl_as_they_go_by_the_host() {
    if !has_ranks() {
        return;
    }
    let (folder, deck) = set_up("device-nccl", "");
    let library = nccl_by_files(&folder);
    let run = |name: &str, ranks: usize, more: &[&str]| {
        let out = folder.join(name);
        let args = [&["transfer", arg(&deck), "--out", arg(&out)], &ONE_TASK[..], &ON_HOST, more].concat();
        let mut command = command_on_ranks(ranks, &args);
        command
            .env("CROSSRX_CUDA_GRAPHS", "no")
            .env("NCCL_BY_FILES", &folder)
            .env("LD_LIBRARY_PATH", &library);
        let ended = start(command).finish(PATIENCE);
        assert!(!ended.stderr.contains("by way of the host"), "{}", ended.stderr);
        ended.ok();
        out
    };
    // Fixed lanes: the tree, whose bits are those of one rank.
    let lanes = ["--set", "train.lanes=4"];
    let one = folder.join("one");
    study(1, &deck, &one, &[&ON_HOST[..], &lanes].concat());
    for ranks in [2, 4] {
        assert_same(&one, &run(&format!("tree-{ranks}"), ranks, &lanes));
    }
    // One lane a rank: the library's own sum, which differs from the tree's by rounding.
    let library_sum = run("library", 3, &[]);
    let by_host = folder.join("host");
    study(3, &deck, &by_host, &ON_HOST);
    let losses = |out: &Path| Table::read(&out.join("models/Red/split_0/history.csv")).numbers("train_loss");
    assert_close(&losses(&by_host), &losses(&library_sum), 1e-5);
}

#[test]
fn recorded_steps_and_single_launches_end_with_the_same_bits() {
    let (folder, deck) = set_up("device-recorded", "");
    let [recorded, single] = ["recorded", "single"].map(|name| folder.join(name));
    study(1, &deck, &recorded, &ON_HOST);
    let args = [&["transfer", arg(&deck), "--out", arg(&single)], &ONE_TASK[..], &ON_HOST].concat();
    let mut command = Command::new(CROSSRX);
    command.args(args).env("CROSSRX_CUDA_GRAPHS", "no").env("CROSSRX_CACHE", CACHE);
    start(command).finish(PATIENCE).ok();
    assert_same(&recorded, &single);
}

#[test]
fn a_model_predicts_on_a_device_what_it_does_on_processors() {
    let (folder, deck) = set_up("device-predict", "");
    study(1, &deck, &folder.join("run"), &["--device", "cpu"]);
    let predict = |name: &str, device: &str| {
        let out = folder.join(name);
        let (model, store) = (folder.join("run/models/Red/split_0"), folder.join("small.h5"));
        let args = ["predict", "--model", arg(&model), "--store", arg(&store), "--dataset", "Blue"];
        crossrx(&[&args[..], &["--out", arg(&out), "--device", device]].concat()).ok();
        Table::read(&out).numbers("auc_pred")
    };
    let (processors, device) = (predict("processors.csv", "cpu"), predict("device.csv", "cuda-on-host"));
    assert!(processors.len() > 20);
    assert_close(&processors, &device, 2e-4);
}

/// Where there is a GPU, this says so and looks no further.
#[test]
fn a_machine_without_a_gpu_is_told_so_once_and_computes_on_processors() {
    let (folder, deck) = set_up("device-none", "");
    let listed = crossrx(&["devices"]).ok();
    if !listed.contains("no GPU is used") {
        eprintln!("skipped: no test of a machine without GPUs, as this one has some");
        return;
    }
    let out = folder.join("run");
    let run = |device: &str| {
        crossrx(&[
            "train",
            arg(&deck),
            "--source",
            "Red",
            "--split",
            "0",
            "--out",
            arg(&out),
            "--device",
            device,
        ])
    };
    run("cuda").refused(&["device", "CUDA"]);
    let said = run("auto");
    assert_eq!(said.stderr.matches("computing on processors").count(), 1, "{}", said.stderr);
    said.ok();
}
