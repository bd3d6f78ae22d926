use super::Version;
use super::library::{Library, file_of};
use crate::{Error, Result};
use std::ffi::c_int;

/// Opens NCCL, which sums gradients between GPUs.
pub fn open() -> Result<Library> {
    Library::open("nccl", &[2]).map_err(|why| {
        Error::Device(format!(
            "NCCL, which sums between GPUs: {why}; load it (module load nccl) or put its folder into LD_LIBRARY_PATH; \
             without it gradients go through the host"
        ))
    })
}

/// The version found.
pub fn version() -> Result<Version> {
    // SAFETY: its type in nccl.h, where a status comes back.
    let get = unsafe { open()?.function::<unsafe extern "C" fn(*mut c_int) -> c_int>("ncclGetVersion") }?;
    let mut number = 0;
    // SAFETY: a place to write the number to.
    if unsafe { get(&mut number) } != 0 {
        return Err(Error::Device("NCCL does not tell its version".into()));
    }
    // 22304 is 2.23.4.
    let version = format!("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
    Ok((version, file_of("nccl")))
}
