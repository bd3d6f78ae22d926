use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The program under test.
pub const CROSSRX: &str = env!("CARGO_BIN_EXE_crossrx");
/// Where kernels that tests build are kept.
pub const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");

/// A run that takes longer hangs, for none has more than a few seconds of work.
const LIMIT: Duration = Duration::from_secs(120);

/// What came of a run.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Its standard output; panics if the run failed.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts that the run failed with a single line of error that has all of `words`.
    pub fn refused(&self, words: &[&str]) {
        let said = format!("{}\n{}{}", self.status, self.stdout, self.stderr);
        assert!(!self.status.success(), "not refused: {said}");
        let errors: Vec<&str> = self.stderr.lines().filter(|l| l.contains("error: ")).collect();
        assert_eq!(errors.len(), 1, "not one line of error: {said}");
        assert!(words.iter().all(|w| errors[0].contains(w)), "{words:?} not all in: {said}");
        assert!(!self.stderr.contains("panicked"), "{said}");
    }
}

/// A run that has started.
pub struct Running {
    pub child: Child,
    stdout: File,
    stderr: File,
}

/// Starts a program whose output goes to unnamed files, which nobody has to drain.
pub fn start(mut command: Command) -> Running {
    let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    command.stdin(std::process::Stdio::null());
    Running { child: command.spawn().unwrap(), stdout, stderr }
}

impl Running {
    /// What it has said on standard error until now.
    pub fn stderr_so_far(&self) -> String {
        // Reading at an offset leaves the place where the program writes.
        let mut bytes = vec![0; self.stderr.metadata().unwrap().len() as usize];
        let read = std::os::unix::fs::FileExt::read_at(&self.stderr, &mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    /// Waits for the end, and kills what does not come to it.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > limit {
                // mpirun passes this on to its ranks.
                signal("TERM", &[self.child.id()]);
                std::thread::sleep(Duration::from_secs(3));
                let _ = self.child.kill();
                let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
                panic!("did not end within {limit:?}\n{stdout}{stderr}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Outcome { status, stdout: text(&mut self.stdout), stderr: text(&mut self.stderr) }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a signal by name, to all of them at once.
pub fn signal(name: &str, pids: &[u32]) {
    let _ = Command::new("kill").arg(format!("-{name}")).args(pids.iter().map(u32::to_string)).status();
}

/// Runs the program as one process.
pub fn crossrx(args: &[&str]) -> Outcome {
    let mut command = Command::new(CROSSRX);
    command.args(args).env("CROSSRX_CACHE", CACHE);
    start(command).finish(LIMIT)
}

/// Runs the program on this many ranks.
pub fn on_ranks(ranks: usize, args: &[&str]) -> Outcome {
    start(command_on_ranks(ranks, args)).finish(LIMIT)
}

/// The command that runs the program on this many ranks.
pub fn command_on_ranks(ranks: usize, args: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mpirun.sh");
    let mut command = Command::new(script);
    command.args(["-n", &ranks.to_string(), CROSSRX]).args(args).env("CROSSRX_CACHE", CACHE);
    command
}

/// Whether the program under test can run on more than one rank.
pub fn has_ranks() -> bool {
    if cfg!(feature = "mpi") {
        return true;
    }
    let _ = writeln!(std::io::stderr(), "skipped: many ranks, for this build has no MPI");
    false
}

/// A folder that is new, and named so that what is left after a failure can be found.
pub fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("study").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Processes of the program under test that write to `out`, in the order of their numbers.
pub fn ranks_of(out: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let Some(pid) = path.file_name().and_then(|n| n.to_str()?.parse().ok()) else { continue };
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0);
        let program = words.next() == Some(CROSSRX.as_bytes());
        if program && words.any(|word| word == arg(out).as_bytes()) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found
}

/// Waits until something holds, for half a minute at most.
pub fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited 30 s for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The rank of a process that Open MPI or MPICH has started.
pub fn rank_of(process: u32) -> Option<u32> {
    let environment = std::fs::read(format!("/proc/{process}/environ")).ok()?;
    environment.split(|&byte| byte == 0).find_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].contains(&name).then(|| value.parse().ok())?
    })
}
