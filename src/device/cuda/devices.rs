use super::Stream;
#[cfg(feature = "cuda")]
use super::nvidia;
#[cfg(not(feature = "cuda"))]
use crate::Error;
use crate::Result;
use std::path::PathBuf;

/// A GPU that this process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its number among those that this process sees.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What tells it from all others, of any host.
    pub identity: String,
    /// Its architecture, such as `sm_90`.
    pub architecture: String,
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of memory.
    pub memory: usize,
}

/// The GPUs here, or why there are none: no driver, none that this process sees, or a program that was built
/// without them.
pub fn list() -> Result<Vec<Gpu>> {
    #[cfg(feature = "cuda")]
    {
        nvidia::start()?;
        let gpu = |index| {
            let nvidia::Properties { name, identity, architecture, multiprocessors, memory } =
                nvidia::properties(index)?;
            let architecture = architecture.to_string();
            Ok(Gpu { index, name, identity, architecture, multiprocessors, memory })
        };
        (0..nvidia::count()?).map(gpu).collect()
    }
    #[cfg(not(feature = "cuda"))]
    Err(without())
}

/// The version of CUDA that the driver is for, `[major, minor]`.
pub fn driver_version() -> Result<[u32; 2]> {
    #[cfg(feature = "cuda")]
    return nvidia::start();
    #[cfg(not(feature = "cuda"))]
    Err(without())
}

/// A library that GPUs are used with.
#[derive(Debug)]
pub struct Library {
    /// What it is called.
    pub name: &'static str,
    /// Its version and its file, or why it cannot be used.
    pub found: Result<(String, Option<PathBuf>)>,
}

/// The libraries that GPUs are used with: the compiler of the kernels, matrix products, and sums between GPUs,
/// which alone can be done without.
pub fn libraries() -> Result<Vec<Library>> {
    #[cfg(feature = "cuda")]
    {
        let [driver_major, _] = nvidia::start()?;
        let libraries = nvidia::libraries(driver_major).into_iter();
        Ok(libraries.map(|(name, found)| Library { name, found }).collect())
    }
    #[cfg(not(feature = "cuda"))]
    Err(without())
}

/// The file of NCCL, where it is found.
pub fn nccl() -> Option<PathBuf> {
    let all = libraries().ok()?;
    all.into_iter().find(|library| library.name == "NCCL")?.found.ok()?.1
}

/// Bytes of memory of GPU `index` that are free.
pub fn free_memory(index: usize) -> Result<usize> {
    #[cfg(feature = "cuda")]
    {
        nvidia::start()?;
        nvidia::free_memory(index)
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = index;
        Err(without())
    }
}

/// Opens GPU `index`, with a stream of its own.
pub fn open(index: usize) -> Result<Stream> {
    #[cfg(feature = "cuda")]
    return Ok(Stream::new(std::rc::Rc::new(nvidia::NvidiaDriver::new(index)?)));
    #[cfg(not(feature = "cuda"))]
    {
        let _ = index;
        Err(without())
    }
}

#[cfg(not(feature = "cuda"))]
fn without() -> Error {
    Error::Device("this program was built without GPUs (feature cuda)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there is no GPU, that is an error that says so, and never a panic.
    #[test]
    fn a_machine_without_gpus_is_told_in_one_line() {
        let why = match list() {
            Ok(gpus) if !gpus.is_empty() => {
                eprintln!("skipped: no test of a machine without GPUs, as {} are here", gpus.len());
                return;
            }
            Ok(_) => open(0).unwrap_err().to_string(),
            Err(error) => {
                let why = error.to_string();
                assert_eq!(open(0).unwrap_err().to_string(), why);
                assert_eq!(free_memory(0).unwrap_err().to_string(), why);
                assert_eq!(driver_version().unwrap_err().to_string(), why);
                assert_eq!(libraries().unwrap_err().to_string(), why);
                why
            }
        };
        assert!(why.starts_with("device: ") && !why.contains('\n'), "{why}");
        let says = if cfg!(feature = "cuda") { "CUDA" } else { "built without GPUs" };
        assert!(why.contains(says), "{why}");
    }
}
