use crate::cluster::Cluster;
use crate::study::{Length, Study};

/// Slurm's own signal ahead of the time limit, the shortest limit that there is.
#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_job_whose_time_is_up_requeues_itself_and_ends_with_the_same_bits() {
    let cluster = Cluster::start("time-limit");
    let study = Study::new(&cluster, Length::Long);
    let script = study.script(&["--launcher", "mpirun", "--requeue"]);
    // Slurm looks at time limits every 30 s, and sends the signal at the last look that is not too late.
    // Ten seconds after its start the program surely listens, and has not ended.
    cluster.wait_for_look_at_limits();
    let job = study.submit(&script, &["--time=1", "--signal=B:USR1@20"]);
    job.says("stopped by SIGUSR1");
    job.waits("a restart", |job| job.restarts() == 1);
    // With a minute each time, it would be stopped again, and again.
    cluster.command("scontrol", &["update", &format!("JobId={}", job.id()), "TimeLimit=60"]);
    job.becomes("COMPLETED");
    assert_eq!(job.restarts(), 1);
    let log = job.log();
    assert_eq!(log.matches("stopped by SIGUSR1").count(), 1, "{log}");
    assert_eq!(log.matches("going on from the checkpoint").count(), 1, "{log}");
    study.assert_same_as_in_peace();
    drop(job);
    cluster.stop();
}
