use crate::cluster::Cluster;
use crate::study::{Length, Study};
use std::time::{Duration, Instant};

#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_study_that_fails_ends_soon_and_is_not_requeued() {
    let cluster = Cluster::start("failing");
    let study = Study::new(&cluster, Length::Short);
    let script = study.script(&["--launcher", "mpirun", "--requeue"]);
    let job = study.submit(&script, &["--export=ALL,CROSSRX_DRILL=error:1:20"]);
    job.says("] error: rank 1 on ");
    let told = Instant::now();
    job.becomes("FAILED");
    assert!(told.elapsed() < Duration::from_secs(30), "{:?} from the error to the end", told.elapsed());
    assert_eq!(job.restarts(), 0);
    job.said("] error: rank 1 on ", 1);
    job.said("Alpha split 0, step 20: training: CROSSRX_DRILL", 1);
    drop(job);
    cluster.stop();
}
