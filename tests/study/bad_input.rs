use crate::corpus::{Corpus, Dataset, deck};
use crate::program::{CROSSRX, Outcome, arg, crossrx, fresh, has_ranks, on_ranks, start};
use crate::tree::{assert_complete, files};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A folder with a sound store and deck, to be spoilt.
struct Case {
    folder: PathBuf,
    store: PathBuf,
    deck: PathBuf,
    out: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        Self::of(name, &Corpus::two_screens())
    }

    fn of(name: &str, corpus: &Corpus) -> Self {
        let folder = fresh(name);
        let (store, deck_path, out) = (folder.join("small.h5"), folder.join("deck.toml"), folder.join("out"));
        corpus.write(&store);
        fs::write(&deck_path, deck(&store, "")).unwrap();
        Case { folder, store, deck: deck_path, out }
    }

    fn transfer(&self, ranks: usize, set: &[&str]) -> Outcome {
        let mut args = vec!["transfer", arg(&self.deck), "--out", arg(&self.out)];
        args.extend(set.iter().flat_map(|set| ["--set", set]));
        if ranks == 1 { crossrx(&args) } else { on_ranks(ranks, &args) }
    }

    /// Asserts that the study is refused on one rank and on two, and leaves nothing.
    fn refused(&self, set: &[&str], words: &[&str]) {
        for ranks in [1, 2] {
            if ranks == 1 || has_ranks() {
                self.transfer(ranks, set).refused(words);
                self.leaves_nothing();
            }
        }
    }

    fn leaves_nothing(&self) {
        let left = if self.out.is_dir() { files(&self.out) } else { Vec::new() };
        assert!(left.is_empty(), "a refused study left {left:?}");
        let _ = fs::remove_dir_all(&self.out);
    }

    fn tamper<T: hdf5::H5Type>(&self, place: &str, values: &[T]) {
        let file = hdf5::File::open_rw(&self.store).unwrap();
        file.unlink(place).unwrap();
        let shape = values.len();
        let array =
            file.new_dataset::<T>().shape(shape).chunk(shape.max(1)).fletcher32().create(place).unwrap();
        array.write(values).unwrap();
    }
}

#[test]
fn decks_are_refused_by_key_with_what_there_is() {
    let case = Case::new("decks");
    for (set, words) in [
        ("data.endpoitn=auc", ["deck.toml", "endpoitn", "expected"]),
        ("trian.epochs=3", ["deck.toml", "trian", "expected"]),
        ("train.epochs=-1", ["deck.toml", "train.epochs", "-1"]),
        ("data.sources=[\"Rde\"]", ["data.sources", "\"Rde\"", "Blue, Red"]),
        ("data.targets=[\"Grey\"]", ["data.targets", "\"Grey\"", "Blue, Red"]),
        ("data.endpoint=aac", ["data.endpoint", "Red", "auc, ic50"]),
        ("data.drug_features=[\"mordrde\"]", ["data.drug_features", "mordrde", "ecfp4, mordred"]),
        ("data.sample_features=[\"rna\"]", ["data.sample_features", "rna", "expression"]),
        ("data.splits=[0, 7]", ["data.splits", "no split 7", "[0, 1]"]),
        ("data.splits={ rule = \"warm\", folds = 5, seed = 1 }", ["data.splits", "warm", "cold-drug"]),
        (
            "data.splits={ rule = \"random\", folds = 5, seed = 1, only = [5] }",
            ["data.splits", "split 5", "0 to 4"],
        ),
        ("data.dose=true", ["data.dose", "Red", "no dose"]),
        ("train.lanes=6", ["train.lanes", "power of two", "deck.toml"]),
        ("model.head=[]", ["deck.toml", "model.head", "at least one"]),
        ("model.head=[8, 4000000000]", ["deck.toml", "model.head", "1 to 65536"]),
        ("model.sample_tower=[0]", ["deck.toml", "model.sample_tower", "1 to 65536"]),
        (
            "data.splits={ rule = \"random\", folds = 4000000000, seed = 1 }",
            ["data.splits", "folds = 4000000000", "3 to 100000"],
        ),
        ("model.dropout=1.0", ["deck.toml", "model.dropout", "below 1"]),
    ] {
        case.transfer(1, &[set]).refused(&words);
        case.leaves_nothing();
    }
    case.refused(&["train.batchsize=3"], &["deck.toml", "batchsize"]);
    fs::write(&case.deck, "[store]\npath = \"a\"\n[data\n").unwrap();
    case.refused(&[], &["deck.toml", "line 3"]);
    fs::write(&case.deck, [0xff, 0xfe]).unwrap();
    case.refused(&[], &["deck.toml", "cannot read the deck"]);
    fs::remove_file(&case.deck).unwrap();
    case.refused(&[], &["deck.toml", "cannot read the deck"]);
}

