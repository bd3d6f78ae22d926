use super::guarded::Guarded;
use super::kernel::HEADER;
use super::{
    Address, Argument, CudaMatrix, CudaProduct, Driver, Kernel, Launch, Precision, Recording, SOURCES,
    Storage,
};
use crate::checksum::checksum;
use crate::device::{MatRef, matmul};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Runs the kernels on the host: their sources, built by the C++ compiler
/// through `kernels/host/cuda_on_host.h`. For tests and for looking into a
/// kernel; thousands of times slower than a device. What a device would leave
/// undefined, such as arguments of other types than a kernel's or an address
/// outside all memory that was taken, ends in an error or an abort here.
pub struct HostDriver {
    /// For tensors of floats, then of bfloat16.
    libraries: [libloading::Library; 2],
    memory: RefCell<HashMap<u64, Guarded>>,
    recording: RefCell<Option<Vec<Step>>>,
    recordings: RefCell<Vec<Vec<Step>>>,
}

/// Kernels share their places for blocks and threads, so one runs at a time in a process.
static RUNNING: Mutex<()> = Mutex::new(());

/// Something recorded.
enum Step {
    Launch { kernel: Kernel, storage: Storage, grid: [u32; 2], block: [u32; 2], arguments: Vec<Argument> },
    Product(CudaProduct),
    Copy { to: Address, from: Address, bytes: usize },
    Zero { at: Address, bytes: usize },
}

/// What the host's C++ reads.
const HOST_HEADER: &str = include_str!("../../../kernels/host/cuda_on_host.h");

impl HostDriver {
    /// Builds the kernels, or takes them from `cache`, a folder, where they were built from the
    /// same sources before. Fails without a C++ compiler, which `CXX` may name.
    pub fn new(cache: &Path) -> Result<Self> {
        let libraries = [library(cache, Storage::F32)?, library(cache, Storage::Bf16)?];
        Ok(Self {
            libraries,
            memory: RefCell::default(),
            recording: RefCell::default(),
            recordings: RefCell::default(),
        })
    }

    /// A stream for tests, its kernels kept beside the build: on the host, or on the GPU whose number
    /// `CROSSRX_TEST_GPU` holds.
    #[cfg(test)]
    pub fn stream() -> super::Stream {
        match std::env::var("CROSSRX_TEST_GPU") {
            Ok(index) => super::devices::open(index.parse().unwrap()).unwrap(),
            Err(_) => super::Stream::new(std::rc::Rc::new(Self::new(&Self::test_cache()).unwrap())),
        }
    }

    /// Where the kernels of tests are kept.
    #[cfg(test)]
    pub(crate) fn test_cache() -> std::path::PathBuf {
        let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
        Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("kernels-on-host")
    }

    /// Notes a step where a recording is under way.
    fn noted(&self, step: impl FnOnce() -> Step) -> bool {
        self.recording.borrow_mut().as_mut().map(|steps| steps.push(step())).is_some()
    }

    fn run(
        &self,
        kernel: Kernel,
        storage: Storage,
        grid: [u32; 2],
        block: [u32; 2],
        arguments: &[Argument],
    ) -> Result<()> {
        let fault =
            |what: String| Error::Device(format!("kernel {} of {}.cu: {what}", kernel.name, kernel.source));
        let library = &self.libraries[storage as usize];
        let symbol = |prefix: &str| format!("{prefix}_{}_{}\0", kernel.source, kernel.name).into_bytes();
        // SAFETY: both symbols are made by the macro EXPORT, with these types.
        let (kinds, launch) = unsafe {
            let kinds = library.get::<unsafe extern "C" fn() -> *const c_char>(&symbol("kinds"));
            let launch = library
                .get::<unsafe extern "C" fn(*const u32, *const u32, *mut *mut c_void)>(&symbol("launch"));
            (kinds.map_err(|e| fault(e.to_string()))?, launch.map_err(|e| fault(e.to_string()))?)
        };
        // SAFETY: the symbol returns a text that lives as long as the library.
        let expected = unsafe { CStr::from_ptr(kinds()) }.to_bytes();
        let given: Vec<u8> = arguments.iter().map(Argument::kind).collect();
        if expected != given {
            let text = |kinds: &[u8]| String::from_utf8_lossy(kinds).into_owned();
            return Err(fault(format!("takes arguments {}, given {}", text(expected), text(&given))));
        }
        let threads = block[0] * block[1];
        if threads == 0 || threads > 1024 || grid[1] > 65535 || grid.contains(&0) {
            return Err(fault(format!("no device takes a grid of {grid:?} blocks of {block:?} threads")));
        }
        let mut values: Vec<*mut c_void> = arguments.iter().map(Argument::value).collect();
        let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the kernel takes these arguments, checked above; that it stays within the memory they
        // point to is what the tests that call this find out.
        unsafe { launch(grid.as_ptr(), block.as_ptr(), values.as_mut_ptr()) };
        Ok(())
    }

