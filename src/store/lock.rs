//! One writer at a time adds to a store.

use crate::{Error, Result, atomic};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The right to amend a store: a locked file `.<name>.lock` beside it, removed
/// when dropped. (Not a lock on the store itself, which would stop readers.)
/// Where the file system has no locks, [`Version`] still tells.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Holds the lock while open.
    _file: File,
}

impl Lock {
    /// Takes the lock of the store at `store`, or says that another process has it.
    pub fn take(store: &Path) -> Result<Lock> {
        let name = store.file_name().unwrap_or_default().to_string_lossy();
        let path = atomic::parent(store).join(format!(".{name}.lock"));
        let failed = |e| Error::io(&path, "cannot lock the store", e);
        let taken = || Error::store(store, "/", "another process is adding to it; try again when it is done");
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(e)) => log::debug!("{}: cannot lock: {e}", path.display()),
        }
        // The one who held it may have removed the file that was opened here.
        let own = Version::of_open(&file).map_err(failed)?;
        if Version::of(&path).ok() != Some(own) {
            return Err(taken());
        }
        Ok(Lock { path, _file: file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind stops nobody: it is not locked any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Which file stands under a path, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    file: (u64, u64),
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Version {
    /// Of the file at `path`.
    pub fn of(path: &Path) -> std::io::Result<Version> {
        std::fs::metadata(path).map(|m| Version::from(&m))
    }

    fn of_open(file: &File) -> std::io::Result<Version> {
        file.metadata().map(|m| Version::from(&m))
    }
}

impl From<&std::fs::Metadata> for Version {
    fn from(metadata: &std::fs::Metadata) -> Version {
        #[cfg(unix)]
        let file = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let file = (0, 0);
        Version { file, bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}
