use crate::{Error, Result};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};

/// A device's compute capability, `[major, minor]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(pub [u32; 2]);

impl Architecture {
    /// The first one that the kernels are written for.
    pub const FIRST: Self = Self([7, 0]);

    /// As compilers number it: 90 for 9.0.
    pub fn number(self) -> u32 {
        self.0[0] * 10 + self.0[1]
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sm_{}", self.number())
    }
}

/// An error of libcuda's while at `what`, by its own name and text.
pub fn told(what: impl std::fmt::Display) -> impl FnOnce(DriverError) -> Error {
    move |error| Error::Device(format!("{what}: {}", why(error)))
}

/// What libcuda calls an error, and says of it.
pub fn why(error: DriverError) -> String {
    // A driver newer than these lines may know codes that they do not, so nothing is matched on.
    let text = |got: Result<&std::ffi::CStr, DriverError>| {
        got.map_or_else(|_| "unknown error".into(), |text| text.to_string_lossy().into_owned())
    };
    format!("{} ({})", text(error.error_name()), text(error.error_string()))
}

/// Starts libcuda and returns the version of CUDA that it is for, `[major, minor]`. Fails where there is none.
pub fn start() -> Result<[u32; 2]> {
    // SAFETY: it opens libcuda and closes it again.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::Device(
            "no CUDA driver here (libcuda.so.1 is not found); NVIDIA's driver brings it, and in a container the \
             option that passes GPUs on (docker --gpus all, apptainer --nv)"
                .into(),
        ));
    }
    let mut version = 0;
    // SAFETY: a place for the number; this function works before cuInit.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(told("the CUDA driver's version"))?;
    let version = [version / 1000, version % 1000 / 10].map(i32::unsigned_abs);
    if version < [12, 0] {
        let [major, minor] = version;
        return Err(Error::Device(format!(
            "the CUDA driver is for CUDA {major}.{minor}; CUDA 12.0 or later is needed (driver 525 or later)"
        )));
    }
    result::init().map_err(told("starting CUDA"))?;
    Ok(version)
}

/// What a device is.
#[derive(Debug, Clone)]
pub struct Properties {
    /// Its name.
    pub name: String,
    /// What tells it from all others.
    pub identity: String,
    /// Its architecture.
    pub architecture: Architecture,
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of memory.
    pub memory: usize,
}

/// What tells a device from all others.
pub fn identity(device: sys::CUdevice) -> Result<String, DriverError> {
    let id = result::device::get_uuid(device)?;
    Ok(id.bytes.iter().map(|&byte| format!("{:02x}", byte as u8)).collect())
}

/// How many devices this process may use. [`start`] comes first.
pub fn count() -> Result<usize> {
    let count = result::device::get_count().map_err(told("counting GPUs"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// What device `index` is. [`start`] comes first.
pub fn properties(index: usize) -> Result<Properties> {
    properties_of(device(index)?).map_err(told(format!("GPU {index}")))
}

/// Device `index`. [`start`] comes first.
pub fn device(index: usize) -> Result<sys::CUdevice> {
    let ordinal = i32::try_from(index).unwrap_or(i32::MAX);
    result::device::get(ordinal).map_err(told(format!("GPU {index}")))
}

fn properties_of(device: sys::CUdevice) -> Result<Properties, DriverError> {
    // SAFETY: a device that libcuda has returned.
    let number =
        |attribute| unsafe { result::device::get_attribute(device, attribute) }.map(i32::unsigned_abs);
    Ok(Properties {
        name: result::device::get_name(device)?,
        identity: identity(device)?,
        architecture: Architecture([
            number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ]),
        multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
    })
}

/// Bytes of memory of device `index` that are free. It takes the device for a moment, which can fail where
/// another process has it for itself. [`start`] comes first.
pub fn free_memory(index: usize) -> Result<usize> {
    let context = Context::new(device(index)?, index)?;
    context.make_current()?;
    result::mem_get_info().map(|(free, _)| free).map_err(told(format!("memory of GPU {index}")))
}

/// A device's primary context, which everything in the process that uses the device shares.
pub struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
}

impl Context {
    /// Takes the device `index`.
    pub fn new(device: sys::CUdevice, index: usize) -> Result<Self> {
        // SAFETY: a device that libcuda has returned; released when dropped.
        let context =
            unsafe { result::primary_ctx::retain(device) }.map_err(told(format!("taking GPU {index}")))?;
        Ok(Self { device, context })
    }

    /// Makes what this thread asks for be asked of this device.
    pub fn make_current(&self) -> Result<()> {
        // SAFETY: a context that is retained.
        unsafe { result::ctx::set_current(self.context) }.map_err(told("making a GPU current"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained in `new`, released here only.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// Memory of the device, given back when dropped.
pub struct Block(pub sys::CUdeviceptr);

impl Block {
    /// Takes so many bytes of the device whose context is current.
    pub fn new(bytes: usize) -> Result<Self, DriverError> {
        // SAFETY: what is in the memory is written before it is read.
        unsafe { result::malloc_sync(bytes) }.map(Self)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, given back here only, once the stream that uses it has been waited for.
        let _ = unsafe { result::free_sync(self.0) };
    }
}
