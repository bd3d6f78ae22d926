use crate::site::{Job, OUT, Site, can_run};
use std::fs;
use std::path::Path;

/// Starts the script as a job of PBS on this host; `stdin` says how bash is given it.
fn submit(site: &Site, script: &Path, stdin: bool, index: &str) -> Job {
    let host = std::process::Command::new("hostname").output().unwrap().stdout;
    let nodes = site.folder.join("nodes");
    fs::write(&nodes, String::from_utf8(host).unwrap().repeat(2)).unwrap();
    let variables = [
        ("PBS_JOBID", "77.site"),
        ("PBS_O_WORKDIR", site.folder.to_str().unwrap()),
        ("PBS_NODEFILE", nodes.to_str().unwrap()),
        ("PBS_ARRAY_INDEX", index),
    ];
    if stdin { site.start_from_stdin(script, &variables) } else { site.start(script, &variables) }
}

/// Changes a line of a script, as a user may.
fn edit(script: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(script).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(script, text.replace(from, to)).unwrap();
}

#[test]
fn a_job_that_runs_out_of_time_submits_itself_again_and_ends_with_the_same_scores() {
    if !can_run(true) {
        return;
    }
    let site = Site::new("pbs-requeue");
    let script = site.script("pbs", &["--cores-per-node", "2", "--requeue", "--hours", "0.1"]);
    // Of six minutes two are spared; leave it three seconds.
    edit(&script, "\nwalltime=360\n", "\nwalltime=123\n");
    let (code, log) = submit(&site, &script, false, "").end();
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("is nearly over") && log.contains("goes on as 78.site"), "{log}");
    assert_eq!(site.calls("qsub").len(), 1);
    let mpirun = &site.calls("mpirun")[0];
    assert!(
        mpirun.contains("--map-by ppr:2:node:PE=1 --bind-to core ") && mpirun.contains(" --max-hours 0.00")
    );

    // The new job has the same text, and ends, however PBS hands it to bash.
    let next = site.folder.join("next.pbs");
    assert_eq!(fs::read_to_string(&next).unwrap(), fs::read_to_string(&script).unwrap());
    edit(&next, "\nwalltime=123\n", "\nwalltime=360\n");
    let (code, log) = submit(&site, &next, true, "").end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("going on") && site.calls("qsub").len() == 1, "{log}");
    assert_eq!(site.scores(OUT), site.reference());
}

#[test]
fn a_job_that_is_deleted_does_not_come_back_and_one_that_fails_neither() {
    if !can_run(true) {
        return;
    }
    let site = Site::new("pbs-delete");
    let script = site.script("pbs", &["--cores-per-node", "2", "--requeue"]);
    let mut job = submit(&site, &script, false, "");
    job.wait_for("epoch 5/").signal("TERM");
    let (code, log) = job.end();
    assert_eq!((code, site.calls("qsub").len()), (Some(75), 0), "{log}");
    assert!(log.contains("not submitted again: PBS ended it; to go on: qsub this script again"), "{log}");

    let out = ["--out", "other", "--set", "data.endpoint=nonsense"];
    let script = site.script("pbs", &[&["--cores-per-node", "2", "--requeue"], &out[..]].concat());
    let (code, log) = submit(&site, &script, false, "").end();
    assert_eq!((code, site.calls("qsub").len()), (Some(1), 0), "{log}");
}

#[test]
fn an_element_of_an_array_goes_on_alone() {
    if !can_run(true) {
        return;
    }
    let site = Site::new("pbs-array");
    let deck = fs::read_to_string(site.folder.join("my deck.toml")).unwrap();
    fs::write(site.folder.join("other.toml"), deck).unwrap();
    let script = site.script("pbs", &["other.toml", "--cores-per-node", "2", "--requeue", "--out", "all"]);
    assert!(fs::read_to_string(&script).unwrap().contains("\n#PBS -J 0-1\n"));
    // Read from standard input, it finds itself there.
    let mut job = submit(&site, &script, true, "1");
    job.wait_for("epoch 5/").signal("USR1");
    let (code, log) = job.end();
    assert_eq!((code, site.calls("qsub").len()), (Some(75), 1), "{log}");
    let next = fs::read_to_string(site.folder.join("next.pbs")).unwrap();
    assert!(next.contains("\nelement=1\n") && !next.contains("\n#PBS -J"), "{next}");
    let (code, log) = submit(&site, &site.folder.join("next.pbs"), false, "").end();
    assert!(code == Some(0) && log.contains("complete: all/other"), "{log}");
    assert!(site.folder.join("all/other/report.html").exists() && !site.folder.join("all/my deck").exists());
}
