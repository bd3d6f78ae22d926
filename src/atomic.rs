use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file so that `path` either keeps what it held or holds all of the
/// new content: `write` fills a temporary file in the same folder, which is
/// synced and then renamed. A failure removes the temporary file.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot create the folder", e))?;
    let failed = |e| Error::io(path, "cannot write", e);
    let mut builder = tempfile::Builder::new();
    let mut file = as_umask_says(builder.prefix(".partial-")).tempfile_in(folder).map_err(failed)?;
    let mut buffered = BufWriter::with_capacity(1 << 18, file.as_file_mut());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder)
}

/// A folder that is filled under a temporary name beside its final one and
/// renamed when [`FolderDraft::publish`] is called. Dropping it unpublished
/// removes what was written. Two processes may draft the same folder; the first
/// to publish has it. A killed run leaves a folder named `.partial-*`.
pub struct FolderDraft {
    draft: tempfile::TempDir,
    path: PathBuf,
}

impl FolderDraft {
    /// Opens a draft for `path`.
    pub fn new(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = parent(path);
        let failed = |e| Error::io(folder, "cannot create the folder", e);
        fs::create_dir_all(folder).map_err(failed)?;
        let prefix = format!(".partial-{name}-");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // Not a temporary folder's usual 0700: results are for whom the umask lets in.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        Ok(Self { draft: builder.tempdir_in(folder).map_err(failed)?, path: path.into() })
    }

    /// Where to write files meanwhile.
    pub fn folder(&self) -> &Path {
        self.draft.path()
    }

    /// Gives the folder its final name. Refuses to replace a folder that is
    /// there; a failure removes the draft.
    pub fn publish(mut self) -> Result<()> {
        if self.path.exists() {
            return Err(Error::run(&self.path, "already exists: another program has written it meanwhile"));
        }
        sync_folder(self.draft.path())?;
        fs::rename(self.draft.path(), &self.path)
            .map_err(|e| Error::io(&self.path, "cannot rename the finished folder", e))?;
        // What it would remove is no more under that name.
        self.draft.disable_cleanup(true);
        sync_folder(parent(&self.path))
    }
}

/// Gives files the mode that the umask leaves of 0666, as every program does;
/// temporary files are else private to their owner.
pub fn as_umask_says<'b, 'c, 'd>(
    builder: &'b mut tempfile::Builder<'c, 'd>,
) -> &'b mut tempfile::Builder<'c, 'd> {
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Syncs a finished temporary file, before it is published.
pub fn sync(draft: &Path) -> Result<()> {
    File::open(draft).and_then(|file| file.sync_all()).map_err(|e| Error::io(draft, "cannot write", e))
}

/// Renames a synced temporary file to `path`, which must lie in the same folder,
/// in place of what is there. A failure removes the temporary file.
pub fn publish(draft: tempfile::TempPath, path: &Path) -> Result<()> {
    draft.persist(path).map_err(|e| Error::io(path, "cannot write", e.error))?;
    sync_folder(parent(path))
}

/// Like [`publish`], but keeps what is there and fails as `taken` says. No other
/// program can come between looking and renaming.
pub fn publish_new(draft: tempfile::TempPath, path: &Path, taken: impl FnOnce() -> Error) -> Result<()> {
    match draft.persist_noclobber(path) {
        Ok(()) => sync_folder(parent(path)),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Err(taken()),
        Err(e) => Err(Error::io(path, "cannot write", e.error)),
    }
}

/// Removes a folder that may not be there. It loses its name first, so that no
/// part of it is ever taken for the whole.
pub fn remove_folder(folder: &Path) -> Result<()> {
    let failed = |e| Error::io(folder, "cannot remove", e);
    if !folder.try_exists().map_err(failed)? {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut builder = tempfile::Builder::new();
    let doomed = builder.prefix(&format!(".partial-{name}-")).tempdir_in(parent(folder)).map_err(failed)?;
    fs::rename(folder, doomed.path().join("old")).map_err(failed)?;
    doomed.close().map_err(failed)
}

/// The folder that `path` lies in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, "cannot sync the folder", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_partial_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        write_file(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_file(&path, |w| {
            w.write_all(b"new")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unpublished_draft_vanishes_and_a_published_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("models/A/split_0");
        let draft = FolderDraft::new(&path).unwrap();
        fs::write(draft.folder().join("x"), "1").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        let draft = FolderDraft::new(&path).unwrap();
        fs::write(draft.folder().join("x"), "1").unwrap();
        draft.publish().unwrap();
        assert_eq!(fs::read(path.join("x")).unwrap(), b"1");
        assert!(FolderDraft::new(&path).unwrap().publish().is_err());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a refused draft was left");
    }

    #[test]
    fn a_file_that_came_first_is_replaced_only_where_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.h5");
        let draft = |text: &str| {
            let draft = tempfile::NamedTempFile::new_in(dir.path()).unwrap().into_temp_path();
            fs::write(&draft, text).unwrap();
            sync(&draft).unwrap();
            draft
        };
        let taken = || Error::run(&path, "taken");
        publish_new(draft("first"), &path, taken).unwrap();
        let second = publish_new(draft("second"), &path, taken).unwrap_err().to_string();
        assert!(second.ends_with("store.h5: taken"), "{second}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        publish(draft("third"), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a refused draft was left");
    }

    #[test]
    fn two_drafts_of_one_folder_do_not_touch_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let (first, second) = (FolderDraft::new(&path).unwrap(), FolderDraft::new(&path).unwrap());
        fs::write(first.folder().join("x"), "first").unwrap();
        fs::write(second.folder().join("x"), "second").unwrap();
        first.publish().unwrap();
        assert!(second.publish().unwrap_err().to_string().contains("already exists"));
        assert_eq!(fs::read(path.join("x")).unwrap(), b"first");
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        fs::write(dir.path().join("plain"), "").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        write_file(&dir.path().join("ours"), |w| w.write_all(b"x")).unwrap();
        FolderDraft::new(&dir.path().join("drafted")).unwrap().publish().unwrap();
        assert_eq!((mode("ours"), mode("drafted")), (mode("plain"), mode("folder")));
    }
}
