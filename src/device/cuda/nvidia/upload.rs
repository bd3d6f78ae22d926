use super::told;
use crate::Result;
use crate::device::cuda::Address;
use cudarc::driver::result::{self, event};
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream};
use std::cell::Cell;
use std::ffi::c_void;

/// Copies from the host that do not wait. What a step needs to know is a few numbers; they are put aside in
/// pinned memory, in one of a ring of places that is used again once its copy is done.
///
/// Whether a copy from ordinary memory has read its source when the call returns is left to the driver and the
/// machine (one whose device reads the host's pages may still be at it), so those are waited for.
pub struct Uploads {
    /// Pinned, `PLACES` times `BYTES`.
    at: *mut c_void,
    events: Vec<CUevent>,
    next: Cell<usize>,
}

const PLACES: usize = 64;

/// Bytes of a place.
const BYTES: usize = 16 << 10;

impl Uploads {
    /// For the device whose context is current.
    pub fn new() -> Result<Self> {
        // SAFETY: checked; the memory is written before it is read.
        let at = unsafe { result::malloc_host(PLACES * BYTES, 0) }.map_err(told("pinned memory"))?;
        let mut uploads = Self { at, events: Vec::new(), next: Cell::new(0) };
        for _ in 0..PLACES {
            let made = event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING);
            uploads.events.push(made.map_err(told("an event"))?);
        }
        Ok(uploads)
    }

    /// Copies `from` to the device in the order of `stream`; it may change when this returns.
    ///
    /// # Safety
    /// `to` has room for `from`, and both it and `stream` are of the device whose context is current.
    pub unsafe fn upload(&self, to: Address, from: &[u8], stream: CUstream) -> Result<()> {
        if from.len() > BYTES {
            // SAFETY: as the caller vouches; waited for, so that the source is read when this returns.
            return unsafe { result::memcpy_htod_async(to.0, from, stream) }
                // SAFETY: as above.
                .and_then(|()| unsafe { result::stream::synchronize(stream) })
                .map_err(told("a copy to the device"));
        }
        let place = self.next.replace((self.next.get() + 1) % PLACES);
        let event = self.events[place];
        // An event that was never recorded counts as done.
        // SAFETY: created, and destroyed with `self` only.
        unsafe { event::synchronize(event) }.map_err(told("waiting for an earlier copy"))?;
        // SAFETY: within the pinned memory; no copy reads this place any more.
        let put =
            unsafe { std::slice::from_raw_parts_mut(self.at.cast::<u8>().add(place * BYTES), from.len()) };
        put.copy_from_slice(from);
        // SAFETY: as the caller vouches; the place is not written before the event is done.
        unsafe { result::memcpy_htod_async(to.0, put, stream).and_then(|()| event::record(event, stream)) }
            .map_err(told("a copy to the device"))
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        // The driver has waited for its stream. Nothing can be done about failures.
        for &event in &self.events {
            // SAFETY: created, and destroyed here only.
            let _ = unsafe { event::destroy(event) };
        }
        // SAFETY: taken in `new`, given back here only.
        let _ = unsafe { result::free_host(self.at) };
    }
}
