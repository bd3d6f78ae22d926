use crate::cluster::Cluster;
use crate::study::{Length, Study};

#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_study_runs_on_two_nodes() {
    // A path with a space, as users have them.
    let cluster = Cluster::start("two nodes");
    let study = Study::new(&cluster, Length::Short);
    let job = study.submit(&study.script(&["--launcher", "mpirun"]), &[]);
    job.becomes("COMPLETED");
    job.said("2 ranks on 2 hosts", 1);
    job.said("1 group of 2 ranks for 1 task", 1);
    assert_eq!((job.nodes().as_str(), job.restarts()), ("n[1-2]", 0));
    study.assert_same_as_in_peace();
    drop(job);
    cluster.stop();
}
