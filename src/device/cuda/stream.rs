use super::{Address, Argument, CudaProduct, Driver, Kernel, Launch, Memory, Recording, Storage};
use crate::Result;
use std::rc::Rc;

/// Where work for a device is put, to be done in that order. Clones share it.
#[derive(Clone)]
pub struct Stream {
    driver: Rc<dyn Driver>,
    records: bool,
}

/// Threads of a block where nothing asks for another number.
const THREADS: u32 = 256;

impl Stream {
    /// Of this driver. Steps that come again and again are recorded, unless `CROSSRX_CUDA_GRAPHS` is `no`.
    pub fn new(driver: Rc<dyn Driver>) -> Self {
        let records = std::env::var_os("CROSSRX_CUDA_GRAPHS").is_none_or(|wish| wish != "no");
        Self { driver, records }
    }

    /// The same, on which nothing should be recorded.
    pub fn unrecorded(&self) -> Self {
        Self { records: false, ..self.clone() }
    }

    /// Whether steps that come again and again should be recorded.
    pub fn records(&self) -> bool {
        self.records
    }

    pub(super) fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    /// What the device is called, for people.
    pub fn name(&self) -> String {
        self.driver.name()
    }

    /// Bytes of memory that are free, and all of them.
    pub fn memory(&self) -> Result<[usize; 2]> {
        self.driver.memory()
    }

    /// Memory of so many bytes, all zero.
    pub fn zeros(&self, bytes: usize) -> Result<Memory> {
        // Something to point to, even for nothing.
        let bytes = bytes.max(16);
        let memory = Memory::new(self.clone(), self.driver.allocate(bytes)?, bytes);
        memory.zero()?;
        Ok(memory)
    }

    /// Memory that holds `values`.
    pub fn holding<T: bytemuck::NoUninit>(&self, values: &[T]) -> Result<Memory> {
        let memory = self.zeros(size_of_val(values))?;
        memory.upload(0, values)?;
        Ok(memory)
    }

    /// Runs `kernel`, compiled for tensors of `storage`, on `grid` blocks of `block` threads, each `[x, y]`.
    pub fn launch(
        &self,
        kernel: Kernel,
        storage: Storage,
        grid: [usize; 2],
        block: [usize; 2],
        arguments: &[Argument],
    ) -> Result<()> {
        let [grid, block] = [grid, block].map(|sizes| sizes.map(|n| n as u32));
        if grid.contains(&0) {
            return Ok(());
        }
        self.driver.launch(&Launch { kernel, storage, grid, block, arguments })
    }

    /// Runs `kernel` on at least `count` threads in one dimension.
    pub fn launch_over(
        &self,
        kernel: Kernel,
        storage: Storage,
        count: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        let blocks = count.div_ceil(THREADS as usize);
        self.launch(kernel, storage, [blocks, 1], [THREADS as usize, 1], arguments)
    }

    /// Multiplies.
    pub fn product(&self, product: &CudaProduct) -> Result<()> {
        let (m, n, k) = product.shape();
        if m == 0 || n == 0 {
            return Ok(());
        }
        debug_assert!(k > 0, "a product over nothing");
        self.driver.product(product)
    }

    /// Keeps the memory of `values` where it is, so that copies from and to it go straight; undone
    /// by [`Stream::unpin`] before it is freed.
    pub fn pin<T: bytemuck::NoUninit>(&self, values: &[T]) -> Result<()> {
        self.driver.pin(bytemuck::cast_slice(values))
    }

    /// Undoes [`Stream::pin`].
    pub fn unpin<T: bytemuck::NoUninit>(&self, values: &[T]) {
        self.driver.unpin(bytemuck::cast_slice(values));
    }

    /// Copies within the device.
    pub fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        self.driver.copy(to, from, bytes)
    }

    /// Sets bytes to zero.
    pub fn zero(&self, at: Address, bytes: usize) -> Result<()> {
        self.driver.zero(at, bytes)
    }

    /// What `work` asks for runs beside what is asked for after, until [`Stream::join`].
    pub fn aside(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.driver.aside()?;
        let worked = work();
        worked.and(self.driver.back())
    }

    /// What follows comes after all that went aside.
    pub fn join(&self) -> Result<()> {
        self.driver.join()
    }

    /// The CUDA stream that work goes to now, for libraries that take one.
    pub fn handle(&self) -> usize {
        self.driver.handle()
    }

    /// What tells the device from all others, on this machine and elsewhere.
    pub fn identity(&self) -> Result<String> {
        self.driver.identity()
    }

    /// Records what `work` asks for, without doing it.
    pub fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Recorded> {
        self.driver.record()?;
        let worked = work();
        let recorded = self.driver.recorded();
        let recording = worked.and(recorded)?;
        Ok(Recorded { stream: self.clone(), recording })
    }

    /// Waits until all is done.
    pub fn wait(&self) -> Result<()> {
        self.driver.wait()
    }
}

/// What was recorded of a stream, until it is dropped.
#[derive(Debug)]
pub struct Recorded {
    stream: Stream,
    recording: Recording,
}

impl Recorded {
    /// Does it once more.
    pub fn replay(&self) -> Result<()> {
        self.stream.driver.replay(self.recording)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.stream.driver.forget(self.recording);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream of {}", self.name())
    }
}
