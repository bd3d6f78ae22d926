use crate::cluster::{Cluster, say};
use crate::poll::wait_for;
use crate::processes;
use crate::study::{Length, Study};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn what_scancel_ends_stays_ended_and_goes_on_when_submitted_again() {
    let cluster = Cluster::start("cancelled");
    let study = Study::new(&cluster, Length::Medium);
    let script = study.script(&["--launcher", "mpirun", "--requeue"]);
    let job = study.submit(&script, &[]);
    job.says("epoch 50/");
    cluster.command("scancel", &[job.id()]);
    job.becomes("CANCELLED");
    let again = study.submit(&script, &[]);
    again.becomes("COMPLETED");
    again.said("going on from the checkpoint", 1);
    // A script that takes the signal of scancel for the end of its time would have come back by now.
    assert_eq!((job.state().as_str(), job.restarts()), ("CANCELLED", 0));
    study.assert_same_as_in_peace();
    drop((job, again));
    cluster.stop();
}

/// These tests themselves, ended in the middle of a job.
#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn nothing_is_left_of_tests_that_are_told_to_end() {
    const TEST: &str = "cancelled::what_scancel_ends_stays_ended_and_goes_on_when_submitted_again";
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("slurm");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("told-to-end.txt");
    let log = fs::File::create(&path).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", TEST]);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let _turn = crate::cluster::turn();
    let mut tests = command.spawn().unwrap();
    let said = || fs::read_to_string(&path).unwrap();
    let cluster = wait_for("a cluster", Duration::from_secs(30), || {
        let text = said();
        let (_, rest) = text.split_once(" a cluster in ")?;
        Some(PathBuf::from(rest.split_once('\n')?.0))
    });
    let works = || processes::that_name(&cluster).iter().any(|line| line.contains("crossrx transfer"));
    wait_for("a job at work", Duration::from_secs(120), || works().then_some(()));
    let before = processes::that_name(&cluster).len();
    terminate(tests.id());
    let ended = wait_for("its end", Duration::from_secs(60), || tests.try_wait().unwrap());
    assert!(!ended.success() && said().contains("told to end by a signal"), "{}", said());
    processes::assert_gone(&cluster);
    say(&format!("  of {before} processes none is left"));
}

fn terminate(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
