use crate::corpus;
use crate::program::{CROSSRX, arg, crossrx, fresh, has_ranks, on_ranks, signal, start, wait_for};
use crossrx::store::{Encoding, Entity, FeatureInfo, StoreWriter};
use ndarray::Array2;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Classes of samples.
const SITES: usize = 3;
/// Samples of the first study, and of the second, of which the first ten are samples of the first, too.
const CHIP: usize = 120;
const READS: usize = 90;
const SAMPLES: usize = CHIP + READS - 10;
const GENES: usize = 24;
/// Hidden factors of a sample.
const FACTORS: usize = 4;

fn noise(i: usize) -> f32 {
    let mut x = i as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 27;
    }
    (x >> 40) as f32 / (1u32 << 24) as f32 - 0.5
}

/// What a gene says of a sample: few factors, of which the first two tell its class, and a little noise.
fn expression(sample: usize, gene: usize) -> f32 {
    let factor = |f: usize| {
        let class = if f < 2 { 2.0 * noise(7000 + 10 * (sample % SITES) + f) } else { 0.0 };
        (noise(1000 + sample * 8 + f) + class) * 4.0 * noise(50_000 + gene * 8 + f) / (1.0 + 0.4 * f as f32)
    };
    (0..FACTORS).map(factor).sum::<f32>() + 0.05 * noise(100_000 + sample * GENES + gene)
}

/// Two studies of the same genes, the second in another order, with a gene of its own, and in other units; and
/// labels of all samples of the first.
fn write_store(path: &Path) {
    let mut writer = StoreWriter::create(path, "test").unwrap();
    let samples: Vec<String> = (0..SAMPLES).map(|s| format!("S{s}")).collect();
    writer.entities(Entity::Sample, &samples).unwrap();
    writer.entities(Entity::Drug, &["D0".to_string()]).unwrap();
    let mut table = |name: &str, columns: Vec<String>, rows: Vec<u32>, values: Array2<f32>| {
        let bits = values.iter().all(|v| *v == 0.0 || *v == 1.0);
        let encoding = if bits { Encoding::Bits } else { Encoding::F32 };
        let info = FeatureInfo {
            entity: Entity::Sample,
            name: name.into(),
            encoding,
            rows: rows.len(),
            columns: columns.len(),
            units: "1".into(),
        };
        let mut feature = writer.feature(info, &columns, &rows).unwrap();
        feature.append(values.view()).unwrap();
        feature.finish().unwrap();
    };
    let genes = |genes: &mut dyn Iterator<Item = usize>| genes.map(|g| format!("G{g}")).collect::<Vec<_>>();
    let chip = Array2::from_shape_fn((CHIP, GENES), |(s, g)| expression(s, g) + 7.0);
    table("chip", genes(&mut (0..GENES)), (0..CHIP as u32).collect(), chip);
    let second: Vec<u32> = (0..10).chain(CHIP as u32..SAMPLES as u32).collect();
    let value = |(s, g): (usize, usize)| match g {
        GENES => 1.5,
        _ => 3.0 * expression(second[s] as usize, GENES - 1 - g) + 20.0 + g as f32,
    };
    let reads = Array2::from_shape_fn((READS, GENES + 1), value);
    table("reads", genes(&mut (0..GENES).rev().chain([99])), second.clone(), reads);
    let site = Array2::from_shape_fn((CHIP, SITES), |(s, c)| f32::from(u8::from(s % SITES == c)));
    let sites = ["lung", "skin", "blood, marrow"].map(String::from).to_vec();
    table("site", sites, (0..CHIP as u32).collect(), site);
    writer.finish().unwrap();
}

const AUTOENCODER: &str = "kind = \"autoencoder\"\nlayers = [16, 4]\nnoise = 0.1\n";

struct Case {
    folder: PathBuf,
    deck: PathBuf,
}

impl Case {
    /// A pretraining of both studies, in four lanes.
    fn new(name: &str, model: &str) -> Self {
        let folder = fresh(name);
        let (store, deck) = (folder.join("small.h5"), folder.join("deck.toml"));
        write_store(&store);
        let text = format!(
            "[store]\npath = {:?}\n[data]\nstudies = [\"chip\", \"reads\"]\n[model]\n{model}\
             [train]\nlanes = 4\nbatch = 32\nepochs = 20\nlearning_rate = 1e-2\n",
            arg(&store)
        );
        fs::write(&deck, text).unwrap();
        Self { folder, deck }
    }

