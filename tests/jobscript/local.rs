use crate::site::{OUT, Site, can_run};

#[test]
fn a_script_without_a_scheduler_stops_on_a_signal_and_goes_on_when_started_again() {
    if !can_run(true) {
        return;
    }
    let site = Site::new("local");
    let script = site.script("local", &["--cores-per-node", "2"]);
    let mut job = site.start(&script, &[]);
    job.wait_for("epoch 5/").interrupt();
    let (code, log) = job.end();
    assert!(code == Some(75) && log.contains("to go on: start this script again"), "{log}");
    // Not SIGTERM, which SIGKILL follows after a second.
    assert!(log.contains("] stopped by SIGUSR1"), "{log}");
    let (code, log) = site.start(&script, &[]).end();
    assert!(
        code == Some(0) && log.contains("going on") && log.contains("complete: my runs/it's one"),
        "{log}"
    );
    assert_eq!(site.scores(OUT), site.reference());
}
