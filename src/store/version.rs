use std::path::Path;
use std::time::SystemTime;

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
