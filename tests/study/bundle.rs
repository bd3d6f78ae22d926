//! What `make bundle` packs, on a machine that has a C library and nothing else.

use crate::program::{CROSSRX, Outcome, arg, fresh, has_ranks, start};
use crate::tree::{assert_same, files};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// None of this takes more than seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

fn run(command: Command) -> Outcome {
    start(command).finish(LIMIT)
}

/// Packs the program under test into a new folder, where this machine can.
fn bundle(name: &str) -> Option<PathBuf> {
    if Command::new("patchelf").arg("--version").output().is_err() {
        skipped("bundles, for there is no patchelf");
        return None;
    }
    let folder = fresh(name);
    let mut command = Command::new(repository("scripts/bundle.sh"));
    command.args([CROSSRX, arg(&folder)]);
    run(command).ok();
    let packed = folder.join(format!("crossrx-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH));
    assert!(packed.with_file_name(format!("{}.tar.gz", packed.file_name()?.to_str()?)).is_file());
    Some(packed)
}

/// The files that the loader takes for a program or library, where nothing tells it to look elsewhere.
fn loaded(file: &Path) -> Vec<PathBuf> {
    let said = Command::new("ldd").arg(file).env_remove("LD_LIBRARY_PATH").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.contains("not found"), "{}: {said}", file.display());
    said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// What every program or library of a bundle takes from outside of it: the C library alone.
fn from_outside(bundle: &Path) -> BTreeSet<PathBuf> {
    let programs = ["crossrx", "orterun", "orted"].map(|name| Path::new("libexec").join(name));
    let all = files(&bundle.join("lib")).into_iter().map(|name| Path::new("lib").join(name)).chain(programs);
    let found = all.map(|name| bundle.join(name)).filter(|file| file.exists()).flat_map(|file| loaded(&file));
    let found: BTreeSet<_> =
        found.filter(|file| !fs::canonicalize(file).unwrap().starts_with(bundle)).collect();
    let of_system = [
        "ld-linux",
        "libc.so",
        "libm.so",
        "libgcc_s.so",
        "libdl.so",
        "libpthread.so",
        "librt.so",
        "libresolv.so",
    ];
    for file in &found {
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(of_system.iter().any(|of| name.starts_with(of)), "{} is not in the bundle", file.display());
    }
    found
}

/// A root folder with a shell, the bundle under `/opt`, and `more` files.
fn bare_root(bundle: &Path, more: &BTreeSet<PathBuf>) -> PathBuf {
    let root = fresh("bundle-root");
    for folder in ["bin", "tmp", "dev", "proc", "sys"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let copy = |from: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").unwrap_or(to));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    more.iter().for_each(|file| copy(file, file));
    for name in ["sh", "env", "dirname", "readlink", "id"] {
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        copy(found, &Path::new("/bin").join(name));
        loaded(found).iter().for_each(|file| copy(file, file));
    }
    fs::rename(bundle, root.join("opt")).unwrap();
    root
}

/// A command that runs with `root` as the root of all files and no environment.
fn inside(root: &Path, args: &[&str]) -> Command {
    const ENTER: &str = "mount --rbind /dev \"$0/dev\" && mount --rbind /proc \"$0/proc\" && \
        mount --rbind /sys \"$0/sys\" && exec chroot \"$0\" /bin/env -i PATH=/bin \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", ENTER, arg(root)]).args(args);
    command
}

/// The Python files that those of a bundle import from beside them in the repository are in it too.
#[test]
fn the_scripts_of_a_bundle_find_what_they_import() {
    let Some(bundle) = bundle("bundle-scripts") else { return };
    let share = bundle.join("share/crossrx");
    let mut imported = 0;
    for name in files(&share).into_iter().filter(|name| name.extension().is_some_and(|e| e == "py")) {
        for line in fs::read_to_string(share.join(&name)).unwrap().lines() {
            let Some(module) = line.strip_prefix("from ").or(line.strip_prefix("import ")) else { continue };
            let module = module.split([' ', '.', ',']).next().unwrap();
            let beside = name.with_file_name(format!("{module}.py"));
            if Path::new(env!("CARGO_MANIFEST_DIR")).join(&beside).exists() {
                imported += 1;
                assert!(share.join(&beside).is_file(), "{} imports {module}", name.display());
            }
        }
    }
    assert!(imported > 0, "no script imports another: this test looks for nothing");
}

#[test]
fn a_bundle_runs_where_there_is_no_mpi_and_no_hdf5() {
    let Some(bundle) = bundle("bundle") else { return };
    for name in ["man/man1/crossrx.1", "bash-completion/completions/crossrx", "licenses/crossrx/LICENSE-MIT"]
    {
        assert!(bundle.join("share").join(name).is_file(), "no {name}");
    }
    let root = bare_root(&bundle, &from_outside(&bundle));
    let possible = inside(&root, &["sh", "-c", ":"]).output();
    if !possible.is_ok_and(|it| it.status.success()) {
        skipped("a bundle in a bare root, which may not be entered here");
        return;
    }
    run(inside(&root, &["/opt/bin/crossrx", "synth", "--preset", "demo", "--out", "/tmp/demo.h5"])).ok();
    let transfer = |out: &str, launch: &[&str]| {
        let deck = "/opt/share/crossrx/configs/demo.toml";
        let set = ["--set", "store.path=\"/tmp/demo.h5\"", "--set", "train.epochs=2", "--threads", "1"];
        let args = [&["/opt/bin/crossrx", "transfer", deck, "--out", out], &set[..]].concat();
        run(inside(&root, &[launch, &args].concat())).ok();
        root.join(out.strip_prefix('/').unwrap())
    };
    let one = transfer("/tmp/one", &[]);
    assert!(one.join("report.html").is_file());
    if has_ranks() && root.join("opt/bin/mpirun").exists() {
        let two = transfer("/tmp/two", &["/opt/bin/mpirun", "-n", "2"]);
        assert_same(&one, &two);
    }
}

#[test]
fn a_bundle_keeps_to_its_own_libraries() {
    if !has_ranks() {
        return;
    }
    let Some(bundle) = bundle("bundle-apart") else { return };
    if !bundle.join("bin/mpirun").exists() {
        skipped("ranks of a bundle, which has no mpirun");
        return;
    }
    // Of another MPI, as modules and containers set it.
    let others = fresh("bundle-others");
    for name in ["libmpi.so.40", "libopen-rte.so.40", "libopen-pal.so.40"] {
        fs::write(others.join(name), "not a library").unwrap();
    }
    let mut command = Command::new(bundle.join("bin/mpirun"));
    command.args(["-n", "2", arg(&bundle.join("bin/crossrx")), "bench", "all-reduce"]);
    command.args(["--mebibytes", "1", "--seconds", "0.1"]);
    command.env("LD_LIBRARY_PATH", &others).env("OPAL_PREFIX", &others).env("OMPI_MCA_pml", "ucx");
    let said = run(command).ok();
    assert!(said.contains("1 MiB over 2 ranks"), "{said}");
}

#[test]
fn the_script_for_a_gpu_goes_on_after_a_failure_and_tells_of_it() {
    let folder = fresh("gpu-script");
    let program = folder.join("crossrx");
    fs::write(
        &program,
        "#!/bin/sh\n[ \"$1\" = --version ] && exec echo crossrx 9\necho no such thing >&2; exit 1\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    let mut command = Command::new(repository("tests/gpu/run.sh"));
    command.args([arg(&program), "machine", "ops", "curve", "sanitizer"]);
    command.env("CROSSRX_GPU_DRY", "1").env("GPU_RESULTS", folder.join("results"));
    let outcome = run(command);
    assert_eq!(outcome.status.code(), Some(1), "{}{}", outcome.stdout, outcome.stderr);
    let table = fs::read_to_string(folder.join("results/table.md")).unwrap();
    for row in [
        "| crossrx | passed | crossrx 9 |",
        "| ops, networks, batches and steps against the processors | FAILED | no such thing |",
        "| loss curve | FAILED | no such thing |",
        "| compute-sanitizer | skipped | dry run |",
    ] {
        assert!(table.contains(row), "{row} not in:\n{table}");
    }
}