    fn args<'a>(&'a self, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let set = more.iter().flat_map(|set| ["--set", set]);
        ["pretrain", arg(&self.deck), "--out", arg(out), "--threads", "1"].into_iter().chain(set).collect()
    }

    fn run(&self, out: &str, more: &[&str]) -> PathBuf {
        let out = self.folder.join(out);
        crossrx(&self.args(&out, more)).ok();
        out
    }
}

fn quality(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("quality.json")).unwrap()).unwrap()
}

fn assert_same_files(a: &Path, b: &Path, names: &[&str]) {
    for name in names {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name} differs");
    }
}

const RESULTS: [&str; 4] = ["model.safetensors", "scaling.csv", "latent.csv", "embedding.csv"];

/// The cells of a table, its header first.
fn table(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_string).collect()).collect()
}

#[test]
fn two_studies_and_their_classes_end_as_files_that_agree() {
    let centers = "center_loss = { weight = 0.1 }\ncenter_distance = {}\n";
    let case = Case::new("pretrain-files", &format!("{AUTOENCODER}{centers}"));
    let out = case.run("out", &["data.label=site", "data.clusters=3", "train.epochs=150"]);
    let told = quality(&out);
    let studies = told["studies"].as_array().unwrap();
    assert_eq!(studies[1]["dropped_columns"], 1);
    assert_eq!((studies[0]["rows"].as_u64(), studies[1]["rows"].as_u64()), (Some(120), Some(90)));
    assert_eq!((&told["columns"], &told["latent"]), (&24.into(), &4.into()));
    assert_eq!(told["class_origin"], "label site, k-means");
    let classes: Vec<(&str, u64)> = told["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| (class["name"].as_str().unwrap(), class["rows"].as_u64().unwrap()))
        .collect();
    // Ten samples of the second study have labels.
    assert_eq!(classes[0], ("lung", 44));
    assert_eq!(classes.len(), 6, "{classes:?}");
    assert_eq!(classes[3..].iter().map(|(_, rows)| rows).sum::<u64>(), 80);
    let r2 = told["reconstruction"]["r2_val"].as_f64().unwrap();
    assert!(r2 > 0.5 && r2 < 1.0, "{told}");
    assert_eq!(told["loss"], "mse");
    let silhouette = |of: &str| told["silhouette"][of].as_f64().unwrap();
    for (all, held_out) in [("class", "class_val"), ("study", "study_val")] {
        let [all, held_out] = [all, held_out].map(silhouette);
        assert!(all != held_out && [all, held_out].iter().all(|of| (-1.0..1.0).contains(of)), "{told}");
    }
    let accuracy = told["knn"]["class_accuracy"].as_f64().unwrap();
    assert!(accuracy > 1.5 * told["knn"]["majority_share"].as_f64().unwrap(), "{told}");

    let latent = table(&out.join("latent.csv"));
    assert_eq!(latent[0], ["id", "study", "class", "part", "z0", "z1", "z2", "z3"]);
    assert_eq!(latent.len(), 1 + CHIP + READS);
    assert_eq!(latent[3][..3], ["S2", "chip", "blood, marrow"]);
    let held_out: Vec<&[String]> =
        latent[1..].iter().filter(|row| row[3] == "val").map(|r| &r[..2]).collect();
    assert_eq!(held_out.len() as u64, told["rows"]["val"].as_u64().unwrap());
    for row in held_out.iter().filter(|row| row[1] == "reads") {
        let other = latent.iter().find(|other| other[0] == row[0] && other[1] == "chip");
        assert!(other.is_none_or(|other| other[3] == "val"), "{row:?} is held out of one study alone");
    }
    let embedding = table(&out.join("embedding.csv"));
    assert_eq!(embedding[0][4..], ["pc1", "pc2", "tsne1", "tsne2"]);
    assert!(embedding[1..].iter().zip(&latent[1..]).all(|(e, l)| e[..4] == l[..4]));
    assert!(embedding[1..].iter().all(|row| row[4..].iter().all(|v| v.parse::<f32>().unwrap().is_finite())));
    assert_eq!(table(&out.join("scaling.csv")).len(), 1 + 2 * GENES);
    assert!(table(&out.join("history.csv")).len() > 20);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("</html>"));
    assert!(!out.join("checkpoints").exists());
    let run: Value = serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    assert_eq!((&run["model"], &run["jobs"]), (&"autoencoder".into(), &1.into()));
}

