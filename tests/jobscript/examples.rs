use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The examples in `jobscripts/`, each with the arguments that make it.
const EXAMPLES: [(&str, &str); 17] = [
    (
        "slurm/one-node.sh",
        "slurm configs/csa.toml --ranks-per-node 8 --cores-per-node 32 --hours 2 --account my_project",
    ),
    (
        "slurm/many-nodes.sh",
        "slurm configs/csa.toml --nodes 4 --ranks-per-node 3 --cores-per-node 48 --hours 4 --account my_project --queue standard --module openmpi --module hdf5",
    ),
    (
        "slurm/array.sh",
        "slurm configs/csa.toml configs/ccle-dose.toml --nodes 1 --ranks-per-node 4 --cores-per-node 32 --hours 6 --account my_project --set store.path=csa.h5",
    ),
    (
        "slurm/scaling.sh",
        "slurm configs/csa.toml --scaling --nodes 4 --ranks-per-node 8 --cores-per-node 64 --hours 0.5 --account my_project --set train.batch=4096",
    ),
    (
        "slurm/preemptible.sh",
        "slurm configs/csa.toml --nodes 1 --ranks-per-node 12 --cores-per-node 48 --hours 1 --account my_project --queue preempt --requeue --set checkpoint.minutes=5",
    ),
    (
        "slurm/open-mpi.sh",
        "slurm configs/csa.toml --launcher mpirun --nodes 2 --ranks-per-node 6 --requeue --account my_project",
    ),
    (
        "slurm/cpu-cluster.sh",
        "slurm configs/csa.toml --machine cpu-cluster --nodes 3 --ranks-per-node 4 --hours 2 --account my_project --requeue",
    ),
    (
        "slurm/perlmutter.sh",
        "slurm configs/csa.toml --machine perlmutter --nodes 3 --ranks-per-node 4 --gpus-per-node 4 --hours 1 --account m1234 --queue regular --requeue",
    ),
    (
        "pbs/one-node.sh",
        "pbs configs/csa.toml --ranks-per-node 8 --cores-per-node 32 --hours 2 --account my_project",
    ),
    (
        "pbs/many-nodes.sh",
        "pbs configs/csa.toml --nodes 4 --ranks-per-node 3 --cores-per-node 48 --hours 4 --account my_project --queue workq --module openmpi --module hdf5",
    ),
    (
        "pbs/array.sh",
        "pbs configs/csa.toml configs/ccle-dose.toml --nodes 1 --ranks-per-node 4 --cores-per-node 32 --hours 6 --account my_project --requeue",
    ),
    (
        "pbs/scaling.sh",
        "pbs configs/csa.toml --scaling --mode weak --nodes 4 --ranks-per-node 8 --cores-per-node 64 --hours 0.5 --account my_project --set train.batch=128",
    ),
    (
        "pbs/preemptible.sh",
        "pbs configs/csa.toml --nodes 1 --ranks-per-node 12 --cores-per-node 48 --hours 1 --account my_project --queue preemptable --requeue --set checkpoint.minutes=5",
    ),
    (
        "pbs/cpu-cluster.sh",
        "pbs configs/csa.toml --machine cpu-cluster --launcher mpiexec --nodes 3 --ranks-per-node 4 --hours 2 --account my_project --requeue",
    ),
    (
        "pbs/polaris.sh",
        "pbs configs/csa.toml --machine polaris --nodes 3 --ranks-per-node 4 --gpus-per-node 4 --hours 1 --account my_project --queue preemptable --requeue",
    ),
    ("local/workstation.sh", "local configs/csa.toml --ranks-per-node 4"),
    ("local/gpu.sh", "local configs/csa.toml --ranks-per-node 2 --gpus-per-node 2 --cores-per-node 16"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn printed(arguments: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrx"));
    command.arg("jobscript").args(arguments.split(' ')).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Set `CROSSRX_WRITE_JOBSCRIPTS=1` to write them anew.
#[test]
fn every_example_is_what_the_command_prints() {
    let folder = root().join("jobscripts");
    let write = std::env::var_os("CROSSRX_WRITE_JOBSCRIPTS").is_some();
    for (name, arguments) in EXAMPLES {
        let (path, script) = (folder.join(name), printed(arguments));
        let made_by = format!("#   crossrx jobscript {arguments}\n");
        assert!(script.contains(&made_by), "{name} does not tell what made it");
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &script).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kept, script, "{name}: make it anew with CROSSRX_WRITE_JOBSCRIPTS=1");
    }
    let known: BTreeSet<String> = EXAMPLES.iter().map(|(name, _)| name.to_string()).collect();
    let mut found = BTreeSet::new();
    for folder in ["slurm", "pbs", "local"] {
        for entry in fs::read_dir(root().join("jobscripts").join(folder)).unwrap() {
            found.insert(format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    assert_eq!(found, known, "files in jobscripts/ that nothing makes");
}

/// Further scripts that are linted only: what the examples leave out, and words that need quotes.
const OTHERS: [&str; 4] = [
    "slurm configs/csa.toml configs/demo.toml --ranks-per-node 2 --requeue --launcher mpiexec --out it's/(one)&more",
    "slurm configs/demo.toml --machine perlmutter --ranks-per-node 8 --launcher pals --directive --reservation=`x`",
    "pbs configs/demo.toml --machine polaris --ranks-per-node 3 --module a;b --set data.sources=[\"Alpha\"]",
    "local configs/demo.toml --ranks-per-node 1 --launcher mpiexec --scaling --program /opt/a*b/crossrx",
];

#[test]
fn every_script_is_sound_shell() {
    let scripts = EXAMPLES.map(|(_, arguments)| arguments).into_iter().chain(OTHERS).map(printed);
    let has_shellcheck = Command::new("shellcheck").arg("--version").output().is_ok();
    if !has_shellcheck {
        let _ = writeln!(std::io::stderr(), "skipped: no shellcheck on PATH to lint job scripts with");
    }
    for script in scripts {
        assert!(!script.contains("shellcheck disable"));
        assert!(script.lines().all(|line| !line.ends_with(' ')), "{script}");
        lint(Command::new("bash").arg("-n"), &script);
        if has_shellcheck {
            lint(Command::new("shellcheck").arg("-"), &script);
        }
    }
}

fn lint(command: &mut Command, script: &str) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}\n{script}");
}
