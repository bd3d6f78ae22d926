use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CROSSRX: &str = env!("CARGO_BIN_EXE_crossrx");

/// The results of a study, by the script's own arguments.
pub const OUT: &str = "my runs/it's one";

/// A made-up site: a folder of submission with spaces in its name, a store and a deck, and commands that write down
/// how they were called. Its `mpirun` and `srun` start ranks by the machine's own launcher.
pub struct Site {
    pub folder: PathBuf,
}

/// A job that runs.
pub struct Job {
    child: Child,
    log: PathBuf,
}

/// Two trainings of several seconds, as one rank takes one: long enough to be stopped in on a fast machine.
const DECK: &str = r#"
[store]
path = "my store.h5"
[data]
endpoint = "auc"
sources = ["Alpha", "Beta"]
splits = [0]
drug_features = ["mordred"]
sample_features = ["expression"]
[model]
kind = "two-tower"
drug_tower = [16]
sample_tower = [16]
head = [16]
[train]
batch = 256
epochs = 500
patience = 1000
"#;

/// Words before the program are the launcher's options, which say how many ranks.
const SRUN: &str = r#"for word in "$@"; do
    case $word in
        --ntasks=*) ranks=${word#*=} ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
set -- -n "$ranks" "$@"
exec "$mpirun" "$@""#;

/// A launcher whose ranks do nothing but end when they are told to.
const IDLE: &str = "trap 'exit 75' USR1; echo 'epoch 5/'; while :; do sleep 0.05; done";

impl Site {
    pub fn new(name: &str) -> Site {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("jobscript").join(name).join("a job's folder");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let site = Site { folder };
        site.command("mpirun", "exec \"$mpirun\" \"$@\"");
        site.command("srun", SRUN);
        site.command("scontrol", "");
        site.command("module", "");
        site.command("qsub", "cat >\"$folder/next.pbs\"; echo 78.site");
        fs::write(site.folder.join("my deck.toml"), DECK).unwrap();
        let mut synth = Command::new(CROSSRX);
        synth.args(["synth", "--preset", "demo", "--out", "my store.h5"]).current_dir(&site.folder);
        assert!(synth.output().unwrap().status.success());
        site
    }

    /// A command of the site: it writes its words down, then does what `text` says.
    fn command(&self, name: &str, text: &str) {
        let path = self.folder.join("bin").join(name);
        let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mpirun.sh");
        // The real launcher must find neither this folder nor a job.
        let script = format!(
            "#!/bin/bash\nfolder=\"$(dirname \"$0\")/..\"\nmpirun='{}'\n\
             case $1 in --version | show) false ;; esac && printf '%s\\n' \"{name} $*\" >>\"$folder/calls\"\n\
             PATH=${{PATH#*:}}\nunset SLURM_JOB_ID PBS_JOBID\n{text}\n",
            launcher.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Has `srun` start ranks that do nothing.
    pub fn make_idle(&self) {
        self.command("srun", &format!("[ \"$1\" = --version ] && exit; {IDLE}"));
    }

    /// The script that `crossrx jobscript` prints for these words and the site's deck.
    pub fn script(&self, scheduler: &str, words: &[&str]) -> PathBuf {
        let mut command = Command::new(CROSSRX);
        command.args(["jobscript", scheduler, "my deck.toml", "--program", CROSSRX, "--ranks-per-node", "2"]);
        command.args(words).current_dir(&self.folder);
        if !words.contains(&"--out") {
            command.args(["--out", OUT]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = self.folder.join("my job.sh");
        fs::write(&path, output.stdout).unwrap();
        path
    }

    /// Starts a script in another folder than that of submission, with the variables that a scheduler sets.
    pub fn start(&self, script: &Path, variables: &[(&str, &str)]) -> Job {
        let mut command = Command::new("bash");
        command.arg(script);
        self.begin(command, variables)
    }

    /// Like [`Self::start`], but bash reads the script from its standard input.
    pub fn start_from_stdin(&self, script: &Path, variables: &[(&str, &str)]) -> Job {
        let mut command = Command::new("bash");
        command.stdin(File::open(script).unwrap());
        self.begin(command, variables)
    }

    fn begin(&self, mut command: Command, variables: &[(&str, &str)]) -> Job {
        let path = format!("{}:{}", self.folder.join("bin").display(), std::env::var("PATH").unwrap());
        let log = self.folder.join("log");
        let out = File::create(&log).unwrap();
        command
            .env("PATH", path)
            .envs(variables.iter().copied())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        // Ranks of jobs side by side are bound to the same cores, and would spin on them.
        command.env("OMPI_MCA_mpi_yield_when_idle", "1");
        if !variables.is_empty() {
            command.current_dir("/");
        } else {
            command.current_dir(&self.folder).stdin(Stdio::null()).process_group(0);
        }
        Job { child: command.spawn().unwrap(), log }
    }

    /// Every call of a command of the site until now, one a line.
    pub fn calls(&self, command: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        let of = format!("{command} ");
        calls.lines().filter(|line| line.starts_with(&of)).map(str::to_string).collect()
    }

    /// The scores of every source and target, as the study of the site's deck writes them where nothing stops it.
    pub fn reference(&self) -> Vec<String> {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mpirun.sh"));
        command.args([
            "-n",
            "2",
            CROSSRX,
            "transfer",
            "my deck.toml",
            "--threads",
            "1",
            "--out",
            "reference",
        ]);
        let output = command.current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.scores("reference")
    }

    /// The scores in a run folder.
    pub fn scores(&self, out: &str) -> Vec<String> {
        let infer = self.folder.join(out).join("infer");
        let of = |pair| fs::read_to_string(infer.join(pair).join("split_0/test_scores.json"));
        ["Alpha-Alpha", "Alpha-Beta", "Beta-Alpha", "Beta-Beta"].map(of).map(Result::unwrap).to_vec()
    }
}

impl Job {
    /// What it has said until now.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said something.
    pub fn wait_for(&mut self, word: &str) -> &mut Self {
        let started = Instant::now();
        while !self.log().contains(word) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < Duration::from_secs(60),
                "no {word} in\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Sends a signal to the shell that runs the script, and to nobody else.
    pub fn signal(&mut self, name: &str) -> &mut Self {
        Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        self
    }

    /// Ctrl-C at the terminal of a script without a scheduler, which all processes of its group hear.
    pub fn interrupt(&mut self) -> &mut Self {
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-INT", "--", &group]).status().unwrap();
        self
    }

    /// Waits for the end; the exit code and all that was said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(120) {
                // Passed on to the launcher, twice.
                self.signal("TERM");
                std::thread::sleep(Duration::from_secs(2));
                self.signal("TERM");
                panic!("did not end\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        (self.child.wait().unwrap().code(), self.log())
    }
}

/// Whether jobs of two ranks can be run here as the scripts tell: one core each, by Open MPI where `mpirun` is asked.
pub fn can_run(mpirun: bool) -> bool {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let version = Command::new("mpirun").arg("--version").output();
    let open_mpi = version.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("Open MPI"));
    let lacks = match () {
        _ if !cfg!(feature = "mpi") => "this build has no MPI",
        _ if mpirun && !open_mpi => "no mpirun of Open MPI on PATH",
        _ if mpirun && processors < 2 => "two ranks cannot have a core each",
        _ => return true,
    };
    let _ = writeln!(std::io::stderr(), "skipped: running job scripts, for {lacks}");
    false
}