#[test]
fn what_is_not_a_store_is_refused_by_name() {
    let case = Case::new("not-a-store");
    let sound = fs::read(&case.store).unwrap();
    case.refused(&[&format!("store.path={}", arg(&case.folder))], &["not-a-store"]);
    fs::write(&case.store, &sound[..sound.len() * 2 / 3]).unwrap();
    case.refused(&[], &["small.h5", "truncated"]);
    fs::write(&case.store, "drug,sample,auc\n").unwrap();
    case.refused(&[], &["small.h5", "cannot open"]);
    fs::remove_file(&case.store).unwrap();
    case.refused(&[], &["small.h5", "cannot open", "No such file"]);
    hdf5::File::create(&case.store).unwrap();
    case.refused(&[], &["small.h5", "not a crossrx store"]);
}

#[test]
fn hostile_stores_are_refused_by_place_and_row() {
    let corpus = Corpus::two_screens();
    let (red, blue) = (&corpus.datasets[0], &corpus.datasets[1]);
    let spoilt = |name: &str, spoil: &dyn Fn(&Case), words: &[&str]| {
        let case = Case::of(name, &corpus);
        spoil(&case);
        case.refused(&[], words);
        crossrx(&["inspect", arg(&case.store), "--verify"]).refused(words);
    };
    let mut drug = blue.drug.clone();
    drug[17] = 30;
    let words = ["small.h5", "/datasets/Blue/drug", "row 17: index 30", "30 drugs"];
    spoilt("drug-index", &|case| case.tamper("datasets/Blue/drug", &drug), &words);
    let mut sample = red.sample.clone();
    sample[3] = u32::MAX;
    let words = ["small.h5", "/datasets/Red/sample", "row 3: index 4294967295"];
    spoilt("sample-index", &|case| case.tamper("datasets/Red/sample", &sample), &words);
    let mut auc = red.auc.clone();
    auc[9] = f32::NEG_INFINITY;
    let words = ["small.h5", "/datasets/Red/endpoint/auc", "row 9 is -inf"];
    spoilt(
        "infinite",
        &|case| {
            case.tamper("datasets/Red/endpoint/auc", &auc);
            let file = hdf5::File::open_rw(&case.store).unwrap();
            let units: hdf5::types::FixedUnicode<8> = "1".parse().unwrap();
            let auc = file.dataset("datasets/Red/endpoint/auc").unwrap();
            auc.new_attr::<hdf5::types::FixedUnicode<8>>()
                .create("units")
                .unwrap()
                .write_scalar(&units)
                .unwrap();
        },
        &words,
    );
    let beyond = [red.splits[1].test[0], red.pairs() as u32];
    let words = ["small.h5", "/datasets/Red/split/1", "part test, position 1", "out of range"];
    spoilt("split-index", &|case| case.tamper("datasets/Red/split/1/test", &beyond), &words);
    let words = ["small.h5", "/datasets/Red/split/1", "part val is empty"];
    spoilt("empty-part", &|case| case.tamper::<u32>("datasets/Red/split/1/val", &[]), &words);
    let twice: Vec<u32> = (0..29).chain([28]).collect();
    let words = ["small.h5", "/features/drug/mordred/entity", "row 29", "drug 28"];
    spoilt("feature-twice", &|case| case.tamper("features/drug/mordred/entity", &twice), &words);
    let mut ids = corpus.drug_ids.clone();
    ids[8] = "Drug_3".into();
    let same = |case: &Case| {
        let ids: Vec<hdf5::types::FixedUnicode<8>> = ids.iter().map(|id| id.parse().unwrap()).collect();
        case.tamper("drugs/id", &ids);
    };
    spoilt("same-id", &same, &["small.h5", "/drugs/id", "Drug_3", "twice"]);
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for (number, name) in ["..", ".hidden", "a\nb", "a\\b", "tab\there"].into_iter().enumerate() {
        let case = Case::new(&format!("names-{number}"));
        {
            let file = hdf5::File::open_rw(&case.store).unwrap();
            file.group("datasets").unwrap().relink("Red", name).unwrap();
        }
        let source = format!("data.sources=[{name:?}]");
        case.transfer(1, &[&source, "data.splits=[0]"]).refused(&[
            "small.h5",
            "/datasets",
            &format!("{name:?}"),
        ]);
        assert_eq!(files(&case.folder), [Path::new("deck.toml"), Path::new("small.h5")]);
    }
    let case = Case::new("names-import");
    let table = case.folder.join("more.csv");
    for name in ["../../escape", "..", "a/b", "bell\u{7}"] {
        fs::write(&table, format!("set,drug,sample,auc\n{name},Drug_1,Sample_1,0.5\n")).unwrap();
        let before = fs::read(&case.store).unwrap();
        let columns = ["--dataset", "{set}", "--drug", "drug", "--sample", "sample", "--endpoint", "auc"];
        let args = ["import", "table", "--store", arg(&case.store), "--response", arg(&table)];
        crossrx(&[&args[..], &columns].concat()).refused(&["more.csv:2", &format!("{name:?}")]);
        assert_eq!(fs::read(&case.store).unwrap(), before);
        assert_eq!(files(&case.folder).len(), 3);
    }
}

