//! Every kernel compiles for every architecture that matters, spills nothing, and takes the registers and the
//! shared memory that `kernels/resources.tsv` says. `make kernels-table` writes that table anew.

use super::Architecture;
use super::nvrtc::Nvrtc;
use crate::device::cuda::{SOURCES, Source, Storage};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// V100, A100, H100, B200.
const ARCHITECTURES: [Architecture; 4] =
    [Architecture([7, 0]), Architecture([8, 0]), Architecture([9, 0]), Architecture([10, 0])];

/// Registers that another version of the compiler may take more than the table says.
const MORE: u32 = 8;

/// What the compiler says of a kernel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Resources {
    registers: u32,
    shared: u32,
    stack: u32,
    spilled: u32,
}

/// A kernel: source, name, numbers.
type Key = (String, String, &'static str);

/// Of a kernel for every architecture.
type Table = BTreeMap<Key, [Resources; 4]>;

/// The compiler that `make test` installs, or one of the machine's own.
fn nvrtc() -> Option<Nvrtc> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("venv/lib");
    let pythons = std::fs::read_dir(lib).into_iter().flatten().flatten();
    let installed =
        pythons.map(|python| python.path().join("site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"));
    match installed.into_iter().find(|path| path.exists()) {
        Some(path) => Some(Nvrtc::at(&path).unwrap()),
        None => Nvrtc::open(12, None).ok(),
    }
}

/// Reads what `--ptxas-options=-v` makes the compiler print: three lines a kernel.
fn read(log: &str) -> BTreeMap<String, Resources> {
    let mut kernels: BTreeMap<String, Resources> = BTreeMap::new();
    let mut name = String::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            name = rest.split('\'').next().unwrap().into();
        }
        let before = |what: &str| -> Option<u32> {
            line.split_once(what)?.0.split_whitespace().next_back()?.parse().ok()
        };
        let kernel = kernels.entry(name.clone()).or_default();
        if let (Some(stack), Some(stores), Some(loads)) =
            (before(" bytes stack frame"), before(" bytes spill stores"), before(" bytes spill loads"))
        {
            (kernel.stack, kernel.spilled) = (stack, stores + loads);
        }
        if let Some(registers) = before(" registers") {
            (kernel.registers, kernel.shared) = (registers, before(" bytes smem").unwrap_or(0));
        }
    }
    // What is said before the first kernel.
    kernels.remove("");
    kernels
}

fn compile_all(nvrtc: &Nvrtc) -> Table {
    let work: Vec<(&Source, Storage, usize)> = SOURCES
        .iter()
        .flat_map(|source| [Storage::F32, Storage::Bf16].map(|storage| (source, storage)))
        .flat_map(|(source, storage)| (0..ARCHITECTURES.len()).map(move |at| (source, storage, at)))
        .collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(&(source, storage, at)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let compiled = nvrtc.compile(source, storage, ARCHITECTURES[at], true).unwrap();
            assert!(compiled.cubin.starts_with(b"\x7fELF"), "{}.cu: no machine code", source.name);
            done.push((source, storage, at, read(&compiled.log)));
        }
        done
    };
    let mut table = Table::new();
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        for (source, storage, at, kernels) in workers.into_iter().flat_map(|worker| worker.join().unwrap()) {
            for name in source.kernels() {
                let found = kernels.get(name).unwrap_or_else(|| panic!("{}.cu: no {name}", source.name));
                let numbers = if storage == Storage::Bf16 { "bf16" } else { "f32" };
                table.entry((source.name.into(), name.into(), numbers)).or_default()[at] = *found;
            }
        }
    });
    table
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/resources.tsv")
}

