use std::path::{Path, PathBuf};

/// Shorthand for results whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with input, files and ranks. Each message is
/// one line that names the file, key, row or dataset and, where there is one,
/// the way out; `main` prints it and exits non-zero on every rank.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as in "cannot create".
        what: String,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A text table is malformed.
    #[error("{}:{line}: {what}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// 1-based line, the header being line 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// A store is malformed, or lacks something asked of it.
    #[error("store {}: {place}: {what}", path.display())]
    Store {
        /// The HDF5 file.
        path: PathBuf,
        /// HDF5 path inside it, such as `/datasets/CCLE/drug`.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// A deck key is unknown, missing or has a value that cannot be used.
    #[error("deck {}: {key}: {what}", path.display())]
    Deck {
        /// The TOML file.
        path: PathBuf,
        /// Dotted key, such as `train.batch`.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A folder or file as a whole cannot be used: a result tree, a saved model, an input.
    #[error("{}: {what}", path.display())]
    Run {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A network was put together from parts that do not fit.
    #[error("network: {0}")]
    Network(String),
    /// A training cannot go on.
    #[error("training: {0}")]
    Training(String),
    /// Ranks disagree, or there are too many or too few of them.
    #[error("ranks: {0}")]
    Ranks(String),
    /// A GPU, or its driver or libraries, cannot do what is needed.
    #[error("device: {0}")]
    Device(String),
    /// Another rank, or an earlier line, has already said what is wrong.
    #[error("stopped by an error told above")]
    Told,
    /// The run was told to stop, and can go on from where it is.
    #[error("stopped before the end; the same command goes on")]
    Stopped,
    /// A request that cannot be met as given on the command line.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: impl AsRef<Path>, what: impl Into<String>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().into(), what: what.into(), source }
    }

    /// An [`Error::Table`] about line `line` of `path`.
    pub fn table(path: impl AsRef<Path>, line: u64, what: impl Into<String>) -> Self {
        Error::Table { path: path.as_ref().into(), line, what: what.into() }
    }

    /// An [`Error::Table`] of what the reader of `path` refused.
    pub fn csv(path: impl AsRef<Path>, error: csv::Error) -> Self {
        let (line, what) = (error.position().map_or(1, csv::Position::line), error.to_string());
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::io(path, "cannot read", source),
            _ => Error::table(path, line, what),
        }
    }

    /// An [`Error::Store`] about `place` inside `path`.
    pub fn store(path: impl AsRef<Path>, place: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Store { path: path.as_ref().into(), place: place.into(), what: what.into() }
    }

    /// An [`Error::Deck`] about `key` of `path`.
    pub fn deck(path: impl AsRef<Path>, key: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Deck { path: path.as_ref().into(), key: key.into(), what: what.into() }
    }

    /// An [`Error::Run`] about `path`.
    pub fn run(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Error::Run { path: path.as_ref().into(), what: what.into() }
    }
}
