use super::manifest::{Identity, Manifest};
use super::state::{Progress, State, StateView};
use super::{CheckpointSpec, OptimizerKind};
use crate::atomic::{self, FolderDraft};
use crate::comm::{Communicator, agree};
use crate::graph::Graph;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STATE: &str = "state.safetensors";
const DECK: &str = "deck.toml";

/// A best epoch is worth a checkpoint when the training since the last one took
/// this many times as long as writing one does.
const WORTH: u32 = 20;
/// How long the first one is taken to take: a sync of a folder, and a slow disk.
const SYNCS: Duration = Duration::from_millis(20);
const BYTES_PER_SECOND: f64 = 200e6;

/// The checkpoints of one training: the newest in `folder` and the one before
/// it in `<folder>.prev`, each a folder of a state, the deck, and a manifest
/// with the checksums of both. Each is written under another name, synced and
/// renamed, so that whatever ends the program leaves one of them whole. Rank 0
/// of the group reads and writes; every rank calls.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    identity: Identity,
    deck: String,
    every: Option<Duration>,
    last: Instant,
    /// How long the last one took to write.
    took: Option<Duration>,
    /// How long all of them took.
    spent: Duration,
    /// The newest was found to be damaged: it must not take the place of the one before it.
    newest_is_damaged: bool,
}

/// A folder beside `folder`.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    folder.with_file_name(name)
}

impl Checkpoints {
    /// Of the training `identity` in `folder`, whose deck is `deck` as TOML.
    pub fn new(folder: PathBuf, identity: Identity, deck: String, spec: &CheckpointSpec) -> Self {
        let every = (spec.minutes > 0.0).then(|| Duration::try_from_secs_f64(60.0 * spec.minutes).ok());
        Self {
            folder,
            identity,
            deck,
            every: every.flatten(),
            last: Instant::now(),
            took: None,
            spent: Duration::ZERO,
            newest_is_damaged: false,
        }
    }

    fn previous(&self) -> PathBuf {
        beside(&self.folder, ".prev")
    }

    /// Whether the time for one has come.
    pub fn due(&self) -> bool {
        self.every.is_some_and(|every| self.last.elapsed() >= every)
    }

    /// Wall time spent writing.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Whether what has been trained since the last one is worth writing one of `bytes`.
    fn worth(&self, bytes: usize) -> bool {
        let guess = || SYNCS + Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
        self.last.elapsed() >= WORTH * self.took.unwrap_or_else(guess)
    }

    /// Writes one at a best epoch if it is worth it; rank 0 decides.
    pub fn save_best(&mut self, comm: &dyn Communicator, state: &StateView<'_>) -> bool {
        let bytes = size_of_val(state.weights) * (2 + state.memory.len());
        let mut worth = vec![u8::from(comm.rank() == 0 && self.worth(bytes))];
        comm.broadcast(0, &mut worth);
        worth == [1] && self.save(comm, state)
    }

    /// Writes one. Whether it is there now: what keeps it from being written is
    /// a warning, and leaves the earlier ones as they are.
    pub fn save(&mut self, comm: &dyn Communicator, state: &StateView<'_>) -> bool {
        let started = Instant::now();
        let mut there = vec![1];
        if comm.rank() == 0
            && let Err(error) = self.write(state)
        {
            log::warn!("no checkpoint of {}: {error}", self.identity.task);
            there = vec![0];
        }
        comm.broadcast(0, &mut there);
        let took = started.elapsed();
        self.took = Some(took);
        self.spent += took;
        self.last = Instant::now();
        there == [1]
    }

    fn write(&mut self, state: &StateView<'_>) -> Result<()> {
        let draft = FolderDraft::new(&self.folder)?;
        let file = |name: &str| draft.folder().join(name);
        state.write(&file(STATE))?;
        std::fs::write(file(DECK), &self.deck).map_err(|e| Error::io(file(DECK), "cannot write", e))?;
        // The library keeps what it writes from other users; a checkpoint is for whom the umask lets in.
        std::fs::metadata(file(DECK))
            .and_then(|deck| std::fs::set_permissions(file(STATE), deck.permissions()))
            .map_err(|e| Error::io(file(STATE), "cannot set the mode", e))?;
        [STATE, DECK].iter().try_for_each(|name| atomic::sync(&file(name)))?;
        let Progress { epoch, at, .. } = state.progress;
        Manifest::of(draft.folder(), &[STATE, DECK], self.identity.clone(), [epoch, at])?
            .write(draft.folder())?;
        if self.newest_is_damaged {
            atomic::remove_folder(&self.folder)?;
            self.newest_is_damaged = false;
        }
        let previous = self.previous();
        if self.folder.exists() {
            atomic::remove_folder(&previous)?;
            std::fs::rename(&self.folder, &previous)
                .map_err(|e| Error::io(&self.folder, "cannot rename the checkpoint", e))?;
        }
        draft.publish()
    }

