//! A device of NVIDIA's as a [`Driver`]: libcuda for memory, launches and graphs, NVRTC for the kernels, cuBLASLt
//! for products. All three are looked for when a device is opened; nothing of CUDA's is needed to build.

mod column_major;
mod context;
mod cubins;
mod cublaslt;
mod library;
mod nccl;
mod nvrtc;
#[cfg(test)]
mod resources;
mod side;
#[cfg(test)]
mod stand_in;
mod upload;

use super::{Address, CudaProduct, Driver, Kernel, Launch, Recording, SOURCES, Storage};
use crate::{Error, Result};
pub use context::{Architecture, Properties, count, free_memory, properties, start};
use context::{Block, Context, device, identity, told, why};
use cubins::Cubins;
use cublaslt::Products;
use cudarc::driver::result;
use cudarc::driver::sys;
use side::Side;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::path::PathBuf;
use upload::Uploads;

/// Version and file of a library.
pub type Version = (String, Option<PathBuf>);

/// The libraries that a driver for CUDA `driver_major` is used with: what each is for, and its version and file or
/// why it cannot be used.
pub fn libraries(driver_major: u32) -> Vec<(&'static str, Result<Version>)> {
    vec![
        ("NVRTC", nvrtc::version(driver_major)),
        ("cuBLASLt", cublaslt::version(driver_major)),
        ("NCCL", nccl::version()),
    ]
}

/// A kernel as loaded, with the kinds of its arguments.
struct Loaded {
    function: sys::CUfunction,
    parameters: Vec<u8>,
}

/// One device of NVIDIA's and one stream on it. It is used by one thread, which may use several of them.
pub struct NvidiaDriver {
    // Fields are dropped in this order: the context goes last.
    products: OnceCell<Products>,
    uploads: Uploads,
    kernels: RefCell<HashMap<(Kernel, Storage), Loaded>>,
    modules: RefCell<Vec<sys::CUmodule>>,
    cubins: Cubins,
    recording: Cell<bool>,
    /// By number.
    recordings: RefCell<HashMap<usize, sys::CUgraphExec>>,
    recorded: Cell<usize>,
    /// Given back while a recording was under way.
    doomed: RefCell<Vec<Block>>,
    blocks: RefCell<HashMap<u64, Block>>,
    side: Side,
    stream: sys::CUstream,
    name: String,
    identity: String,
    architecture: Architecture,
    driver_major: u32,
    context: Context,
}

impl NvidiaDriver {
    /// Opens device `index`. Its kernels are compiled or taken from the cache when first used, those for tensors
    /// of one storage all at once.
    pub fn new(index: usize) -> Result<Self> {
        let [driver_major, _] = start()?;
        let count = count()?;
        if index >= count {
            return Err(Error::Device(format!(
                "no GPU {index}: this process sees {count} (CUDA_VISIBLE_DEVICES)"
            )));
        }
        let device = device(index)?;
        let Properties { name, architecture, .. } = properties(index)?;
        if architecture < Architecture::FIRST {
            let first = Architecture::FIRST;
            return Err(Error::Device(format!(
                "GPU {index} ({name}) is {architecture}; {first} or later is needed"
            )));
        }
        let context = Context::new(device, index)?;
        context.make_current()?;
        let uploads = Uploads::new()?;
        // One that does not wait for the default stream, nor lets it wait.
        let stream =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(told("a stream"))?;
        Ok(Self {
            products: OnceCell::new(),
            uploads,
            kernels: RefCell::default(),
            modules: RefCell::default(),
            cubins: Cubins::new(architecture, driver_major),
            recording: Cell::new(false),
            recordings: RefCell::default(),
            recorded: Cell::new(0),
            doomed: RefCell::default(),
            blocks: RefCell::default(),
            side: Side::new()?,
            stream,
            identity: identity(device).map_err(told(format!("GPU {index}")))?,
            name: format!("GPU {index} ({name}, {architecture})"),
            architecture,
            driver_major,
            context,
        })
    }

    /// Loads all kernels for tensors of `storage`.
    fn load(&self, storage: Storage) -> Result<()> {
        let mut kernels = self.kernels.borrow_mut();
        for (source, cubin) in SOURCES.iter().zip(self.cubins.of(SOURCES, storage)?) {
            let what = || format!("kernels of {}.cu for {}", source.name, self.name);
            // SAFETY: a whole cubin, whose length libcuda reads from its own header.
            let module = unsafe { result::module::load_data(cubin.as_ptr().cast::<c_void>()) }.map_err(|e| {
                Error::Device(format!(
                    "{}: {}; if it is the compiler that is too new for the driver (CUDA {}), load a CUDA toolkit of \
                     its version and remove the cache",
                    what(),
                    why(e),
                    self.driver_major
                ))
            })?;
            self.modules.borrow_mut().push(module);
            for name in source.kernels() {
                let c_name = CString::new(name).map_err(|_| Error::Device(what()))?;
                // Asking for a function loads its code too, where the driver would else do that at its first
                // launch.
                // SAFETY: a module that is loaded.
                let function = unsafe { result::module::get_function(module, c_name) }
                    .map_err(told(format!("{name}, {}", what())))?;
                let loaded = Loaded { function, parameters: source.parameters(name) };
                kernels.insert((Kernel::new(source.name, name), storage), loaded);
            }
        }
        Ok(())
    }

