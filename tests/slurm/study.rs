use crate::cluster::Cluster;
use crate::job::Job;
use crate::tree::assert_same;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A study in the room of a cluster: the demo corpus, decks, and the script that starts it.
pub struct Study<'a> {
    cluster: &'a Cluster,
    decks: Vec<Deck>,
}

/// How long a study of one source trains.
#[derive(Clone, Copy)]
pub enum Length {
    /// A second or two, on two nodes of a machine with nothing else to do.
    Short,
    /// Ten seconds.
    Medium,
    /// Half a minute.
    Long,
}

impl Length {
    fn epochs(self) -> u32 {
        match self {
            Length::Short => 40,
            Length::Medium => 400,
            Length::Long => 1000,
        }
    }
}

struct Deck {
    stem: &'static str,
    source: &'static str,
    epochs: u32,
}

impl<'a> Study<'a> {
    /// A study of one task, by both ranks of two nodes together.
    pub fn new(cluster: &'a Cluster, length: Length) -> Self {
        Self::of(cluster, length, &[("study", "Alpha")])
    }

    /// Several studies of one source each.
    pub fn of(cluster: &'a Cluster, length: Length, decks: &[(&'static str, &'static str)]) -> Self {
        let corpus = store();
        let decks = decks.iter().map(|&(stem, source)| Deck { stem, source, epochs: length.epochs() });
        let study = Self { cluster, decks: decks.collect() };
        for deck in &study.decks {
            fs::write(study.deck(deck.stem), deck.text(&corpus)).unwrap();
        }
        study
    }

    fn deck(&self, stem: &str) -> PathBuf {
        self.cluster.room.join(format!("{stem}.toml"))
    }

    /// The script that `crossrx jobscript` prints for two nodes of one rank.
    pub fn script(&self, words: &[&str]) -> PathBuf {
        let mut all = vec!["jobscript", "slurm"];
        let decks: Vec<String> = self.decks.iter().map(|deck| format!("{}.toml", deck.stem)).collect();
        all.extend(decks.iter().map(String::as_str));
        all.extend(["--nodes", "2", "--ranks-per-node", "1", "--hours", "1"]);
        all.extend(words);
        let path = self.cluster.room.join("job.sh");
        fs::write(&path, self.cluster.command("crossrx", &all)).unwrap();
        path
    }

    /// Submits the script with options of sbatch, which go before those in the script.
    pub fn submit(&self, script: &Path, options: &[&str]) -> Job<'a> {
        let script = script.to_str().unwrap();
        Job::submit(self.cluster, &[options, &[script]].concat())
    }

    /// The folder of a study's results.
    pub fn run(&self, stem: &str) -> PathBuf {
        self.cluster.room.join("runs").join(stem)
    }

    /// Asserts that all studies came to the same bits as without Slurm, on one rank, in peace.
    pub fn assert_same_as_in_peace(&self) {
        for deck in &self.decks {
            assert_same(&deck.reference(), &self.run(deck.stem));
        }
    }
}

impl Deck {
    fn text(&self, store: &Path) -> String {
        format!(
            "[store]\npath = {store:?}\n\
             [data]\nendpoint = \"auc\"\nsources = [\"{}\"]\nsplits = [0]\n\
             drug_features = [\"mordred\"]\nsample_features = [\"expression\"]\n\
             [model]\nkind = \"two-tower\"\ndrug_tower = [64]\nsample_tower = [64]\nhead = [64, 64]\ndropout = 0.2\n\
             [train]\nbatch = 1024\nlanes = 4\nlearning_rate = 2e-3\nepochs = {epochs}\npatience = {epochs}\n\
             [checkpoint]\nminutes = 0.02\n",
            self.source,
            epochs = self.epochs
        )
    }

    /// The same study on one rank, run once for all tests.
    fn reference(&self) -> PathBuf {
        let name = format!("{}-{}", self.source, self.epochs);
        let out = PEACE.join(&name);
        if !out.join("report.html").exists() {
            let deck = PEACE.join(format!("{name}.toml"));
            fs::write(&deck, self.text(&store())).unwrap();
            let paths = [deck.to_str().unwrap(), out.to_str().unwrap()];
            crossrx(&["transfer", paths[0], "--threads", "1", "--out", paths[1]]);
        }
        out
    }
}

/// The program under test, outside of Slurm.
fn crossrx(words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrx"));
    let output = command.args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where corpus and studies of this process lie that Slurm knows nothing of.
static PEACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slurm/in-peace");
    // What another build has left is no measure.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    crossrx(&["synth", "--preset", "demo", "--out", folder.join("demo.h5").to_str().unwrap()]);
    folder
});

/// The corpus of all studies.
fn store() -> PathBuf {
    PEACE.join("demo.h5")
}
