//! The driver of NVIDIA's devices where there is none: all tests that use a device are run once more, in a process
//! that finds `stand_in.cpp` under the names of NVIDIA's libraries.

use crate::checksum::checksum;
use crate::device::cuda::host::built;
use crate::device::cuda::{HostDriver, Storage};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("stand_in.cpp");

/// What the libraries are looked for as.
const NAMES: [&str; 4] = ["libcuda.so", "libcuda.so.1", "libnvrtc.so.12", "libcublasLt.so.12"];

/// A folder with the libraries.
fn build(cache: &Path) -> PathBuf {
    let folder = cache.join(format!("stand-in-{}", checksum(SOURCE.as_bytes())));
    if !folder.exists() {
        std::fs::create_dir_all(cache).unwrap();
        let draft = tempfile::tempdir_in(cache).unwrap();
        let source = draft.path().join("stand_in.cpp");
        std::fs::write(&source, SOURCE).unwrap();
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        let mut command = Command::new(compiler);
        command.args(["-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-ldl", "-o"]);
        let output = command.arg(draft.path().join(NAMES[0])).arg(&source).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for name in &NAMES[1..] {
            std::os::unix::fs::symlink(NAMES[0], draft.path().join(name)).unwrap();
        }
        // Another process may have come first.
        if std::fs::rename(draft.path(), &folder).is_ok() {
            let _ = draft.keep();
        }
    }
    folder
}

#[test]
fn all_tests_of_devices_pass_on_the_driver_of_nvidias() {
    if std::env::var_os("CROSSRX_TEST_GPU").is_some() {
        return;
    }
    let cache = HostDriver::test_cache();
    let libraries = build(&cache);
    let kernels = [Storage::F32, Storage::Bf16].map(|storage| built(&cache, storage).unwrap());
    let path = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let cubins = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["batch::", "check::tests::kernels", "device::cuda", "graph::", "op::", "train::"])
        .args(["--skip", "nvidia::resources", "--skip", "nvidia::cubins"])
        .env("LD_LIBRARY_PATH", format!("{}:{path}", libraries.display()))
        .env("CROSSRX_TEST_GPU", "0")
        .env("CROSSRX_CACHE", cubins.path())
        .env("CROSSRX_STAND_IN_F32", &kernels[0])
        .env("CROSSRX_STAND_IN_BF16", &kernels[1])
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{text}");
    let kept = std::fs::read_dir(cubins.path().join("kernels")).unwrap().count();
    assert_eq!(kept, 2 * crate::device::cuda::SOURCES.len(), "the driver was not used: {text}");
}