/// A-B to C and A to B-C would share the folder infer/A-B-C.
#[test]
fn names_that_share_a_folder_are_refused() {
    let named = |name| Dataset::new(name, 0..12, 0..12, 0.0);
    let case =
        Case::of("shared-folder", &Corpus::of(vec![named("A"), named("A-B"), named("B-C"), named("C")]));
    let set = ["data.sources=[\"A\", \"A-B\"]", "data.targets=[\"B-C\", \"C\"]"];
    case.refused(&set, &["deck.toml", "data.targets", "A-B-C"]);
}

#[test]
fn a_drug_without_features_is_refused_or_dropped() {
    let mut corpus = Corpus::two_screens();
    corpus.featured.retain(|&drug| drug != 5);
    let lost = corpus.datasets[0].drug.iter().filter(|&&drug| drug == 5).count();
    let first = corpus.datasets[0].drug.iter().position(|&drug| drug == 5).unwrap();
    let case = Case::of("featureless", &corpus);
    let row = format!("pair {first}");
    case.refused(&[], &["small.h5", "/datasets/Red", &row, "Drug_5", "mordred", "missing_features"]);
    let outcome = case.transfer(1, &["data.missing_features=drop"]);
    let said =
        format!("Red: of {} pairs, 0 without 'auc' and {lost} without features", corpus.datasets[0].pairs());
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    outcome.ok();
    let table =
        fs::read_to_string(case.out.join("infer/Blue-Red/split_0/test_y_data_predicted.csv")).unwrap();
    assert_eq!(table.lines().count() - 1, corpus.datasets[0].pairs() - lost);
    assert!(!table.contains(",Drug_5,"));
}

#[test]
fn a_part_that_is_left_empty_is_refused_before_anything_is_trained() {
    let mut corpus = Corpus::two_screens();
    let blue = &mut corpus.datasets[1];
    for &row in &blue.splits[1].test {
        blue.auc[row as usize] = f32::NAN;
    }
    let case = Case::of("empty-split", &corpus);
    case.refused(&[], &["small.h5", "/datasets/Blue/split/1/test", "no row"]);

    let mut corpus = Corpus::two_screens();
    corpus.datasets[1].auc.fill(f32::NAN);
    let case = Case::of("empty-target", &corpus);
    case.refused(
        &["data.sources=[\"Red\"]", "data.targets=[\"Blue\"]"],
        &["small.h5", "/datasets/Blue", "auc"],
    );

    let case = Case::new("empty-fold");
    let set = "data.splits={ rule = \"cold-sample\", folds = 100, seed = 1, only = [0] }";
    case.refused(&[set], &["cold-sample", "empty"]);
}