    /// The state to go on from, if there is one: the newest, or, with a
    /// warning, the one before where the newest is damaged. Two damaged ones, or
    /// one alone, are an error and stay as they are.
    pub fn load(
        &mut self,
        comm: &dyn Communicator,
        graph: &Graph,
        optimizer: OptimizerKind,
    ) -> Result<Option<State>> {
        let found = if comm.rank() == 0 { self.find(graph, optimizer) } else { Ok(Vec::new()) };
        let mut bytes = agree(comm, found)?;
        comm.broadcast(0, &mut bytes);
        if bytes.is_empty() {
            return Ok(None);
        }
        State::parse(&self.folder.join(STATE), &bytes, graph, optimizer).map(Some)
    }

    /// The bytes of the newest whole state; none where there is no checkpoint.
    fn find(&mut self, graph: &Graph, optimizer: OptimizerKind) -> Result<Vec<u8>> {
        let previous = self.previous();
        let read = |folder: &Path| self.read(folder, graph, optimizer);
        // What cannot be looked at is not taken for absent: the training would start anew.
        let there = |folder: &Path| folder.try_exists().map_err(|e| Error::io(folder, "cannot look at", e));
        let (newest, before) = (there(&self.folder)?, there(&previous)?);
        if !newest && !before {
            return Ok(Vec::new());
        }
        if !newest {
            // The program was ended when the one had been renamed and the other had not.
            return read(&previous).map_err(|e| self.lost(&e));
        }
        let error = match read(&self.folder) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let Some(bytes) = before.then(|| read(&previous).ok()).flatten() else {
            return Err(self.lost(&error));
        };
        log::warn!(
            "{}: the newest checkpoint is damaged ({error}); going on from the one before it",
            self.identity.task
        );
        self.newest_is_damaged = true;
        Ok(bytes)
    }

    fn lost(&self, error: &Error) -> Error {
        let what = format!(
            "no checkpoint of {} can be read ({error}); nothing was changed: bring one back, or remove {} and {} to train it anew",
            self.identity.task,
            self.folder.display(),
            self.previous().display()
        );
        Error::run(&self.folder, what)
    }

    /// The bytes of the state in `folder`, once everything in it is found to be whole.
    fn read(&self, folder: &Path, graph: &Graph, optimizer: OptimizerKind) -> Result<Vec<u8>> {
        let manifest = Manifest::read(folder)?;
        if manifest.identity != self.identity {
            let what = format!(
                "is of {} of the study {}, not of {} of the study {}",
                manifest.identity.task, manifest.identity.study, self.identity.task, self.identity.study
            );
            return Err(Error::run(folder, what));
        }
        manifest.checked(folder, DECK)?;
        let state = manifest.checked(folder, STATE)?;
        State::parse(&folder.join(STATE), &state, graph, optimizer)?;
        Ok(state)
    }

