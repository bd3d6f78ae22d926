use crate::cluster::Cluster;
use crate::job::Job;
use crate::study::{Length, Study};

#[test]
#[ignore = "needs root, Slurm and MUNGE: make test-slurm"]
fn an_array_runs_one_study_an_element() {
    let cluster = Cluster::start("array");
    let study = Study::of(&cluster, Length::Short, &[("first", "Alpha"), ("second", "Beta")]);
    let array = study.submit(&study.script(&["--launcher", "mpirun"]), &[]);
    for element in 0..2 {
        let job = Job::of(&cluster, &format!("{}_{element}", array.id()));
        job.becomes("COMPLETED");
        job.said("2 ranks on 2 hosts", 1);
    }
    study.assert_same_as_in_peace();
    drop(array);
    cluster.stop();
}