#[test]
fn ranks_that_lanes_cannot_serve_are_refused() {
    let case = Case::new("lanes");
    case.transfer(1, &["train.batch=4", "train.lanes=8"]).refused(&["steps of 4 pairs", "lanes"]);
    case.transfer(1, &["train.lanes=1024", "train.batch=2048"]).refused(&["cannot fill 1024 lanes"]);
    case.leaves_nothing();
    if !has_ranks() {
        return;
    }
    case.transfer(4, &["train.lanes=2", "study.ranks_per_task=4"]).refused(&["2 lanes", "4 ranks"]);
    case.leaves_nothing();
    case.transfer(4, &["train.batch=3", "study.ranks_per_task=4"]).refused(&["steps of 3 pairs", "lanes"]);
    case.leaves_nothing();
}

#[test]
fn a_folder_that_holds_something_is_left_as_it_is() {
    let case = Case::new("taken");
    fs::create_dir(&case.out).unwrap();
    fs::write(case.out.join("notes"), "mine").unwrap();
    for ranks in [1, 2] {
        if ranks == 1 || has_ranks() {
            case.transfer(ranks, &[]).refused(&["out", "holds another run"]);
        }
    }
    assert_eq!(files(&case.out), [Path::new("notes")]);
    let out = case.folder.join("deck.toml");
    crossrx(&["transfer", arg(&case.deck), "--out", arg(&out)]).refused(&["deck.toml", "cannot"]);
}

#[test]
fn a_loss_that_is_not_finite_is_told_with_its_key() {
    let case = Case::new("not-finite");
    let set =
        ["train.learning_rate=1e20", "train.optimizer=sgd", "train.warmup_epochs=0.0", "data.splits=[0]"];
    let set = [&set[..], &["data.sources=[\"Red\"]"]].concat();
    let words = ["Red split 0", "not finite", "epoch 1", "train.learning_rate"];
    case.transfer(1, &set).refused(&words);
    // Where nothing was finished, another deck is no other study.
    let there: Vec<_> = files(&case.out).into_iter().filter(|path| !path.starts_with("logs")).collect();
    assert_eq!(there, [Path::new("study.json")]);
    let set = ["data.splits=[0]", "data.sources=[\"Red\"]"];
    case.transfer(1, &set).ok();
}

#[test]
fn layers_that_went_wrong_are_told_once_too_many_steps_are_skipped() {
    let case = Case::new("skipped");
    let set = ["train.learning_rate=1e30", "train.optimizer=sgd", "train.warmup_epochs=0.0", "train.batch=8"];
    let set =
        [&set[..], &["data.splits=[0]", "data.sources=[\"Red\"]", "train.max_skipped_steps=2"]].concat();
    for ranks in [1, 2] {
        if ranks == 1 || has_ranks() {
            let outcome = case.transfer(ranks, &set);
            outcome.refused(&[
                "Red split 0: epoch 1, step ",
                "layer ",
                "train.max_skipped_steps",
                "train.learning_rate",
            ]);
            let told = |words: &str| outcome.stderr.lines().filter(|line| line.contains(words)).count();
            assert_eq!(told("skipped, for a loss or a gradient is not finite"), 2, "{}", outcome.stderr);
            // At least the layer that the error names, its weights and its biases.
            let ranges = told(" values of the gradient are not finite");
            assert!(ranges >= 2, "{}", outcome.stderr);
            assert!(!case.out.join("models").exists());
            fs::remove_dir_all(&case.out).unwrap();
        }
    }
}

