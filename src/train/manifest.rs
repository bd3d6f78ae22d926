use crate::checksum::{checksum, checksum_of_file};
use crate::{Error, Result, atomic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Layout of a checkpoint folder.
const FORMAT: u32 = 1;
const NAME: &str = "manifest.json";

/// What a training must have in common with one that goes on from its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Which training of the study.
    pub task: String,
    /// Digest of the deck, as far as it decides results, and of the store.
    pub study: String,
}

/// The file that says what a checkpoint is, and that it is whole.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Version of the program that wrote it.
    crossrx: String,
    /// Of what it is a checkpoint.
    #[serde(flatten)]
    pub identity: Identity,
    /// Epochs finished.
    epoch: usize,
    /// Steps taken of the epoch under way.
    step: usize,
    files: BTreeMap<String, FileSum>,
    /// Of this file, with nothing here.
    xxh3_128: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FileSum {
    bytes: u64,
    xxh3_128: String,
}

impl Manifest {
    /// Of the files `names` in `folder`, the state of a training after so many
    /// epochs and steps of the next.
    pub fn of(folder: &Path, names: &[&str], identity: Identity, [epoch, step]: [usize; 2]) -> Result<Self> {
        let sum = |name: &&str| {
            let (bytes, xxh3_128) = checksum_of_file(&folder.join(name))?;
            Ok((name.to_string(), FileSum { bytes, xxh3_128 }))
        };
        let files = names.iter().map(sum).collect::<Result<_>>()?;
        let crossrx = env!("CARGO_PKG_VERSION").into();
        Ok(Self { format: FORMAT, crossrx, identity, epoch, step, files, xxh3_128: String::new() })
    }

    /// Writes it to `folder`.
    pub fn write(self, folder: &Path) -> Result<()> {
        let text = self.sealed()?.text()?;
        atomic::write_file(&folder.join(NAME), |w| w.write_all(text.as_bytes()))
    }

    /// Reads that of `folder`, in which no byte may have changed.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "cannot read", e))?;
        let broken = |what: String| Error::run(&path, what);
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|e| broken(format!("not a manifest: {e}")))?;
        if manifest.format != FORMAT {
            return Err(broken(format!(
                "format {} is not {FORMAT}, which this version reads",
                manifest.format
            )));
        }
        let sealed = manifest.sealed()?;
        match sealed.text()? == text {
            true => Ok(sealed),
            false => Err(broken("does not have the checksum that it says".into())),
        }
    }

    /// The bytes of file `name` of `folder`, in which none may have changed.
    pub fn checked(&self, folder: &Path, name: &str) -> Result<Vec<u8>> {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, "cannot read", e))?;
        let sum = FileSum { bytes: bytes.len() as u64, xxh3_128: checksum(&bytes) };
        match self.files.get(name) == Some(&sum) {
            true => Ok(bytes),
            false => Err(Error::run(path, "does not have the checksum that its manifest says")),
        }
    }

    fn text(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::Training(format!("cannot write a manifest as JSON: {e}")))
    }

    /// With its own checksum in it.
    fn sealed(mut self) -> Result<Self> {
        self.xxh3_128.clear();
        self.xxh3_128 = checksum(self.text()?.as_bytes());
        Ok(self)
    }
}
