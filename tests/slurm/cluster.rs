use crate::poll::{end_if_told, wait_for, wait_or_tell};
use crate::processes;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NODES: usize = 3;

/// Two clusters at once would share the processors of a small machine.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for a turn, which lasts until what this returns is dropped.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Slurm of this machine's own: MUNGE, the controller, and three nodes of one processor each, in two
/// partitions, of which jobs of `high` preempt those of `low`. Keys, sockets and state are in a
/// temporary folder and ports are free ones, so it disturbs no other. Dropped, it is torn down with all
/// that it has started.
pub struct Cluster {
    folder: Option<TempDir>,
    /// Where logs of daemons and jobs are kept, and where jobs are submitted.
    pub room: PathBuf,
    /// Ended and waited for with all that they have started.
    daemons: Vec<Child>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts the daemons and waits until all nodes are idle.
    pub fn start(name: &str) -> Self {
        let turn = turn();
        end_if_told();
        let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slurm").join(name);
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(room.join("daemons")).unwrap();
        // Not below the target folder: the path of a socket has 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("crossrx-slurm-").tempdir_in("/tmp").unwrap();
        processes::adopt();
        let mut cluster = Self { folder: Some(folder), room, daemons: Vec::new(), _turn: turn };
        say(&format!("{name}: a cluster in {}", cluster.folder().display()));
        cluster.write_configuration();
        cluster.start_munge();
        cluster.start_daemon("slurmctld", "slurmctld", &[]);
        for node in 1..=NODES {
            let node = format!("n{node}");
            cluster.start_daemon("slurmd", &format!("slurmd-{node}"), &["-N", &node]);
        }
        let idle = || {
            let states =
                cluster.try_command("sinfo", &["--noheader", "--Node", "--partition=low", "--format=%T"]);
            let states = states.unwrap_or_default();
            (states.lines().filter(|state| *state == "idle").count() == NODES).then_some(())
        };
        wait_or_tell("idle nodes", Duration::from_secs(60), idle, || cluster.logs());
        cluster
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    fn write_configuration(&self) {
        let folder = self.folder();
        // MUNGE wants its socket to be within reach of all, and its key of nobody else.
        fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
        for name in ["state", "spool", "tmp"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let mut key = vec![0; 128];
        std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut key).unwrap();
        let mut file = File::options();
        let file = file.write(true).create_new(true).mode(0o400).open(folder.join("key"));
        file.unwrap().write_all(&key).unwrap();
        // All are held at once, so that they differ.
        let free: Vec<_> = (0..=NODES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        let host = host.split('.').next().unwrap();
        let (f, logs) = (folder.display(), self.room.join("daemons"));
        let mut text = format!(
            "ClusterName=virtual\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmUser=root\n\
             AuthType=auth/munge\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nReturnToService=0\n\
             MpiDefault=pmix\n\
             StateSaveLocation={f}/state\nSlurmdSpoolDir={f}/spool/%n\nTmpFS={f}/tmp/%n\n\
             SlurmctldPidFile={f}/slurmctld.pid\nSlurmdPidFile={f}/slurmd-%n.pid\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
             SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1\n\
             PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n\
             MinJobAge=3600\nJobCompType=jobcomp/filetxt\nJobCompLoc={f}/completed\n\
             SlurmctldDebug=debug2\nKillWait=10\n",
            ports[0]
        );
        // A requeued job is held back until its credential has expired.
        text += &format!("AuthInfo=cred_expire=5,socket={f}/munge\n");
        for (node, port) in ports.iter().enumerate().skip(1) {
            for of in ["spool", "tmp"] {
                fs::create_dir(folder.join(format!("{of}/n{node}"))).unwrap();
            }
            text += &format!("NodeName=n{node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1\n");
        }
        for (name, more) in
            [("low", "Default=YES PriorityTier=1"), ("high", "PriorityTier=2 PreemptMode=OFF")]
        {
            text += &format!("PartitionName={name} Nodes=n[1-{NODES}] MaxTime=INFINITE State=UP {more}\n");
        }
        fs::write(folder.join("slurm.conf"), &text).unwrap();
        fs::write(logs.join("slurm.conf"), &text).unwrap();
    }

    fn start_munge(&mut self) {
        let at = |name: &str| format!("{}/{name}", self.folder().display());
        let options = ["key-file=key", "socket=munge", "pid-file=munge.pid", "seed-file=munge.seed"];
        let options = options.map(|option| {
            let (name, file) = option.split_once('=').unwrap();
            format!("--{name}={}", at(file))
        });
        let mut words = vec!["--foreground", "--num-threads=10"];
        words.extend(options.iter().map(String::as_str));
        self.start_program("munged", "munged", &words);
        let socket = self.folder().join("munge");
        wait_or_tell("MUNGE", Duration::from_secs(20), || socket.exists().then_some(()), || self.logs());
    }

    fn start_daemon(&mut self, program: &str, log: &str, more: &[&str]) {
        let configuration = self.configuration();
        let words = [&["-D", "-f", configuration.to_str().unwrap()], more].concat();
        self.start_program(program, log, &words);
    }

    fn start_program(&mut self, program: &str, log: &str, words: &[&str]) {
        let path = self.room.join(format!("daemons/{log}.log"));
        let log = File::create(path).unwrap();
        let mut command = self.command_of(program);
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = command.spawn();
        let started =
            started.unwrap_or_else(|e| panic!("cannot start {program}: {e}; run scripts/deps.sh slurm"));
        self.daemons.push(started);
    }

    fn configuration(&self) -> PathBuf {
        self.folder().join("slurm.conf")
    }

    /// A program that belongs to this cluster, with the environment that jobs get as well.
    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let crossrx = Path::new(env!("CARGO_BIN_EXE_crossrx")).parent().unwrap();
        // Daemons lie where the PATH of a user need not lead.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", crossrx.display()));
        command.env("SLURM_CONF", self.configuration()).env("TMPDIR", self.folder().join("tmp"));
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        // Open MPI takes each node for a machine of its own and binds the ranks of all to the first
        // processor, where those that wait must let others work.
        command.env("OMPI_MCA_mpi_yield_when_idle", "1");
        command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
        command.env("OMPI_MCA_btl_vader_backing_directory", self.folder().join("tmp"));
        command.env("OMPI_MCA_mca_base_component_show_load_errors", "0").env("PMIX_MCA_gds", "hash");
        command.current_dir(&self.room);
        command
    }

    /// Runs one of Slurm's commands; its output, or what it complained of.
    pub fn try_command(&self, program: &str, words: &[&str]) -> Result<String, String> {
        let output = self.command_of(program).args(words).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("{program} {words:?}: {}{}", text(&output.stdout), text(&output.stderr))),
        }
    }

    /// Runs one of Slurm's commands, or the program under test, which must succeed.
    pub fn command(&self, program: &str, words: &[&str]) -> String {
        self.try_command(program, words).unwrap_or_else(|e| panic!("{e}\n{}", self.logs()))
    }

    /// Waits until Slurm's next look at time limits is so far ahead, less than the 30 seconds between two.
    pub fn wait_for_look_at_limits_in(&self, ahead: Duration) {
        let looks = || {
            let log = fs::read_to_string(self.room.join("daemons/slurmctld.log")).unwrap_or_default();
            log.matches("Testing job time limits").count()
        };
        let before = looks();
        wait_for("a look at time limits", Duration::from_secs(90), || (looks() > before).then_some(()));
        let then = Instant::now() + Duration::from_secs(30) - ahead;
        wait_for("the next to be near", Duration::from_secs(60), || (Instant::now() > then).then_some(()));
    }

    /// The ends of the daemons' logs.
    fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.room.join("daemons")).unwrap() {
            let path = entry.unwrap().path();
            let log = fs::read(&path).unwrap_or_default();
            let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned();
            text += &format!("{}:\n{log}\n", path.display());
        }
        text
    }

    /// Tears it down and asserts that nothing of it is left.
    pub fn stop(mut self) {
        let folder = self.folder().to_path_buf();
        self.end().unwrap();
        processes::assert_gone(&folder);
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(folder) = self.folder.take() else { return Ok(()) };
        let ended = processes::end_all();
        self.daemons.clear();
        let _ = fs::copy(folder.path().join("completed"), self.room.join("completed.txt"));
        folder.close().map_err(|e| e.to_string())?;
        ended
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say(&format!("left behind: {error}"));
        }
    }
}

/// Tells on standard error at once, whatever the test harness keeps back.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
