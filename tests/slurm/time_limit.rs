use crate::cluster::Cluster;
use crate::study::{Length, Study};
use std::time::Duration;

/// Slurm's own signal ahead of the time limit, the shortest limit that there is.
#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_job_whose_time_is_up_requeues_itself_and_ends_with_the_same_bits() {
    let cluster = Cluster::start("time-limit");
    let study = Study::new(&cluster, Length::Long);
    let script = study.script(&["--launcher", "mpirun", "--requeue"]);
    // Slurm looks at time limits every 30 s, and sends the signal when the time asked for and these 30 s are
    // left at most. The first look that this holds for is the one after the next ten seconds: the program
    // surely listens by then, and is far from its end.
    cluster.wait_for_look_at_limits_in(Duration::from_secs(10));
    let job = study.submit(&script, &["--time=1", "--signal=B:USR1@25"]);
    job.says("] stopped by SIGUSR1");
    job.waits("a restart", |job| job.restarts() == 1);
    // With a minute each time, it would be stopped again, and again.
    cluster.command("scontrol", &["update", &format!("JobId={}", job.id()), "TimeLimit=60"]);
    job.becomes("COMPLETED");
    assert_eq!(job.restarts(), 1);
    job.said("] stopped by SIGUSR1", 1);
    job.said("going on from the checkpoint", 1);
    study.assert_same_as_in_peace();
    drop(job);
    cluster.stop();
}
