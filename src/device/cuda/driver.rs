use super::{Address, CudaProduct, Launch};
use crate::Result;

/// A recorded run of launches, products and copies, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording(pub usize);

/// What a device does for a stream. Everything but allocation happens in the
/// order of the calls; only [`Driver::download`] and [`Driver::wait`] wait for it.
pub trait Driver {
    /// What the device is called, for people.
    fn name(&self) -> String;
    /// Bytes of memory that are free, and all of them.
    fn memory(&self) -> Result<[usize; 2]>;
    /// Takes memory, at a multiple of 256 bytes (16 on the host). Fails, saying how much was asked for, where there is none.
    fn allocate(&self, bytes: usize) -> Result<Address>;
    /// Gives memory back, once all that was asked for before is done.
    fn release(&self, at: Address);
    /// Copies from the host; when it returns, `from` may change.
    fn upload(&self, to: Address, from: &[u8]) -> Result<()>;
    /// Copies to the host, and waits for it.
    fn download(&self, to: &mut [u8], from: Address) -> Result<()>;
    /// Keeps host memory where it is, so that copies from and to it go straight; undone by
    /// [`Driver::unpin`] before it is freed. A device that has no use for it does nothing.
    fn pin(&self, _memory: &[u8]) -> Result<()> {
        Ok(())
    }
    /// Undoes [`Driver::pin`].
    fn unpin(&self, _memory: &[u8]) {}
    /// Copies within the device.
    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()>;
    /// Sets bytes to zero.
    fn zero(&self, at: Address, bytes: usize) -> Result<()>;
    /// Runs a kernel.
    fn launch(&self, launch: &Launch<'_>) -> Result<()>;
    /// Multiplies.
    fn product(&self, product: &CudaProduct) -> Result<()>;
    /// What follows goes beside: after all that was asked for so far, and at the same time as what is
    /// asked for after [`Driver::back`]. A device without a second stream goes on in order.
    fn aside(&self) -> Result<()> {
        Ok(())
    }
    /// What follows goes its usual way again.
    fn back(&self) -> Result<()> {
        Ok(())
    }
    /// What follows comes after all that went beside.
    fn join(&self) -> Result<()> {
        Ok(())
    }
    /// The CUDA stream that work goes to now, for libraries that take one; zero where there is none.
    fn handle(&self) -> usize {
        0
    }
    /// What tells the device from all others, on this machine and elsewhere.
    fn identity(&self) -> Result<String> {
        Ok(format!("process {}", std::process::id()))
    }
    /// Notes what follows, without doing it, until [`Driver::recorded`]. Uploads, downloads and
    /// allocations are not for recording.
    fn record(&self) -> Result<()>;
    /// Ends what [`Driver::record`] began.
    fn recorded(&self) -> Result<Recording>;
    /// Does what was recorded, once more.
    fn replay(&self, recording: Recording) -> Result<()>;
    /// Forgets a recording, once what was asked for before is done; it is not replayed any more.
    fn forget(&self, recording: Recording);
    /// Waits until all is done.
    fn wait(&self) -> Result<()>;
}
