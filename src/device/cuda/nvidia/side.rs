use super::told;
use crate::Result;
use cudarc::driver::result::{event, stream};
use cudarc::driver::sys;
use std::cell::Cell;

/// A second stream, for work that runs beside that of the first: it starts after what the first was
/// asked for until then, and the first goes on without it until they are joined. Recordings take
/// both in, as branches that part and meet at the events.
pub struct Side {
    stream: sys::CUstream,
    forked: sys::CUevent,
    joined: sys::CUevent,
    /// Whether work goes to it now.
    current: Cell<bool>,
    /// Whether work has gone to it since the last join.
    used: Cell<bool>,
}

impl Side {
    /// Of the current context.
    pub fn new() -> Result<Self> {
        let event = || event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(told("an event"));
        let stream = stream::create(stream::StreamKind::NonBlocking).map_err(told("a stream"))?;
        Ok(Self {
            stream,
            forked: event()?,
            joined: event()?,
            current: Cell::new(false),
            used: Cell::new(false),
        })
    }

    /// The stream that work goes to now, of this one and the `first`.
    pub fn current(&self, first: sys::CUstream) -> sys::CUstream {
        if self.current.get() { self.stream } else { first }
    }

    /// Work goes here now, after all that `first` was asked for.
    pub fn fork(&self, first: sys::CUstream) -> Result<()> {
        follow(self.stream, first, self.forked)?;
        self.current.set(true);
        self.used.set(true);
        Ok(())
    }

    /// Work goes to the first stream again.
    pub fn back(&self) {
        self.current.set(false);
    }

    /// What `first` is asked for from now on comes after all that went here.
    pub fn join(&self, first: sys::CUstream) -> Result<()> {
        if self.used.replace(false) { follow(first, self.stream, self.joined) } else { Ok(()) }
    }
}

/// What `after` is asked for from now on comes after what `before` was asked for until now.
fn follow(after: sys::CUstream, before: sys::CUstream, event: sys::CUevent) -> Result<()> {
    // SAFETY: streams and an event of one context, all of them alive.
    unsafe { event::record(event, before) }.map_err(told("marking a place in a stream"))?;
    let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
    // SAFETY: as above.
    unsafe { stream::wait_event(after, event, flags) }.map_err(told("having a stream wait for another"))
}

impl Drop for Side {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed here only; what is under way is finished first by CUDA.
        unsafe {
            let _ = event::destroy(self.forked);
            let _ = event::destroy(self.joined);
            let _ = stream::destroy(self.stream);
        }
    }
}
