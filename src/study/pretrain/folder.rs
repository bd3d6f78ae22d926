use super::PretrainCorpus;
use crate::lock::Lock;
use crate::report::json;
use crate::study::Start;
use crate::study::journal::{Claim, RUN, STUDY, Study, is_result, sweep};
use crate::train::{Checkpoints, Identity};
use crate::{Error, Result, atomic};
use std::fs;
use std::path::{Path, PathBuf};

pub const DECK: &str = "deck.toml";
pub const WEIGHTS: &str = "model.safetensors";
pub const SCALING: &str = "scaling.csv";
pub const HISTORY: &str = "history.csv";
pub const LATENT: &str = "latent.csv";
pub const EMBEDDING: &str = "embedding.csv";
pub const QUALITY: &str = "quality.json";
pub const REPORT: &str = "report.html";
const CHECKPOINTS: &str = "checkpoints";
const LOGS: &str = "logs";
/// What a pretraining writes, beside its folders; a complete one has all, the last, which can be made of the others, aside.
const MADE: [&str; 9] = [DECK, WEIGHTS, SCALING, HISTORY, LATENT, EMBEDDING, QUALITY, RUN, REPORT];

/// The folder of a pretraining: which it is of, and where its parts stand.
pub struct Folder {
    out: PathBuf,
    study: Study,
}

impl Folder {
    /// That of the pretraining of `corpus` by so many ranks in `out`.
    pub fn new(corpus: &PretrainCorpus, out: &Path, ranks: usize) -> Result<Self> {
        let study = Study::new(&corpus.digest, corpus.deck.deciding()?, ranks);
        Ok(Self { out: out.into(), study })
    }

    /// Takes the folder, which one job at a time may: it must be empty, or hold the same pretraining. With the right
    /// to it, whether all is there already. Called on one rank.
    pub fn claim(&self, start: Start) -> Result<(Claim, bool)> {
        let (out, path) = (&self.out, self.out.join(STUDY));
        fs::create_dir_all(out).map_err(|e| Error::io(out, "cannot create the folder", e))?;
        let taken = || Error::run(out, "another job is at work in this folder");
        let lock = Lock::take(&path, true, taken)?;
        if path.exists() && start == Start::Fresh {
            // Another program's file of that name does not make its folder one of ours.
            if !json::read::<Study>(&path)?.decided_by("data.studies") {
                return Err(Error::run(out, "holds a study, not a pretraining; choose another --out"));
            }
            self.clear()?;
        }
        let entries = fs::read_dir(out).map_err(|e| Error::io(out, "cannot read the folder", e))?;
        let holds = entries.flatten().any(|entry| is_result(&entry.file_name()));
        if holds && !path.exists() {
            let what = "holds another run or other files; choose another --out, or remove it";
            return Err(Error::run(out, what));
        }
        if !path.exists() {
            if start == Start::Resume {
                log::warn!("{}: there is nothing to resume: starting", out.display());
            }
            json::write(&path, &self.study)?;
            return Ok((Claim::new(lock, path, self.study.clone()), false));
        }
        let there: Study = json::read(&path)?;
        if let Some(difference) = there.difference(&self.study) {
            if holds {
                let what = format!(
                    "holds the results of another deck or store: {difference}; choose another --out, or start over with --fresh"
                );
                return Err(Error::run(out, what));
            }
            json::write(&path, &self.study)?;
            return Ok((Claim::new(lock, path, self.study.clone()), false));
        }
        if there.crossrx != self.study.crossrx {
            log::warn!(
                "{}: begun by crossrx {}, this is {}",
                out.display(),
                there.crossrx,
                self.study.crossrx
            );
        }
        sweep(out, 2)?;
        let complete = MADE[..MADE.len() - 1].iter().all(|name| out.join(name).exists());
        Ok((Claim::new(lock, path, there), complete))
    }

    /// Removes what the folder holds of an earlier pretraining, or study; other files stay.
    fn clear(&self) -> Result<()> {
        log::warn!("{}: removing the run that it holds", self.out.display());
        for name in MADE {
            let path = self.out.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, "cannot remove", e));
                }
                _ => {}
            }
        }
        atomic::remove_folder(&self.out.join(CHECKPOINTS))?;
        atomic::remove_folder(&self.logs())?;
        let path = self.out.join(STUDY);
        fs::remove_file(&path).map_err(|e| Error::io(&path, "cannot remove", e))
    }

    /// Where a file goes.
    pub fn file(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Where the training says how it goes.
    pub fn logs(&self) -> PathBuf {
        self.out.join(LOGS).join("pretraining")
    }

    /// The checkpoints of the training.
    pub fn checkpoints(&self, corpus: &PretrainCorpus) -> Result<Checkpoints> {
        let identity = Identity { task: "pretraining".into(), study: self.study.digest() };
        let folder = self.out.join(CHECKPOINTS).join("pretraining");
        Ok(Checkpoints::new(folder, identity, corpus.deck.to_toml()?, &corpus.deck.checkpoint))
    }

    /// Removes the folder of checkpoints, which a complete pretraining does not need.
    pub fn finish(&self) -> Result<()> {
        atomic::remove_folder(&self.out.join(CHECKPOINTS))
    }
}
