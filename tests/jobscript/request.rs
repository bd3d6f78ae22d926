use std::process::Command;

/// What the command says on standard error, and whether it printed a script.
fn said(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrx"));
    command.arg("jobscript").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    assert_eq!(output.status.success(), !output.stdout.is_empty(), "{arguments:?}");
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_bad_deck_or_number_fails_when_the_script_is_made() {
    let bad: [(&[&str], &str); 6] = [
        (&["slurm", "no-such.toml", "--ranks-per-node", "1"], "no-such.toml"),
        (&["slurm", "configs/csa.toml", "--ranks-per-node", "1", "--set", "train.epoch=3"], "epoch"),
        (&["pbs", "configs/csa.toml", "--ranks-per-node", "1"], "--cores-per-node"),
        (
            &["slurm", "configs/csa.toml", "--ranks-per-node", "9", "--cores-per-node", "8"],
            "--ranks-per-node 8",
        ),
        (&["local", "configs/csa.toml", "configs/demo.toml", "--ranks-per-node", "1"], "local"),
        (
            &["slurm", "configs/csa.toml", "--ranks-per-node", "1", "--directive=--a\n#SBATCH --b"],
            "line break",
        ),
    ];
    for (arguments, word) in bad {
        let (passed, message) = said(arguments);
        assert!(
            !passed && message.contains(word) && message.lines().count() == 1,
            "{arguments:?}: {message}"
        );
    }
}

#[test]
fn memory_is_asked_for_once() {
    for directive in ["--mem=4G", "--mem-per-cpu=2G"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossrx"));
        command.args([
            "jobscript",
            "slurm",
            "configs/csa.toml",
            "--ranks-per-node",
            "1",
            "--directive",
            directive,
        ]);
        let script = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap().stdout;
        let script = String::from_utf8(script).unwrap();
        let asked: Vec<&str> = script.lines().filter(|line| line.starts_with("#SBATCH --mem")).collect();
        assert_eq!(asked, [format!("#SBATCH {directive}")]);
    }
}

#[test]
fn what_will_be_idle_is_warned_of() {
    let ranks = ["--nodes", "2", "--ranks-per-node", "7", "--cores-per-node", "16"];
    // Twelve tasks.
    let script = [&["slurm", "configs/csa.toml", "--set", "data.splits=[0,1,2]"], &ranks[..]].concat();
    let (passed, message) = said(&script);
    assert!(passed && message.contains("2 of 14 ranks will have nothing to do"), "{message}");
    assert!(message.contains("2 cores of every node idle"), "{message}");
}
