use crate::cluster::Cluster;
use crate::job::Job;
use crate::study::{Length, Study};

/// Ranks that `srun` starts hear of it themselves, so the checkpoint is of that very moment.
#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_job_that_is_preempted_goes_on_afterwards_and_ends_with_the_same_bits() {
    let cluster = Cluster::start("preempted");
    let study = Study::new(&cluster, Length::Medium);
    let job = study.submit(&study.script(&["--launcher", "srun", "--requeue"]), &[]);
    job.says("epoch 50/");
    let other =
        Job::submit(&cluster, &["--partition=high", "--nodes=3", "--output=other.log", "--wrap=hostname"]);
    other.becomes("COMPLETED");
    job.becomes("COMPLETED");
    assert_eq!(job.restarts(), 1);
    job.said("] stopped by SIGTERM", 1);
    job.said("going on from the checkpoint", 1);
    study.assert_same_as_in_peace();
    drop((job, other));
    cluster.stop();
}