fn text(table: &Table) -> String {
    let mut text = String::from("source\tkernel\tnumbers\tshared");
    for architecture in ARCHITECTURES {
        write!(text, "\t{architecture}").unwrap();
    }
    text.push('\n');
    for ((source, kernel, numbers), resources) in table {
        let shared = resources.iter().map(|of| of.shared).max().unwrap();
        write!(text, "{source}\t{kernel}\t{numbers}\t{shared}").unwrap();
        for of in resources {
            write!(text, "\t{}", of.registers).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn kernels_compile_spill_nothing_and_take_what_the_table_says() {
    let Some(nvrtc) = nvrtc() else {
        eprintln!("skipped: kernels are not compiled for devices, as NVRTC is not installed");
        return;
    };
    let table = compile_all(&nvrtc);
    for (kernel, resources) in &table {
        for (of, architecture) in resources.iter().zip(ARCHITECTURES) {
            assert_eq!(
                (of.spilled, of.stack),
                (0, 0),
                "{kernel:?} on {architecture}: bytes spilled, of stack"
            );
            assert!(of.shared <= 48 << 10, "{kernel:?} on {architecture}: {} bytes shared", of.shared);
            assert!(of.registers > 0, "{kernel:?} on {architecture}: no registers told");
        }
    }
    if std::env::var_os("CROSSRX_WRITE_KERNELS_TABLE").is_some() {
        std::fs::write(path(), text(&table)).unwrap();
    }
    let kept = std::fs::read_to_string(path()).unwrap();
    let advice = "make kernels-table writes kernels/resources.tsv anew";
    let split = |text: &str| -> BTreeMap<String, Vec<u32>> {
        let lines = text.lines().skip(1).map(|line| line.splitn(4, '\t').collect::<Vec<_>>());
        let numbers = |cells: &str| cells.split('\t').map(|cell| cell.parse().unwrap()).collect();
        lines.map(|cells| (cells[..3].join(" "), numbers(cells[3]))).collect()
    };
    let (kept, found) = (split(&kept), split(&text(&table)));
    let names = |table: &BTreeMap<String, Vec<u32>>| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&kept), "kernels found, and those of the table; {advice}");
    for (kernel, found) in &found {
        let kept = &kept[kernel];
        assert_eq!(found[0], kept[0], "{kernel}: bytes of shared memory; {advice}");
        for ((found, kept), architecture) in found[1..].iter().zip(&kept[1..]).zip(ARCHITECTURES) {
            assert!(
                *found <= kept + MORE,
                "{kernel} on {architecture}: {found} registers, {kept} before; {advice}"
            );
        }
    }
}

#[test]
fn what_the_compiler_prints_is_read() {
    let log = "\
nvrtc: warning: Architectures prior to '<compute/sm>_75' are deprecated
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'finish' for 'sm_70'
ptxas info    : Function properties for finish
ptxas         .     24 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 31 registers, used 1 barriers, 1024 bytes smem, 380 bytes cmem[0]
ptxas info    : Compiling entry function 'put' for 'sm_70'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers
";
    let kernels = read(log);
    assert_eq!(kernels.len(), 2);
    assert_eq!(kernels["finish"], Resources { registers: 31, shared: 1024, stack: 24, spilled: 24 });
    assert_eq!(kernels["put"], Resources { registers: 12, ..Resources::default() });
}

#[test]
fn what_cannot_be_compiled_says_why() {
    let Some(nvrtc) = nvrtc() else {
        eprintln!("skipped: kernels are not compiled for devices, as NVRTC is not installed");
        return;
    };
    let compile = |source: &Source, architecture| {
        nvrtc.compile(source, Storage::F32, Architecture(architecture), false).map(|compiled| compiled.cubin)
    };
    let why = |source: &Source, architecture| compile(source, architecture).unwrap_err().to_string();
    let add = SOURCES.iter().find(|source| source.name == "add").unwrap();
    let old = why(add, [99, 0]);
    assert!(old.contains("too old for sm_990") && old.contains("sm_90 "), "{old}");
    let new = why(add, [3, 5]);
    assert!(new.contains("too new for sm_35"), "{new}");
    // A compiler that does not know the device itself makes what its elder brother runs.
    assert!(compile(add, [8, 8]).unwrap().starts_with(b"\x7fELF"));
    let broken =
        Source { name: "broken", text: "#include \"crossrx.cuh\"\nKERNEL k(T* to) { to = nothing; }" };
    let said = why(&broken, [9, 0]);
    assert!(said.contains("broken.cu") && said.contains("nothing"), "{said}");
}