#[test]
fn any_number_of_ranks_gives_the_same_bits() {
    if !has_ranks() {
        return;
    }
    for (name, model) in [
        ("ae", format!("{AUTOENCODER}center_loss = {{}}\n")),
        ("pca", "kind = \"pca\"\ncomponents = 4\n".into()),
    ] {
        let case = Case::new(&format!("pretrain-ranks-{name}"), &model);
        let set = ["data.clusters=4"];
        let alone = case.run("1", &set);
        for ranks in [2, 4] {
            let out = case.folder.join(ranks.to_string());
            on_ranks(ranks, &case.args(&out, &set)).ok();
            assert_same_files(&alone, &out, &RESULTS);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_job_told_to_stop_goes_on_to_the_same_end() {
    let case = Case::new("pretrain-stopped", AUTOENCODER);
    let set = ["train.epochs=1500", "train.patience=1500"];
    let whole = case.run("whole", &set);
    let out = case.folder.join("out");
    let job = |seconds: u64| {
        let mut command = Command::new(CROSSRX);
        command.args(case.args(&out, &set));
        (start(command), Duration::from_secs(seconds))
    };
    let (running, limit) = job(60);
    wait_for("an epoch", || running.stderr_so_far().contains("epoch 20/"));
    signal("TERM", &[running.child.id()]);
    let stopped = running.finish(limit);
    assert_eq!(stopped.status.code(), Some(75), "{}", stopped.stderr);
    assert!(out.join("checkpoints").exists() && !out.join("run.json").exists());
    let (running, limit) = job(120);
    let ended = running.finish(limit);
    assert!(ended.stderr.contains("going on from the checkpoint"), "{}", ended.stderr);
    ended.ok();
    assert_same_files(&whole, &out, &RESULTS);
    let run: Value = serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["jobs"], 2);
    // What is complete stays as it is.
    let before = fs::metadata(out.join("latent.csv")).unwrap().modified().unwrap();
    assert!(crossrx(&case.args(&out, &set)).ok().contains("complete already"));
    assert_eq!(fs::metadata(out.join("latent.csv")).unwrap().modified().unwrap(), before);
}

#[test]
fn what_cannot_be_pretrained_is_refused_in_a_line() {
    let case = Case::new("pretrain-refused", AUTOENCODER);
    let out = case.folder.join("out");
    let center = "model.center_loss={ weight = 0.1 }";
    for (set, words) in [
        (&["data.studies=[\"chip\", \"rna\"]"][..], &["data.studies", "rna", "reads"][..]),
        (&["data.studies=[\"chip\", \"site\"]"], &["data.studies", "no column in common"]),
        (&["data.label=chip"], &["data.label", "chip", "labels"]),
        (&["data.label=\"nowhere\""], &["data.label", "nowhere"]),
        (&["data.filter={ mean = 1e6, deviation = 0.0 }"], &["data.filter", "none of 24"]),
        (&[center], &["model.center_loss", "data.clusters"]),
        (&["data.clusters=200"], &["data.clusters", "200 clusters"]),
        (&["train.lanes=64"], &["train", "batch"]),
        (&["model={ kind = \"pca\", components = 30 }"], &["model.components", "30"]),
    ] {
        crossrx(&case.args(&out, set)).refused(words);
        let _ = fs::remove_dir_all(&out);
    }
    case.run("out", &["train.epochs=2"]);
    crossrx(&case.args(&out, &["train.epochs=3"])).refused(&["train.epochs was 2 and is 3", "--fresh"]);
    let mut anew = case.args(&out, &["train.epochs=3"]);
    anew.push("--fresh");
    crossrx(&anew).ok();
    // A transfer study is not mixed with it.
    let screens = case.folder.join("screens.h5");
    corpus::Corpus::two_screens().write(&screens);
    let transfer = case.folder.join("transfer.toml");
    fs::write(&transfer, corpus::deck(&screens, "")).unwrap();
    crossrx(&["transfer", arg(&transfer), "--out", arg(&out)]).refused(&["another deck or store"]);
}

#[test]
fn cross_entropy_is_of_features_from_0_to_1() {
    let case = Case::new("pretrain-bce", &format!("{AUTOENCODER}loss = \"bce\"\ntied = true\n"));
    let out = case.run("out", &["train.epochs=60"]);
    let told = quality(&out);
    assert_eq!(told["loss"], "bce");
    let told = &told["reconstruction"];
    let (error, gone) = (told["val"].as_f64().unwrap(), told["r2_val"].as_f64().unwrap());
    // Beyond the entropy of values that are neither 0 nor 1 there is nothing to gain.
    assert!(error > 0.3 && error < std::f64::consts::LN_2 && gone > 0.01 && gone < 0.5, "{told}");
    let scaling = table(&out.join("scaling.csv"));
    let numbers: Vec<f32> = scaling[1][2..].iter().map(|v| v.parse().unwrap()).collect();
    let chip = (0..CHIP).map(|sample| expression(sample, 0) + 7.0);
    let least = chip.clone().fold(f32::INFINITY, f32::min);
    let range = chip.fold(f32::NEG_INFINITY, f32::max) - least;
    // Of training rows.
    assert!(numbers[0] >= least && numbers[1] <= range + 1e-4 && numbers[1] > 0.5 * range, "{numbers:?}");
}

/// Tensor `name` of a file, `[rows, columns]`, as rows.
fn tensor(path: &Path, name: &str) -> Vec<Vec<f64>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    let values: Vec<f64> = tensor
        .data()
        .chunks_exact(4)
        .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        .collect();
    values.chunks_exact(tensor.shape()[1]).map(<[f64]>::to_vec).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// An upper bound of the sine of the largest principal angle between what `axes`, orthonormal, and `others` span.
fn sine(axes: &[Vec<f64>], others: &[Vec<f64>]) -> f64 {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for other in others {
        let mut rest = other.clone();
        for _ in 0..2 {
            for known in &basis {
                let along = dot(&rest, known);
                rest.iter_mut().zip(known).for_each(|(r, k)| *r -= along * k);
            }
        }
        let length = dot(&rest, &rest).sqrt();
        basis.push(rest.iter().map(|v| v / length).collect());
    }
    let outside = |axis: &Vec<f64>| 1.0 - basis.iter().map(|b| dot(axis, b).powi(2)).sum::<f64>();
    axes.iter().map(outside).sum::<f64>().max(0.0).sqrt()
}

/// Baldi and Hornik 1989: what a linear autoencoder gives back lies in the space of the principal components.
#[test]
fn a_linear_autoencoder_spans_the_principal_components() {
    let linear = "kind = \"autoencoder\"\nlayers = [4]\nnoise = 0.0\n";
    let case = Case::new("pretrain-linear", linear);
    let train = ["train.epochs=600", "train.patience=600", "train.weight_decay=0.0"];
    let network = case.run("network", &train);
    let pca = case.folder.join("pca");
    let said = crossrx(&case.args(&pca, &["model={ kind = \"pca\", components = 4 }"])).ok();
    assert!(said.contains("% of it gone\n") && !said.contains("epoch"), "{said}");
    let decoder = tensor(&network.join("model.safetensors"), "decoder.0.weight");
    let columns: Vec<Vec<f64>> = (0..4).map(|z| decoder.iter().map(|row| row[z]).collect()).collect();
    let axes = tensor(&pca.join("model.safetensors"), "encoder.0.weight");
    let angle = sine(&axes, &columns).asin().to_degrees();
    assert!(angle < 1.0, "{angle} degrees");
    // Any other four directions are far.
    assert!(sine(&axes, &axes[..3]) > 0.9);
    // Of all rows, which hold 1 a value; the components are the best there is.
    let error = |out: &Path| quality(out)["reconstruction"]["train"].as_f64().unwrap();
    let worse = error(&network) - error(&pca);
    assert!((0.0..1e-3).contains(&worse) && error(&pca) < 0.01, "{worse}");
}
