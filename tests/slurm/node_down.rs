use crate::cluster::Cluster;
use crate::study::{Length, Study};

#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn a_job_that_loses_a_node_goes_on_on_others_and_ends_with_the_same_bits() {
    let cluster = Cluster::start("node-down");
    let study = Study::new(&cluster, Length::Medium);
    let job = study.submit(&study.script(&["--launcher", "mpirun", "--requeue"]), &[]);
    job.says("epoch 50/");
    assert_eq!(job.nodes(), "n[1-2]");
    cluster.command("scontrol", &["update", "NodeName=n2", "State=DOWN", "Reason=test"]);
    job.waits("other nodes", |job| job.nodes() == "n[1,3]");
    job.becomes("COMPLETED");
    assert_eq!((job.nodes().as_str(), job.restarts()), ("n[1,3]", 1));
    job.said("going on from the checkpoint", 1);
    study.assert_same_as_in_peace();
    drop(job);
    cluster.stop();
}
