use super::Architecture;
use super::nvrtc::{Compiled, Nvrtc, OPTIONS, define};
use crate::checksum::checksum;
use crate::device::cuda::cache::cache_folder;
use crate::device::cuda::kernel::HEADER;
use crate::device::cuda::{Source, Storage};
use crate::{Result, atomic};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Machine code of the kernels for one architecture: compiled at first, then kept in the user's cache. What is
/// there needs no compiler.
pub struct Cubins {
    architecture: Architecture,
    nvrtc: Result<Nvrtc>,
    cache: Cache,
}

impl Cubins {
    /// For devices of `architecture` under a driver for CUDA `driver_major`.
    pub fn new(architecture: Architecture, driver_major: u32) -> Self {
        Self {
            architecture,
            nvrtc: Nvrtc::open(driver_major, Some(architecture)),
            cache: Cache { folder: cache_folder() },
        }
    }

    /// The machine code of every one of `sources` for tensors of `storage`.
    pub fn of(&self, sources: &[Source], storage: Storage) -> Result<Vec<Vec<u8>>> {
        // The first start on a machine compiles some dozens of sources, each on its own.
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let share = sources.len().div_ceil(workers).max(1);
        std::thread::scope(|scope| {
            let started: Vec<_> = sources
                .chunks(share)
                .map(|some| {
                    scope.spawn(|| some.iter().map(|source| self.one(source, storage)).collect::<Vec<_>>())
                })
                .collect();
            let ended = started.into_iter().map(|worker| match worker.join() {
                Ok(cubins) => cubins,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.flatten().collect()
        })
    }

    fn one(&self, source: &Source, storage: Storage) -> Result<Vec<u8>> {
        let stem = stem(source, storage, self.architecture);
        match &self.nvrtc {
            Ok(nvrtc) => self.cache.get_or(&stem, nvrtc.version(), || {
                let Compiled { cubin, log } = nvrtc.compile(source, storage, self.architecture, false)?;
                if !log.is_empty() {
                    log::debug!("{}.cu: {log}", source.name);
                }
                Ok(cubin)
            }),
            Err(why) => {
                self.cache.newest(&stem).ok_or_else(|| crate::Error::Device(bare(&why.to_string()).into()))
            }
        }
    }
}

/// An error's text without the words that its kind begins with.
fn bare(text: &str) -> &str {
    text.strip_prefix("device: ").unwrap_or(text)
}

/// What names the machine code of a source, but for the compiler's version.
fn stem(source: &Source, storage: Storage, architecture: Architecture) -> String {
    let all = [source.text, HEADER, &OPTIONS.join(" "), define(storage).unwrap_or("")].join("\0");
    let numbers = if storage == Storage::Bf16 { "bf16" } else { "f32" };
    format!("{}-{numbers}-{architecture}-{}", source.name, checksum(all.as_bytes()))
}

/// A folder of cubins. Each file ends with the checksum of what is before, which readers of ELF do not mind;
/// a file that does not is compiled anew.
struct Cache {
    folder: Option<PathBuf>,
}

/// Length of [`checksum`].
const CHECKSUM: usize = 32;

impl Cache {
    fn file(&self, stem: &str, [major, minor]: [u32; 2]) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{stem}-nvrtc{major}.{minor}.cubin")))
    }

    /// What is kept, or else what `make` makes, which is then kept. That it cannot be is told once, and no error.
    fn get_or(
        &self,
        stem: &str,
        version: [u32; 2],
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let file = self.file(stem, version);
        if let Some(kept) = file.as_deref().and_then(read) {
            return Ok(kept);
        }
        log::info!("compiling kernels: {stem}");
        let made = make()?;
        if let Some(file) = file {
            let sum = checksum(&made);
            let written = atomic::write_file(&file, |to| {
                to.write_all(&made)?;
                to.write_all(sum.as_bytes())
            });
            if let Err(why) = written {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    log::warn!(
                        "compiled kernels are not kept, and every start compiles them: {why} (CROSSRX_CACHE \
                         names another folder)"
                    );
                });
            }
        }
        Ok(made)
    }

    /// What the newest compiler made that has been here.
    fn newest(&self, stem: &str) -> Option<Vec<u8>> {
        let start = format!("{stem}-nvrtc");
        let version = |name: &str| -> Option<[u32; 2]> {
            let (major, minor) = name.strip_prefix(&start)?.strip_suffix(".cubin")?.split_once('.')?;
            Some([major.parse().ok()?, minor.parse().ok()?])
        };
        let entries = std::fs::read_dir(self.folder.as_ref()?).ok()?.flatten();
        let mut versions: Vec<[u32; 2]> =
            entries.filter_map(|entry| version(&entry.file_name().to_string_lossy())).collect();
        versions.sort_unstable();
        versions.into_iter().rev().find_map(|version| read(&self.file(stem, version)?))
    }
}

