//! What stands where a store is to be, and what becomes of it.

use super::fault::fault;
use super::provenance;
use super::version::Version;
use crate::lock::Lock;
use crate::{Error, Result, atomic};
use hdf5::File;
use std::path::Path;
use tempfile::TempPath;

/// What stood under the final path when writing began.
pub(super) enum Target {
    /// Nothing.
    Free,
    /// A store that is to be replaced, or nothing.
    Replaced,
    /// A store that is added to, in this state; nobody else may add meanwhile.
    Amended(Version, Lock),
}

impl Target {
    /// A new store at `path`, where nothing may be.
    pub fn free(path: &Path) -> Result<Target> {
        if path.symlink_metadata().is_ok() { Err(taken(path)) } else { Ok(Target::Free) }
    }

    /// A store that replaces the one at `path`, of any version and sound or not.
    /// Anything else that is there is refused.
    pub fn replaced(path: &Path) -> Result<Target> {
        hdf5::silence_errors(true);
        let is_store = || File::open(path).is_ok_and(|file| provenance::is_store(&file));
        if path.symlink_metadata().is_ok() && !is_store() {
            return Err(Error::run(path, "is there and is not a store, so it is not replaced"));
        }
        Ok(Target::Replaced)
    }

    /// The store at `path`, to be added to. Refused while another process does.
    pub fn amended(path: &Path) -> Result<Target> {
        let unreadable = |e| Error::io(path, "cannot open the store", e);
        // The store before its lock: no lock is left beside a path that does not exist.
        Version::of(path).map_err(unreadable)?;
        let taken = || fault(path, "/", "another process is adding to it; try again when it is done");
        let lock = Lock::take(path, false, taken)?;
        Ok(Target::Amended(Version::of(path).map_err(unreadable)?, lock))
    }

    /// Syncs the finished `draft` and gives it its final name. What came to stand
    /// there meanwhile is kept, and an error.
    pub fn publish(self, draft: TempPath, path: &Path) -> Result<()> {
        // First, for it may take minutes, in which others may write.
        atomic::sync(&draft)?;
        match self {
            Target::Free => atomic::publish_new(draft, path, || taken(path)),
            Target::Replaced => atomic::publish(draft, path),
            // The lock is held until the new store stands under the name.
            Target::Amended(version, _lock) => {
                if Version::of(path).ok() != Some(version) {
                    let what = "was changed by another program meanwhile; nothing was added, run this again";
                    return Err(fault(path, "/", what));
                }
                atomic::publish(draft, path)
            }
        }
    }
}

fn taken(path: &Path) -> Error {
    Error::run(path, "is there already; choose another name, or replace it with --force")
}

/// An empty temporary file beside `path`, removed when dropped.
pub(super) fn draft(path: &Path) -> Result<TempPath> {
    let folder = atomic::parent(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot create the folder", e))?;
    let mut builder = tempfile::Builder::new();
    let draft = atomic::as_umask_says(builder.prefix(".partial-").suffix(".h5")).tempfile_in(folder);
    Ok(draft.map_err(|e| Error::io(path, "cannot write", e))?.into_temp_path())
}