    fn do_step(&self, step: &Step) -> Result<()> {
        match step {
            Step::Launch { kernel, storage, grid, block, arguments } => {
                self.run(*kernel, *storage, *grid, *block, arguments)
            }
            Step::Product(product) => {
                multiply(product);
                Ok(())
            }
            Step::Copy { to, from, bytes } => {
                // SAFETY: as for the device, both ranges are memory that was taken from this driver.
                unsafe { std::ptr::copy(from.0 as *const u8, to.0 as *mut u8, *bytes) };
                Ok(())
            }
            Step::Zero { at, bytes } => {
                // SAFETY: as above.
                unsafe { std::ptr::write_bytes(at.0 as *mut u8, 0, *bytes) };
                Ok(())
            }
        }
    }

    fn step(&self, step: Step) -> Result<()> {
        let mut step = Some(step);
        if self.noted(|| step.take().unwrap_or_else(|| unreachable!("a step is noted once"))) {
            return Ok(());
        }
        step.map_or(Ok(()), |step| self.do_step(&step))
    }
}

impl Driver for HostDriver {
    fn name(&self) -> String {
        "kernels on the host".into()
    }

    fn memory(&self) -> Result<[usize; 2]> {
        Ok([1 << 34; 2])
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let memory = Guarded::zeros(bytes.max(1))?;
        let at = memory.at();
        self.memory.borrow_mut().insert(at, memory);
        Ok(Address(at))
    }

    fn release(&self, at: Address) {
        self.memory.borrow_mut().remove(&at.0);
    }

    fn upload(&self, to: Address, from: &[u8]) -> Result<()> {
        // SAFETY: `to` is memory of this driver, of a length that `Memory` has checked.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.0 as *mut u8, from.len()) };
        Ok(())
    }