/// The cubin in a file, if it is there and whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(file).ok()?;
    let end = bytes.len().checked_sub(CHECKSUM)?;
    let sum = bytes.split_off(end);
    if end == 0 || checksum(&bytes).as_bytes() != sum {
        log::warn!("{}: damaged, and made anew", file.display());
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::device::cuda::SOURCES;
    use std::collections::BTreeSet;

    fn never() -> Result<Vec<u8>> {
        Err(Error::Device("compiled".into()))
    }

    #[test]
    fn what_was_compiled_once_is_kept_and_never_believed_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache { folder: Some(dir.path().join("kernels")) };
        assert!(cache.get_or("add", [12, 9], never).is_err(), "nothing is there yet");
        let made = || Ok(b"machine code".to_vec());
        assert_eq!(cache.get_or("add", [12, 9], made).unwrap(), b"machine code");
        assert_eq!(cache.get_or("add", [12, 9], never).unwrap(), b"machine code");
        assert!(cache.get_or("add", [13, 0], never).is_err(), "another compiler's");
        assert!(cache.get_or("add2", [12, 9], never).is_err(), "another source's");
        let file = cache.file("add", [12, 9]).unwrap();
        let whole = std::fs::read(&file).unwrap();
        for damage in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            assert!(cache.get_or("add", [12, 9], never).is_err(), "byte {damage} was not looked at");
            std::fs::write(&file, &whole[..damage]).unwrap();
            assert!(cache.get_or("add", [12, 9], never).is_err(), "{damage} bytes were enough");
        }
        assert_eq!(cache.get_or("add", [12, 9], made).unwrap(), b"machine code");
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }

    #[test]
    fn without_a_compiler_the_newest_whole_file_serves() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache { folder: Some(dir.path().into()) };
        assert_eq!(cache.newest("add"), None);
        for version in [[12, 9], [12, 10], [13, 0]] {
            cache.get_or("add", version, || Ok(format!("{version:?}").into_bytes())).unwrap();
        }
        std::fs::write(cache.file("add", [13, 0]).unwrap(), "torn").unwrap();
        std::fs::write(dir.path().join("add-nvrtcX.cubin"), "other").unwrap();
        assert_eq!(cache.newest("add").unwrap(), b"[12, 10]");
        assert_eq!(cache.newest("ad"), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("file");
        std::fs::write(&taken, "").unwrap();
        for folder in [None, Some(taken.join("kernels"))] {
            let cache = Cache { folder };
            assert_eq!(cache.get_or("add", [12, 9], || Ok(vec![1])).unwrap(), [1]);
            assert_eq!(cache.newest("add"), None);
        }
    }

    #[test]
    fn names_tell_sources_numbers_and_architectures_apart() {
        let mut stems = BTreeSet::new();
        for source in SOURCES {
            for storage in [Storage::F32, Storage::Bf16] {
                for architecture in [Architecture([8, 0]), Architecture([9, 0])] {
                    stems.insert(stem(source, storage, architecture));
                }
            }
        }
        assert_eq!(stems.len(), SOURCES.len() * 4);
        let changed = Source { name: "add", text: "// another" };
        assert!(!stems.contains(&stem(&changed, Storage::F32, Architecture([9, 0]))));
    }
}
