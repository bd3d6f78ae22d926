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
    let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(failed)?;
    let mut buffered = BufWriter::with_capacity(1 << 18, file.as_file_mut());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    file.as_file().sync_all().map_err(failed)?;
    // Temporary files are private to their owner; results are for the group too.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder)
}

/// A folder that is filled under a temporary name beside its final one and
/// renamed when [`FolderDraft::publish`] is called. Dropping it unpublished
/// removes what was written.
pub struct FolderDraft {
    draft: Option<PathBuf>,
    path: PathBuf,
}

impl FolderDraft {
    /// Opens a draft for `path`, clearing any that a killed run left behind.
    pub fn new(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let draft = parent(path).join(format!(".partial-{name}"));
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(|e| Error::io(&draft, "cannot remove a stale draft", e))?;
        }
        fs::create_dir_all(&draft).map_err(|e| Error::io(&draft, "cannot create the folder", e))?;
        Ok(Self { draft: Some(draft), path: path.into() })
    }

    /// Where to write files meanwhile.
    pub fn folder(&self) -> &Path {
        self.draft.as_deref().unwrap_or(&self.path)
    }

    /// Gives the folder its final name. Refuses to replace a folder that is there.
    pub fn publish(mut self) -> Result<()> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        if self.path.exists() {
            return Err(Error::run(&self.path, "already exists; choose another --out"));
        }
        sync_folder(&draft)?;
        fs::rename(&draft, &self.path)
            .map_err(|e| Error::io(&self.path, "cannot rename the finished folder", e))?;
        sync_folder(parent(&self.path))
    }
}

impl Drop for FolderDraft {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            // Nothing is left to tell of a failure here; the name says it is partial.
            let _ = fs::remove_dir_all(draft);
        }
    }
}

/// Syncs a finished temporary file and renames it to `path`, which must lie in
/// the same folder. A failure removes the temporary file.
pub fn publish(draft: tempfile::TempPath, path: &Path) -> Result<()> {
    let failed = |e| Error::io(path, "cannot write", e);
    let file = File::open(&draft).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    // Temporary files are private to their owner; results are for the group too.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    draft.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(parent(path))
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
    }
}
