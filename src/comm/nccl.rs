use super::Communicator;
use crate::{Error, Result};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;

/// NVIDIA's library for sums from GPU to GPU, loaded when it is first asked for:
/// without it everything else works. Addresses are those of device memory, and
/// `stream` is a CUDA stream's handle; calls return once the work is on the stream.
pub struct Nccl {
    functions: Functions,
    group: *mut c_void,
    rank: usize,
    size: usize,
}

/// What makes a group known to its members: `ncclUniqueId`.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct UniqueId([u8; 128]);

/// `ncclFloat32` and `ncclSum`; the numbers are part of the library's interface.
const FLOAT32: c_int = 7;
const SUM: c_int = 0;

type Group = *mut c_void;

/// The functions in use, as `nccl.h` of version 2 declares them.
struct Functions {
    get_unique_id: unsafe extern "C" fn(*mut UniqueId) -> c_int,
    init_rank: unsafe extern "C" fn(*mut Group, c_int, UniqueId, c_int) -> c_int,
    destroy: unsafe extern "C" fn(Group) -> c_int,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
    group_start: unsafe extern "C" fn() -> c_int,
    group_end: unsafe extern "C" fn() -> c_int,
    send: unsafe extern "C" fn(*const c_void, usize, c_int, c_int, Group, *mut c_void) -> c_int,
    receive: unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, Group, *mut c_void) -> c_int,
    all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Group, *mut c_void) -> c_int,
}

impl Functions {
    fn load(file: Option<&Path>) -> Result<Self> {
        let open = |name: &Path| {
            // SAFETY: a library of NVIDIA's; what it does on loading is its own matter.
            unsafe { libloading::Library::new(name) }
        };
        let library =
            open(file.unwrap_or(Path::new("libnccl.so.2"))).or_else(|_| open(Path::new("libnccl.so")));
        let library = library.map_err(|e| Error::Device(format!("no NCCL: {e}")))?;
        // Never closed: it keeps threads and handlers that outlive its groups.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the symbol has the type of the field that it goes to, by nccl.h.
                *unsafe { library.get($name) }.map_err(|e| Error::Device(format!("NCCL: {e}")))?
            };
        }
        Ok(Self {
            get_unique_id: function!(b"ncclGetUniqueId\0"),
            init_rank: function!(b"ncclCommInitRank\0"),
            destroy: function!(b"ncclCommDestroy\0"),
            error_string: function!(b"ncclGetErrorString\0"),
            group_start: function!(b"ncclGroupStart\0"),
            group_end: function!(b"ncclGroupEnd\0"),
            send: function!(b"ncclSend\0"),
            receive: function!(b"ncclRecv\0"),
            all_reduce: function!(b"ncclAllReduce\0"),
        })
    }

    fn check(&self, what: &str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library returns a text that lives as long as itself.
        let text = unsafe { CStr::from_ptr((self.error_string)(code)) };
        let text = text.to_string_lossy();
        Err(Error::Device(format!("NCCL cannot {what}: {text}; NCCL_DEBUG=INFO tells more")))
    }
}

impl Nccl {
    /// A group of the ranks of `comm`, each on a GPU of its own, whose context is current, by the library in
    /// `file` or else the one that the loader finds. All of them call this; the reason why there can be none is
    /// told to all.
    pub fn new(comm: &dyn Communicator, file: Option<&Path>) -> Result<Self> {
        let functions = all_or_none(comm, Functions::load(file))?;
        let mut id = UniqueId([0; 128]);
        let made = if comm.rank() == 0 {
            // SAFETY: writes one id.
            functions.check("name a group", unsafe { (functions.get_unique_id)(&raw mut id) })
        } else {
            Ok(())
        };
        all_or_none(comm, made)?;
        let mut bytes = id.0.to_vec();
        comm.broadcast(0, &mut bytes);
        let id: UniqueId = bytemuck::pod_read_unaligned(&bytes);
        let (rank, size) = (comm.rank(), comm.size());
        let mut group = std::ptr::null_mut();
        // SAFETY: all ranks of the group call this with the same id and a rank of their own.
        let code = unsafe { (functions.init_rank)(&raw mut group, size as c_int, id, rank as c_int) };
        all_or_none(comm, functions.check("form a group", code))?;
        Ok(Self { functions, group, rank, size })
    }

    /// This rank in the group.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Ranks of the group.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Sends `give`, an address and so many floats, to a rank of the group and receives `take`
    /// from it at once; either may be empty.
    pub fn exchange(
        &self,
        partner: usize,
        give: (u64, usize),
        take: (u64, usize),
        stream: usize,
    ) -> Result<()> {
        let (f, partner, stream) = (&self.functions, partner as c_int, stream as *mut c_void);
        // SAFETY: starts and ends a group of calls on this thread.
        f.check("start an exchange", unsafe { (f.group_start)() })?;
        let mut sent = Ok(());
        if give.1 > 0 {
            // SAFETY: the caller gives device memory of that length, alive until the stream is done.
            let code =
                unsafe { (f.send)(give.0 as *const c_void, give.1, FLOAT32, partner, self.group, stream) };
            sent = f.check("send", code);
        }
        let mut received = Ok(());
        if take.1 > 0 {
            // SAFETY: as above.
            let code =
                unsafe { (f.receive)(take.0 as *mut c_void, take.1, FLOAT32, partner, self.group, stream) };
            received = f.check("receive", code);
        }
        // SAFETY: as above; a group that was started is ended whatever came between.
        let ended = f.check("exchange", unsafe { (f.group_end)() });
        sent.and(received).and(ended)
    }

    /// Replaces `values` floats at `at` by their sum over the group, in an order of the library's choosing.
    pub fn all_reduce(&self, at: u64, values: usize, stream: usize) -> Result<()> {
        let place = at as *mut c_void;
        // SAFETY: as in `exchange`.
        let code = unsafe {
            (self.functions.all_reduce)(place, place, values, FLOAT32, SUM, self.group, stream as *mut c_void)
        };
        self.functions.check("sum over GPUs", code)
    }
}

/// What every rank has, or the first one's reason why not, told to all.
fn all_or_none<T>(comm: &dyn Communicator, own: Result<T>) -> Result<T> {
    let fault = own.as_ref().err().map(Error::to_string).unwrap_or_default();
    let faults = comm.all_gather(fault.trim_start_matches("device: ").as_bytes());
    match faults.iter().find(|fault| !fault.is_empty()) {
        Some(fault) => Err(Error::Device(String::from_utf8_lossy(fault).into_owned())),
        None => own,
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        // SAFETY: made by `init_rank`, and not used any more.
        unsafe { (self.functions.destroy)(self.group) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_an_error_that_says_so() {
        let error = Functions::load(Some(Path::new("/nowhere/libnccl.so.2"))).err();
        // The loader may find one by its own ways.
        assert!(error.is_none_or(|error| error.to_string().contains("no NCCL")));
        let missing = all_or_none(&crate::comm::Serial, Err::<(), _>(Error::Device("no NCCL: why".into())));
        assert_eq!(missing.unwrap_err().to_string(), "device: no NCCL: why");
    }
}
