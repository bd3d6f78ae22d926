use super::command_line;
use crate::comm::{Communicator, agree};
use crate::{Error, Result, atomic, status};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Target of lines that are for the log file alone.
pub(super) const FILE_ONLY: &str = "crossrx::file";

/// Where the log of a command on many ranks goes, beside standard error.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogArgs {
    /// Writes a log file a rank as well, its number before the extension: run.log is run.0003.log for rank 3. A file that is there is continued.
    #[arg(long, value_name = "FILE", global = true)]
    pub log_file: Option<PathBuf>,
}

/// Starts the log on standard error: seconds since the start, and the level
/// where it is not plain information. `RUST_LOG` chooses otherwise. Rank 0
/// speaks; what others have to say from warnings up stands behind `[rank@host]`.
pub fn start_log() {
    let started = Instant::now();
    let console = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(move |out, record| {
            let seconds = started.elapsed().as_secs_f64();
            writeln!(out, "{}[{seconds:8.2}] {}", speaker(record), Said(record))
        })
        .build();
    log::set_max_level(console.filter().max(LevelFilter::Info));
    // A second logger is refused, and there is none.
    let _ = log::set_boxed_logger(Box::new(Tee { console }));
}

/// Opens the log file of this rank beside standard error, in a folder that is
/// created; a job that was requeued goes on in the one it had. Every rank of
/// `world` calls this. Fails on all of them where one cannot open its file.
pub fn open_log_file(path: &Path, world: &dyn Communicator) -> Result<()> {
    let file = of_rank(path, world.rank(), world.size()).and_then(LogFile::open);
    let _ = FILE.set(agree(world, file)?);
    let (rank, ranks) = (world.rank(), world.size());
    let (version, process) = (env!("CARGO_PKG_VERSION"), std::process::id());
    log::info!(
        target: FILE_ONLY,
        "crossrx {version} begins: rank {rank} of {ranks} on {}, process {process}{}: {}",
        status::own_host(),
        job(|name| std::env::var(name).ok()),
        command_line()
    );
    Ok(())
}

/// The number that the batch system has for this job, if there is one.
fn job(variable: impl Fn(&str) -> Option<String>) -> String {
    let slurm = variable("SLURM_JOB_ID").map(|id| match variable("SLURM_RESTART_COUNT") {
        Some(count) => format!(", Slurm job {id}, restart {count}"),
        None => format!(", Slurm job {id}"),
    });
    slurm.or_else(|| Some(format!(", PBS job {}", variable("PBS_JOBID")?))).unwrap_or_default()
}

/// `path` with the rank before its extension.
fn of_rank(path: &Path, rank: usize, ranks: usize) -> Result<PathBuf> {
    // The name of a folder would become that of a file beside it.
    let folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let Some(stem) = path.file_stem().filter(|_| !folder) else {
        return Err(Error::Request(format!("--log-file {}: names no file", path.display())));
    };
    // As wide for few ranks, so that a job that goes on with others finds its files.
    let width = ranks.saturating_sub(1).max(1).ilog10() as usize + 1;
    let mut name = stem.to_os_string();
    name.push(format!(".{rank:0width$}", width = width.max(4)));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    Ok(path.with_file_name(name))
}

/// Who speaks, where that is not rank 0 and the line does not say so itself.
fn speaker(record: &Record<'_>) -> String {
    match status::rank() {
        0 => String::new(),
        _ if record.target() == status::PLACED => String::new(),
        rank => format!("[{rank}@{}] ", status::own_host()),
    }
}

/// A message, behind its level where it is not plain information.
struct Said<'a>(&'a Record<'a>);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.level() {
            Level::Info => write!(f, "{}", self.0.args()),
            level => write!(f, "{}: {}", level.as_str().to_lowercase(), self.0.args()),
        }
    }
}

static FILE: OnceLock<LogFile> = OnceLock::new();

/// Standard error, and the file of this rank once it is open.
struct Tee {
    console: env_logger::Logger,
}

impl Log for Tee {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.console.enabled(metadata) || (FILE.get().is_some() && metadata.level() <= Level::Info)
    }

    fn log(&self, record: &Record<'_>) {
        // RUST_LOG may ask for more in files, and for less on standard error alone.
        if let Some(file) = FILE.get()
            && (record.level() <= Level::Info || self.console.matches(record))
        {
            file.write(&format!("{} {}\n", jiff::Timestamp::now().strftime("%FT%T%.3fZ"), Said(record)));
        }
        let heard = status::rank() == 0 || record.level() <= Level::Warn;
        if heard && record.target() != FILE_ONLY {
            self.console.log(record);
        }
    }

    fn flush(&self) {
        self.console.flush();
    }
}

/// A log that is written line by line, so that none is lost with the process.
/// A disk that is full costs lines, never the run.
struct LogFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// The last line may have been cut off.
    torn: bool,
    told: bool,
}

impl LogFile {
    fn open(path: PathBuf) -> Result<Self> {
        let folder = atomic::parent(&path);
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot create the folder", e))?;
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.map_err(|e| Error::io(&path, "cannot open the log file", e))?;
        Ok(Self { path, state: Mutex::new(State { file, torn: false, told: false }) })
    }

    fn write(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = if state.torn { "\n" } else { "" };
        let written = state.file.write_all([start, line].concat().as_bytes());
        state.torn = written.is_err();
        if let Err(error) = written
            && !std::mem::replace(&mut state.told, true)
        {
            // Not by the log, which is what has failed.
            let _ = writeln!(
                std::io::stderr(),
                "warn: {}: lines of the log are lost: {error}; the run goes on",
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_stands_before_the_extension() {
        let of = |path: &str, rank, ranks| of_rank(Path::new(path), rank, ranks).unwrap();
        assert_eq!(of("logs/run.log", 3, 64), Path::new("logs/run.0003.log"));
        assert_eq!(of("run.log", 0, 1), Path::new("run.0000.log"));
        assert_eq!(of("run", 12, 20_000), Path::new("run.00012"));
        assert_eq!(of("a.b/x.y.txt", 9999, 10_000), Path::new("a.b/x.y.9999.txt"));
        for nothing in ["/", "..", "", "logs/", "/tmp"] {
            assert!(of_rank(Path::new(nothing), 0, 1).unwrap_err().to_string().contains("--log-file"));
        }
    }

    #[test]
    fn the_job_is_named_as_its_batch_system_does() {
        let of = |variables: &'static [(&str, &str)]| {
            job(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("SLURM_JOB_ID", "17"), ("SLURM_RESTART_COUNT", "2")]), ", Slurm job 17, restart 2");
        assert_eq!(of(&[("PBS_JOBID", "9.pbs")]), ", PBS job 9.pbs");
    }

    #[test]
    fn a_file_that_is_there_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/run.0000.log");
        for line in ["one\n", "two\n"] {
            LogFile::open(path.clone()).unwrap().write(line);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let refused = LogFile::open(path.join("below")).err().unwrap().to_string();
        assert!(refused.contains("run.0000.log"), "{refused}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_is_full_costs_lines_only() {
        let full = LogFile::open("/dev/full".into()).unwrap();
        full.write("lost\n");
        full.write("lost too\n");
        let state = full.state.lock().unwrap();
        assert!(state.torn && state.told);
    }
}
