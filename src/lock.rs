use crate::{Error, Result, atomic};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one who has just ended may take to let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to write at a path: a locked file `.<name>.lock` beside it,
/// removed when dropped. (Not a lock on what is written, which would stop
/// readers.) It goes with the process, however that ends. Where a file system
/// has no locks, everybody has the right.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Holds the lock while open.
    _file: File,
}

impl Lock {
    /// Takes the right to write at `what`, or fails as `taken` says if another
    /// process has it. With `patiently`, waits a few seconds for it.
    pub fn take(what: &Path, patiently: bool, taken: impl Fn() -> Error) -> Result<Lock> {
        let name = what.file_name().unwrap_or_default().to_string_lossy();
        let path = atomic::parent(what).join(format!(".{name}.lock"));
        let started = Instant::now();
        loop {
            if let Some(file) = try_lock(&path).map_err(|e| Error::io(&path, "cannot lock", e))? {
                return Ok(Lock { path, _file: file });
            }
            if !patiently || started.elapsed() > PATIENCE {
                return Err(taken());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Opens and locks the file at `path`; `None` if another process has it.
fn try_lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => {
            log::warn!("{}: no locks here, so nothing keeps two jobs apart: {e}", path.display())
        }
    }
    // The one who held it may have removed the file that was opened here.
    let still_there = std::fs::metadata(path).ok().map(|m| number(&m)) == Some(number(&file.metadata()?));
    Ok(still_there.then_some(file))
}

/// Which file it is, whatever it is called.
fn number(metadata: &std::fs::Metadata) -> (u64, u64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        (0, 0)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind stops nobody: it is not locked any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let what = dir.path().join("run");
        let taken = || Error::run(&what, "taken");
        let lock = Lock::take(&what, false, taken).unwrap();
        assert!(Lock::take(&what, false, taken).unwrap_err().to_string().ends_with("taken"));
        drop(lock);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        Lock::take(&what, true, taken).unwrap();
    }
}