    /// Removes all of them: the training's results are there.
    pub fn remove(&self) -> Result<()> {
        atomic::remove_folder(&self.folder)?;
        atomic::remove_folder(&self.previous())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;
    use crate::graph::Parameters;
    use crate::op::{Activation, Linear};

    fn graph() -> Graph {
        let mut graph = Graph::new();
        let space = graph.space("pairs");
        let x = graph.input(space, 3);
        graph.add("l", Linear::new(3, 4, Activation::Identity), &[x]).unwrap();
        graph
    }

    fn checkpoints(folder: &Path) -> Checkpoints {
        let identity = Identity { task: "Red split 0".into(), study: "0123".into() };
        let deck = "[train]\nbatch = 4\n".to_string();
        Checkpoints::new(folder.join("Red/split_0"), identity, deck, &CheckpointSpec::default())
    }

    fn save(to: &mut Checkpoints, at: usize) -> bool {
        let values = Parameters::<f32>::start(&graph(), at as u64).unwrap();
        to.save(
            &Serial,
            &StateView {
                progress: Progress { lanes: 1, at, ..Progress::default() },
                history: &[],
                lane_losses: &[0.5],
                layout: values.layout(),
                weights: values.values(),
                best: values.values(),
                memory: vec![values.values()],
                optimizer: OptimizerKind::Sgd,
            },
        )
    }

    /// The step of the state that is loaded.
    fn load(from: &mut Checkpoints) -> Result<Option<usize>> {
        Ok(from.load(&Serial, &graph(), OptimizerKind::Sgd)?.map(|state| state.progress.at))
    }

    #[cfg(unix)]
    #[test]
    fn its_files_have_the_mode_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert!(save(&mut kept, 1));
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        let plain = mode(&dir.path().join("plain"));
        assert!(files(&kept.folder).iter().all(|file| mode(file) == plain));
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn the_newest_is_loaded_and_one_before_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert_eq!(load(&mut kept).unwrap(), None);
        for at in 1..4 {
            assert!(save(&mut kept, at));
            assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(at));
        }
        assert_eq!(files(&dir.path().join("Red")).len(), 2, "more than two are kept");
        std::fs::remove_dir_all(&kept.folder).unwrap();
        assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(2));
        kept.remove().unwrap();
        assert_eq!(load(&mut kept).unwrap(), None);
        assert!(files(&dir.path().join("Red")).is_empty());
    }

    /// Every byte of every file in turn: the damaged one is never loaded, but the
    /// one before it; where both are damaged, nothing is loaded and nothing touched.
    #[test]
    fn a_flipped_byte_anywhere_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert!(save(&mut kept, 1) && save(&mut kept, 2));
        let mut flipped = 0;
        for path in files(&kept.folder) {
            let sound = std::fs::read(&path).unwrap();
            for at in 0..sound.len() {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << (at % 8);
                std::fs::write(&path, &bytes).unwrap();
                assert_eq!(
                    load(&mut checkpoints(dir.path())).unwrap(),
                    Some(1),
                    "{} at {at}",
                    path.display()
                );
                flipped += 1;
            }
            std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
            assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(1));
            std::fs::remove_file(&path).unwrap();
            assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(1));
            std::fs::write(&path, &sound).unwrap();
        }
        assert!(flipped > 1000, "only {flipped} bytes");
        assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(2));
    }

    #[test]
    fn two_damaged_ones_are_an_error_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert!(save(&mut kept, 1));
        let damage = |folder: &Path| std::fs::write(folder.join(STATE), "torn").unwrap();
        damage(&kept.folder);
        assert!(load(&mut checkpoints(dir.path())).is_err(), "one alone");
        assert!(save(&mut kept, 2));
        damage(&kept.folder);
        let found = checkpoints(dir.path()).find(&graph(), OptimizerKind::Sgd).unwrap_err().to_string();
        assert!(found.contains("Red split 0") && found.contains("checksum"), "{found}");
        for folder in [&kept.folder, &kept.previous()] {
            assert_eq!(std::fs::read(folder.join(STATE)).unwrap(), b"torn");
        }
    }

    #[test]
    fn a_damaged_one_never_takes_the_place_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert!(save(&mut kept, 1) && save(&mut kept, 2));
        std::fs::write(kept.folder.join("manifest.json"), "{}").unwrap();
        let mut next = checkpoints(dir.path());
        assert_eq!(load(&mut next).unwrap(), Some(1));
        assert!(save(&mut next, 3));
        std::fs::remove_dir_all(&next.folder).unwrap();
        assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(1));
    }

    #[test]
    fn one_of_another_study_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(save(&mut checkpoints(dir.path()), 1));
        let mut other = checkpoints(dir.path());
        other.identity.study = "4567".into();
        let error = other.find(&graph(), OptimizerKind::Sgd).unwrap_err().to_string();
        assert!(error.contains("0123") && error.contains("4567"), "{error}");
    }

    #[test]
    fn where_none_can_be_written_the_earlier_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(dir.path());
        assert!(save(&mut kept, 1));
        // Not even root writes into a folder that is a file.
        kept.folder = dir.path().join("Red/split_0/state.safetensors/split_0");
        assert!(!save(&mut kept, 2));
        assert_eq!(load(&mut checkpoints(dir.path())).unwrap(), Some(1));
    }
}
