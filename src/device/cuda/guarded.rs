use crate::{Error, Result};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;

/// Memory of the host that ends where a page begins that nobody may touch, and lies behind another: what
/// reaches past an end of it dies at once.
pub struct Guarded {
    at: u64,
    mapped: *mut c_void,
    length: usize,
}

/// What the memory begins and ends at a multiple of: the most that a kernel reads at a time.
const ALIGNMENT: usize = 16;

impl Guarded {
    /// Zeros. Fails where there is no memory for them.
    pub fn zeros(bytes: usize) -> Result<Self> {
        let none = || Error::Device(format!("no memory for {bytes} bytes"));
        let page = rustix::param::page_size();
        let bytes = bytes.checked_next_multiple_of(ALIGNMENT).ok_or_else(none)?;
        let inside = bytes.checked_next_multiple_of(page).ok_or_else(none)?;
        let length = inside.checked_add(2 * page).ok_or_else(none)?;
        // SAFETY: a new mapping, at a place of the system's choice.
        let mapped = unsafe {
            mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::empty(), MapFlags::PRIVATE)
                .map_err(|_| none())?
        };
        let memory = Self { at: mapped as u64 + (page + inside - bytes) as u64, mapped, length };
        let open = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: whole pages of the mapping, the first and the last left as they are.
        unsafe { mprotect(mapped.byte_add(page), inside, open) }.map_err(|_| none())?;
        Ok(memory)
    }

    /// Where it is.
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped by this, and nobody uses it any more. It cannot fail for a mapping that is whole.
        let _ = unsafe { munmap(self.mapped, self.length) };
    }
}