    /// The stream that work goes to now.
    fn current(&self) -> sys::CUstream {
        self.side.current(self.stream)
    }

    /// What multiplies, made when first asked for.
    fn products(&self) -> Result<&Products> {
        if self.products.get().is_none() {
            // It was empty, and this thread alone uses it.
            let _ = self.products.set(Products::new(self.architecture, self.driver_major)?);
        }
        self.products.get().ok_or_else(|| Error::Device("cuBLASLt is not there".into()))
    }

    /// Refuses what would be done at once, amid a recording of what is to be done later.
    fn not_recording(&self, what: &str) -> Result<()> {
        if self.recording.get() {
            return Err(Error::Device(format!("{what} cannot be recorded")));
        }
        Ok(())
    }

    fn end_capture(&self) -> Result<sys::CUgraph> {
        self.recording.set(false);
        self.context.make_current()?;
        // SAFETY: a stream whose capture was begun by this thread.
        let ended = unsafe { result::stream::end_capture(self.stream) }.map_err(told("recording"));
        let doomed = self.doomed.take();
        if !doomed.is_empty() {
            self.wait()?;
        }
        ended
    }
}

impl Driver for NvidiaDriver {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn memory(&self) -> Result<[usize; 2]> {
        self.context.make_current()?;
        result::mem_get_info().map(|(free, all)| [free, all]).map_err(told("free memory"))
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.context.make_current()?;
        // cuMemAlloc aligns for any kind of variable, which has been 256 bytes or more on every device.
        let block = Block::new(bytes.max(1)).map_err(|e| {
            let free = result::mem_get_info().map_or(0, |(free, _)| free);
            Error::Device(format!(
                "{bytes} bytes of memory of {}, where {free} are free: {}",
                self.name,
                why(e)
            ))
        })?;
        let at = block.0;
        self.blocks.borrow_mut().insert(at, block);
        Ok(Address(at))
    }

    fn release(&self, at: Address) {
        let Some(block) = self.blocks.borrow_mut().remove(&at.0) else { return };
        if self.recording.get() {
            self.doomed.borrow_mut().push(block);
            return;
        }
        // cuMemFree is not promised to wait for what still uses the memory. Once a device has failed, every wait
        // does, and the first one has been told.
        if let Err(error) = self.wait() {
            log::debug!("{error}");
        }
    }