#[test]
fn responses_that_are_no_numbers_and_drugs_of_one_id_are_refused_at_import() {
    let case = Case::new("import");
    let table = case.folder.join("more.csv");
    let import = |text: &str, words: &[&str]| {
        fs::write(&table, text).unwrap();
        let before = fs::read(&case.store).unwrap();
        let columns = ["--dataset", "New", "--drug", "drug", "--sample", "sample", "--endpoint", "auc"];
        let args = ["import", "table", "--store", arg(&case.store), "--response", arg(&table)];
        crossrx(&[&args[..], &columns].concat()).refused(words);
        assert_eq!(fs::read(&case.store).unwrap(), before);
        assert_eq!(files(&case.folder).len(), 3, "a partial store is left");
    };
    let head = "drug,sample,auc\nDrug_1,Sample_1,0.5\n";
    import(&format!("{head}Drug_2,Sample_1,inf\n"), &["more.csv:3", "auc", "inf"]);
    import(&format!("{head}Drug_2,Sample_1,high\n"), &["more.csv:3", "auc", "high"]);
    import(&format!("{head}Drug_2,Sample_1\n"), &["more.csv:3"]);
    import("drug,sample,auc\nDrug_1,Sample_1,nan\n", &["more.csv", "\"New\"", "no row"]);
    import("drug,sample\nDrug_1,Sample_1\n", &["more.csv", "auc", "drug, sample"]);

    fs::write(&table, "id,x,y\nDrug_1,1,2\nDrug_2,3,4\nDrug_1,5,6\n").unwrap();
    let args = ["import", "table", "--store", arg(&case.store), "--features", arg(&table)];
    let outcome = crossrx(&[&args[..], &["--entity", "drug", "--name", "new"]].concat());
    outcome.refused(&["more.csv:4", "Drug_1"]);
}

/// Runs the program in a shell that first runs `limit`.
fn limited(limit: &str, args: &[&str]) -> Outcome {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\""), CROSSRX]).args(args);
    start(command).finish(Duration::from_secs(60))
}

#[test]
fn a_disk_that_is_full_leaves_whole_results_only() {
    let case = Case::new("full-disk");
    case.transfer(1, &[]).ok();
    let whole = files(&case.out).len();
    let disk = case.folder.join("disk");
    fs::create_dir(&disk).unwrap();
    let mut parts = Vec::new();
    for kilobytes in [20, 60, 150, 300] {
        let _ = fs::remove_dir_all(&case.out);
        // A disk of its own that nobody else sees, and a copy of what was left on it.
        let script = format!(
            "mount -t tmpfs -o size={kilobytes}k none {disk} || exit 77; \
             {CROSSRX} transfer {deck} --out {disk}/out; status=$?; cp -r {disk}/out {out}; exit $status",
            disk = arg(&disk),
            deck = arg(&case.deck),
            out = arg(&case.out),
        );
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "bash", "-c", &script]);
        let outcome = start(command).finish(Duration::from_secs(60));
        if !outcome.stderr.contains("error: ") {
            let _ = writeln!(std::io::stderr(), "skipped: no small disk can be mounted: {}", outcome.stderr);
            return;
        }
        outcome.refused(&["disk/out/", "cannot ", "No space left"]);
        assert_complete(&case.out);
        parts.push(files(&case.out).len());
    }
    assert!(parts.is_sorted() && parts[3] > 0 && parts[3] < whole, "{parts:?} of {whole}");
}

#[test]
fn a_store_that_cannot_be_finished_is_not_there() {
    let folder = fresh("unfinished-store");
    let store = folder.join("demo.h5");
    for kilobytes in [1, 16, 300] {
        let limit = format!("trap '' XFSZ; ulimit -f {kilobytes}");
        let outcome = limited(&limit, &["synth", "--preset", "demo", "--out", arg(&store)]);
        outcome.refused(&["demo.h5", "File too large"]);
        assert!(files(&folder).is_empty(), "{:?}", files(&folder));
    }
}

#[test]
fn a_pipe_that_is_closed_or_full_is_no_panic() {
    let case = Case::new("pipe");
    let inspect = ["inspect", arg(&case.store)];
    let closed = limited("exec 1> >(exec true); sleep 0.2", &inspect);
    assert!(!closed.stderr.contains("panicked"), "{}", closed.stderr);
    assert!(closed.status.code().is_some());
    if Path::new("/dev/full").exists() {
        limited("exec 1> /dev/full", &inspect).refused(&["standard output", "No space left"]);
    }
}
