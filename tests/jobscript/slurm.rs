use crate::site::{Job, OUT, Site, can_run};
use std::fs;
use std::path::Path;

/// Starts the script as Slurm's job 77 that was restarted so many times.
fn submit(site: &Site, script: &Path, restarts: usize) -> Job {
    let (folder, restarts) = (site.folder.to_str().unwrap(), restarts.to_string());
    let mut variables =
        vec![("SLURM_JOB_ID", "77"), ("SLURM_SUBMIT_DIR", folder), ("SLURM_JOB_NODELIST", "n[1-2]")];
    if restarts != "0" {
        variables.push(("SLURM_RESTART_COUNT", &restarts));
    }
    site.start(script, &variables)
}

#[test]
fn a_job_that_runs_out_of_time_requeues_itself_once_and_ends_with_the_same_scores() {
    if !can_run(false) {
        return;
    }
    let site = Site::new("slurm-requeue");
    let words = ["--cores-per-node", "2", "--requeue", "--module", "my mpi/4.1", "--set", "train.seed=3"];
    let script = site.script("slurm", &words);
    let mut job = submit(&site, &script, 0);
    job.wait_for("epoch 5/").signal("USR1");
    let (code, log) = job.end();
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("SIGUSR1: crossrx is told to stop") && log.contains("requeueing job 77"), "{log}");
    assert_eq!(site.calls("scontrol"), ["scontrol requeue 77"]);
    assert_eq!(site.calls("module"), ["module load my mpi/4.1"]);
    let srun = &site.calls("srun")[0];
    for word in
        ["--nodes=1 ", "--ntasks=2 ", "--ntasks-per-node=2 ", "--cpus-per-task=1 ", "--cpu-bind=cores "]
    {
        assert!(srun.contains(word), "{word} not in {srun}");
    }
    assert!(srun.contains("--threads 1 --out my runs/it's one"), "{srun}");

    let (code, log) = submit(&site, &script, 1).end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("restart 1") && log.contains("going on") && log.contains("complete: my runs"),
        "{log}"
    );
    assert_eq!(site.calls("scontrol").len(), 1);
    assert!(!site.folder.join(format!("{OUT}.idle")).exists());
    let text = fs::read_to_string(site.folder.join("my deck.toml")).unwrap();
    fs::write(site.folder.join("my deck.toml"), text + "seed = 3\n").unwrap();
    assert_eq!(site.scores(OUT), site.reference());
}

#[test]
fn a_job_that_is_cancelled_does_not_come_back() {
    if !can_run(true) {
        return;
    }
    let site = Site::new("slurm-cancel");
    let script = site.script("slurm", &["--cores-per-node", "2", "--requeue", "--launcher", "mpirun"]);
    let mut job = submit(&site, &script, 0);
    job.wait_for("epoch 5/").signal("TERM");
    let (code, log) = job.end();
    assert_eq!((code, site.calls("scontrol").len()), (Some(75), 0), "{log}");
    assert!(
        log.contains("not requeued: stopped by SIGTERM") && log.contains("sbatch this script again"),
        "{log}"
    );
    let mpirun = &site.calls("mpirun")[0];
    assert!(mpirun.starts_with("mpirun -n 2 --map-by ppr:2:node:PE=1 --bind-to core "), "{mpirun}");
}

#[test]
fn a_study_that_fails_is_not_requeued_and_one_without_its_files_not_started() {
    if !can_run(false) {
        return;
    }
    let site = Site::new("slurm-fails");
    // Without --cores-per-node, the script counts.
    let script = site.script("slurm", &["--requeue", "--set", "data.endpoint=nonsense"]);
    let (code, log) = submit(&site, &script, 0).end();
    assert!(code == Some(1) && log.contains("nonsense") && log.contains("failed with exit code 1"), "{log}");
    assert_eq!((site.calls("scontrol").len(), site.calls("srun").len()), (0, 1));
    assert!(site.calls("srun")[0].contains("--cpus-per-task="), "{:?}", site.calls("srun"));

    fs::remove_file(site.folder.join("my store.h5")).unwrap();
    let (code, log) = submit(&site, &script, 0).end();
    assert!(code == Some(1) && log.contains("no my store.h5 in "), "{log}");
    assert_eq!(site.calls("srun").len(), 1);
}

#[test]
fn jobs_that_get_nowhere_are_not_requeued_for_ever() {
    let site = Site::new("slurm-idle");
    site.make_idle();
    let script = site.script("slurm", &["--cores-per-node", "2", "--requeue"]);
    for restart in 0..3 {
        let mut job = submit(&site, &script, restart);
        job.wait_for("epoch 5/").signal("USR1");
        let (code, log) = job.end();
        assert_eq!(code, Some(75), "{log}");
        assert_eq!(log.contains("three jobs in a row added nothing"), restart == 2, "{log}");
    }
    assert_eq!(site.calls("scontrol").len(), 2);
}

#[test]
fn an_element_of_an_array_takes_its_deck_and_requeues_itself_alone() {
    let site = Site::new("slurm-array");
    site.make_idle();
    let deck = fs::read_to_string(site.folder.join("my deck.toml")).unwrap();
    fs::write(site.folder.join("other.toml"), deck).unwrap();
    let script = site.script("slurm", &["other.toml", "--cores-per-node", "2", "--requeue", "--out", "all"]);
    assert!(fs::read_to_string(&script).unwrap().contains("\n#SBATCH --array=0-1\n"));
    let folder = site.folder.to_str().unwrap();
    let variables = [
        ("SLURM_JOB_ID", "90"),
        ("SLURM_ARRAY_JOB_ID", "77"),
        ("SLURM_ARRAY_TASK_ID", "1"),
        ("SLURM_SUBMIT_DIR", folder),
        ("SLURM_JOB_NODELIST", "n1"),
    ];
    let mut job = site.start(&script, &variables);
    job.wait_for("epoch 5/").signal("USR1");
    let (code, log) = job.end();
    assert_eq!(code, Some(75), "{log}");
    assert_eq!(site.calls("scontrol"), ["scontrol requeue 77_1"]);
    let srun = &site.calls("srun")[0];
    assert!(srun.contains(" transfer other.toml ") && srun.ends_with("--out all/other"), "{srun}");
}