    fn download(&self, to: &mut [u8], from: Address) -> Result<()> {
        // SAFETY: as in `upload`.
        unsafe { std::ptr::copy_nonoverlapping(from.0 as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        self.step(Step::Copy { to, from, bytes })
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<()> {
        self.step(Step::Zero { at, bytes })
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        let Launch { kernel, storage, grid, block, arguments } = *launch;
        if self.noted(|| Step::Launch { kernel, storage, grid, block, arguments: arguments.to_vec() }) {
            return Ok(());
        }
        self.run(kernel, storage, grid, block, arguments)
    }

    fn product(&self, product: &CudaProduct) -> Result<()> {
        self.step(Step::Product(*product))
    }

    fn record(&self) -> Result<()> {
        *self.recording.borrow_mut() = Some(Vec::new());
        Ok(())
    }

    fn recorded(&self) -> Result<Recording> {
        let steps = self.recording.borrow_mut().take().unwrap_or_default();
        let mut recordings = self.recordings.borrow_mut();
        recordings.push(steps);
        Ok(Recording(recordings.len() - 1))
    }

    fn replay(&self, recording: Recording) -> Result<()> {
        let recordings = self.recordings.borrow();
        recordings[recording.0].iter().try_for_each(|step| self.do_step(step))
    }

    fn forget(&self, recording: Recording) {
        self.recordings.borrow_mut()[recording.0] = Vec::new();
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

/// The kernels for tensors of `storage`, built if need be.
fn library(cache: &Path, storage: Storage) -> Result<libloading::Library> {
    let path = built(cache, storage)?;
    // SAFETY: a library of kernels, which has no code that runs on loading but its own constructors.
    unsafe { libloading::Library::new(&path) }
        .map_err(|e| Error::Device(format!("{}: cannot be loaded: {e}", path.display())))
}

/// The file of the library.
pub(super) fn built(cache: &Path, storage: Storage) -> Result<PathBuf> {
    let mut text = String::from("#include \"crossrx.cuh\"\n");
    for source in SOURCES {
        // A kernel's name is its own only in its source.
        text += &format!("namespace {}_cu {{\n", source.name);
        text += &source.text.replace("#include \"crossrx.cuh\"", "").replace("KERNEL ", "static void ");
        for kernel in source.kernels() {
            text += &format!("\nEXPORT({}, {kernel})", source.name);
        }
        text += "\n}\n";
    }
    let define = if storage == Storage::Bf16 { "-DBF16" } else { "-DF32" };
    let all = [HEADER, HOST_HEADER, &text, define].concat();
    let path = cache.join(format!("kernels-on-host-{}.so", checksum(all.as_bytes())));
    if !path.exists() {
        build(cache, &path, &text, define)?;
    }
    Ok(path)
}

fn build(cache: &Path, path: &PathBuf, text: &str, define: &str) -> Result<()> {
    let failed = |what: String| Error::Device(format!("kernels cannot be built for the host: {what}"));
    let io = |e: std::io::Error| failed(format!("{}: {e}", cache.display()));
    std::fs::create_dir_all(cache).map_err(io)?;
    let folder = tempfile::Builder::new().prefix(".partial-kernels").tempdir_in(cache).map_err(io)?;
    for (name, text) in [("crossrx.cuh", HEADER), ("cuda_on_host.h", HOST_HEADER), ("kernels.cpp", text)] {
        std::fs::write(folder.path().join(name), text).map_err(io)?;
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let made = folder.path().join("kernels.so");
    let output = Command::new(&compiler)
        .args([
            "-std=c++17",
            "-O1",
            "-g",
            "-fPIC",
            "-shared",
            "-Wno-unknown-pragmas",
            "-DCROSSRX_ON_HOST",
            define,
        ])
        .arg("-o")
        .arg(&made)
        .arg(folder.path().join("kernels.cpp"))
        .output()
        .map_err(|e| failed(format!("{compiler}: {e}; install a C++ compiler or name one with CXX")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    std::fs::rename(made, path).map_err(io)
}

/// A product as a device computes it: factors as they are stored, sums in single precision, the result rounded once.
fn multiply(product: &CudaProduct) {
    let (m, n, k) = product.shape();
    let values = |matrix: &CudaMatrix, [rows, columns]: [usize; 2]| -> Vec<f32> {
        (0..rows).flat_map(|row| (0..columns).map(move |column| get(matrix, row, column))).collect()
    };
    let factor = |matrix: &CudaMatrix, shape: [usize; 2]| {
        let mut values = values(matrix, shape);
        if product.precision == Precision::Tf32 {
            // As tensor cores take them, which read the first 19 bits.
            values.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits() & !0x1fff));
        }
        values
    };
    let (a, b) = (factor(&product.a, [m, k]), factor(&product.b, [k, n]));
    let mut d = if product.accumulate { values(&product.d, [m, n]) } else { vec![0.0; m * n] };
    matmul(&mut d, MatRef::new(&a, m, k), MatRef::new(&b, k, n), product.accumulate);
    let bias = product.bias.map(|at| {
        let bias = CudaMatrix { at, rows: 1, columns: n, stride: n, transposed: false, ..product.d };
        values(&bias, [1, n])
    });
    for (i, row) in d.chunks_exact(n).enumerate() {
        for (j, &sum) in row.iter().enumerate() {
            let sum = sum + bias.as_ref().map_or(0.0, |bias| bias[j]);
            put(&product.d, i, j, if product.relu && sum < 0.0 { 0.0 } else { sum });
        }
    }
}

fn place(matrix: &CudaMatrix, row: usize, column: usize) -> u64 {
    let (row, column) = if matrix.transposed { (column, row) } else { (row, column) };
    matrix.at.offset((row * matrix.stride + column) * matrix.storage.bytes()).0
}

fn get(matrix: &CudaMatrix, row: usize, column: usize) -> f32 {
    let at = place(matrix, row, column);
    match matrix.storage {
        // SAFETY: within a matrix in memory of this driver.
        Storage::F32 => unsafe { (at as *const f32).read() },
        Storage::Bf16 => {
            // SAFETY: as above.
            let bits = unsafe { (at as *const u16).read() };
            f32::from_bits(u32::from(bits) << 16)
        }
    }
}

fn put(matrix: &CudaMatrix, row: usize, column: usize, value: f32) {
    let at = place(matrix, row, column);
    match matrix.storage {
        // SAFETY: as in `get`.
        Storage::F32 => unsafe { (at as *mut f32).write(value) },
        // SAFETY: as in `get`.
        Storage::Bf16 => unsafe { (at as *mut u16).write(bf16(value)) },
    }
}

/// Rounds to the nearest bfloat16, ties to even.
fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