    fn upload(&self, to: Address, from: &[u8]) -> Result<()> {
        self.not_recording("an upload")?;
        if from.is_empty() {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: `Memory` has checked that there is room; the stream is this device's.
        unsafe { self.uploads.upload(to, from, self.stream) }
    }

    fn download(&self, to: &mut [u8], from: Address) -> Result<()> {
        self.not_recording("a download")?;
        if to.is_empty() {
            return self.wait();
        }
        self.context.make_current()?;
        // SAFETY: `Memory` has checked that there is as much; waited for before `to` is seen again.
        let copied = unsafe { result::memcpy_dtoh_async(to, from.0, self.stream) };
        // Also after a failure, as part of the copy may be under way.
        self.wait()?;
        copied.map_err(told("a copy from the device"))
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: both are memory of this device, of a length that the caller vouches for.
        unsafe { result::memcpy_dtod_async(to.0, from.0, bytes, self.current()) }
            .map_err(told(format!("a copy of {bytes} bytes within the device")))
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: memory of this device, of a length that the caller vouches for.
        unsafe { result::memset_d8_async(at.0, 0, bytes, self.current()) }
            .map_err(told(format!("setting {bytes} bytes to zero")))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        let Launch { kernel, storage, grid, block, arguments } = *launch;
        let what =
            || format!("kernel {} of {}.cu on {grid:?} blocks of {block:?}", kernel.name, kernel.source);
        self.context.make_current()?;
        let key = (kernel, storage);
        if !self.kernels.borrow().contains_key(&key) {
            self.load(storage)?;
        }
        let kernels = self.kernels.borrow();
        let Some(loaded) = kernels.get(&key) else {
            return Err(Error::Device(format!("{}: no such kernel", what())));
        };
        if !arguments.iter().map(super::Argument::kind).eq(loaded.parameters.iter().copied()) {
            return Err(Error::Device(format!("{}: it takes other arguments", what())));
        }
        let mut values: Vec<*mut c_void> = arguments.iter().map(super::Argument::value).collect();
        // SAFETY: as many values of the kinds that the kernel takes, which libcuda copies; that it stays within
        // the memory they point to is for the caller to vouch.
        unsafe {
            result::launch_kernel(
                loaded.function,
                (grid[0], grid[1], 1),
                (block[0], block[1], 1),
                0,
                self.current(),
                &mut values,
            )
        }
        .map_err(|e| told(what())(e))
    }

    fn product(&self, product: &CudaProduct) -> Result<()> {
        if self.current() != self.stream {
            return Err(Error::Device("a product cannot go beside others, whose workspace it shares".into()));
        }
        self.context.make_current()?;
        self.products()?.multiply(product, self.stream)
    }

    fn pin(&self, memory: &[u8]) -> Result<()> {
        if memory.is_empty() {
            return Ok(());
        }
        self.context.make_current()?;
        // SAFETY: memory of this process, which the caller keeps until `unpin`.
        unsafe { sys::cuMemHostRegister_v2(memory.as_ptr().cast_mut().cast(), memory.len(), 0) }
            .result()
            .map_err(told(format!("pinning {} bytes of the host's memory", memory.len())))
    }

    fn unpin(&self, memory: &[u8]) {
        if memory.is_empty() || self.context.make_current().is_err() {
            return;
        }
        // SAFETY: pinned by `pin`; a failure leaves it pinned, which harms nobody.
        let _ = unsafe { sys::cuMemHostUnregister(memory.as_ptr().cast_mut().cast()) };
    }

    fn aside(&self) -> Result<()> {
        self.context.make_current()?;
        self.side.fork(self.stream)
    }

    fn back(&self) -> Result<()> {
        self.side.back();
        Ok(())
    }

    fn join(&self) -> Result<()> {
        self.context.make_current()?;
        self.side.join(self.stream)
    }

    fn handle(&self) -> usize {
        self.current() as usize
    }

    fn identity(&self) -> Result<String> {
        Ok(self.identity.clone())
    }

    fn record(&self) -> Result<()> {
        self.not_recording("a recording")?;
        self.context.make_current()?;
        // cuBLASLt takes memory and waits for the device when it starts, which is not to happen in a recording.
        self.products()?;
        // Relaxed: kernels of ours and of cuBLASLt's that are used here first are loaded meanwhile, and another
        // thread may take memory. In the stricter modes either would spoil the recording.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: a stream that is not capturing.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(told("recording"))?;
        self.recording.set(true);
        Ok(())
    }

    fn recorded(&self) -> Result<Recording> {
        let graph = self.end_capture()?;
        // SAFETY: a graph that was captured whole, destroyed here only; what is made of it does not need it.
        let made = unsafe {
            let made = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            let _ = result::graph::destroy(graph);
            made
        };
        let made = made.map_err(told("making a graph of what was recorded"))?;
        let number = self.recorded.get();
        self.recorded.set(number + 1);
        self.recordings.borrow_mut().insert(number, made);
        Ok(Recording(number))
    }

    fn replay(&self, Recording(number): Recording) -> Result<()> {
        self.context.make_current()?;
        let recordings = self.recordings.borrow();
        let Some(&graph) = recordings.get(&number) else {
            return Err(Error::Device(format!("no recording {number}")));
        };
        // SAFETY: destroyed by `forget` or with `self`, which take it from the list.
        unsafe { result::graph::launch(graph, self.stream) }.map_err(told("replaying what was recorded"))
    }

    fn forget(&self, Recording(number): Recording) {
        // Waiting would spoil a recording under way; what is not forgotten goes with the driver.
        if self.recording.get() {
            return;
        }
        let Some(graph) = self.recordings.borrow_mut().remove(&number) else { return };
        if let Err(error) = self.wait() {
            log::warn!("{error}");
        }
        // SAFETY: made by this driver, destroyed here only, and done.
        let _ = unsafe { result::graph::exec_destroy(graph) };
    }

    fn wait(&self) -> Result<()> {
        self.context.make_current()?;
        // SAFETY: destroyed with `self` only.
        let first = unsafe { result::stream::synchronize(self.stream) };
        self.side.wait().and(first).map_err(told(format!("waiting for {}", self.name)))
    }
}

impl Drop for NvidiaDriver {
    fn drop(&mut self) {
        if self.recording.get()
            && let Ok(graph) = self.end_capture()
        {
            // SAFETY: captured, and destroyed here only.
            let _ = unsafe { result::graph::destroy(graph) };
        }
        // Nothing can be done about failures: after one, libcuda may refuse all that follows.
        if let Err(error) = self.wait() {
            log::warn!("{error}");
        }
        for graph in self.recordings.take().into_values() {
            // SAFETY: made by this driver, destroyed here only, and done.
            let _ = unsafe { result::graph::exec_destroy(graph) };
        }
        for module in self.modules.take() {
            // SAFETY: loaded by this driver, unloaded here only; none of its kernels runs any more.
            let _ = unsafe { result::module::unload(module) };
        }
        // SAFETY: created by this driver, destroyed here only.
        let _ = unsafe { result::stream::destroy(self.stream) };
    }
}
