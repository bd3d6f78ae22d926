//! `make demo` in places that are not like home.

use crate::program::CROSSRX;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that the demo is made from, copied to a folder with spaces in its path that nobody may write to.
fn read_only_source(root: &Path) -> PathBuf {
    let source = root.join("read only/source tree");
    for name in ["Makefile", "configs/demo.toml", "scripts/mpirun.sh", "scripts/deps.sh"] {
        let to = source.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), to).unwrap();
    }
    for folder in ["", "configs", "scripts"] {
        fs::set_permissions(source.join(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    source
}

#[test]
fn the_demo_runs_from_a_read_only_path_with_spaces_for_a_plain_user() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let source = read_only_source(root.path());
    // Root is let through everywhere, so it hands over to a user with no rights; who may not see into the
    // folder that the program was built in.
    let (program, target) = (root.path().join("crossrx"), root.path().join("built here"));
    fs::copy(CROSSRX, &program).unwrap();
    fs::create_dir(&target).unwrap();
    let root_user = rustix::process::geteuid().is_root();
    let mut command = if root_user { Command::new("setpriv") } else { Command::new("make") };
    if root_user {
        fs::set_permissions(&target, fs::Permissions::from_mode(0o777)).unwrap();
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "make"]);
    }
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        command.env_remove(name);
    }
    let mpi = if cfg!(feature = "mpi") { "yes" } else { "no" };
    command.arg("demo").arg(format!("PROGRAM={}", program.display())).arg(format!("MPI={mpi}"));
    command.env("CARGO_TARGET_DIR", &target).env("HOME", &target).env("TMPDIR", &target);
    let out = command.current_dir(&source).output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{said}");
    let page = target.join("demo/run/report.html");
    assert!(said.contains(&format!("report: {}", page.display())), "{said}");
    assert!(fs::read_to_string(page).unwrap().contains("</html>"), "no whole page");
    for folder in ["", "configs", "scripts"] {
        fs::set_permissions(source.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
