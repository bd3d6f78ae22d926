use crate::status::Snapshot;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, Communicator as _, FromRaw, Source};
use std::time::{Duration, Instant};

/// What a rank is doing.
const BEAT: i32 = 1;
/// Why the job ends has been told.
const TOLD: i32 = 2;

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Small messages between the watch threads of ranks, over a communicator of
/// their own. Nothing here waits for another rank, but for [`Self::goodbye`],
/// which does not wait for long.
pub struct Heartbeats {
    comm: SimpleCommunicator,
    rank: usize,
    size: usize,
    sends: Vec<Outgoing>,
    /// Who has said goodbye.
    gone: Vec<bool>,
}

/// A communicator on its way to the thread that uses it.
pub struct Unopened(ffi::MPI_Comm);

// SAFETY: MPI runs with MPI_THREAD_MULTIPLE where this is made, so any thread may use the handle;
// whoever holds it is the only one that does.
unsafe impl Send for Unopened {}

/// A message under way to one rank; its memory stays where it is until it has been taken.
struct Outgoing {
    to: i32,
    message: Box<Snapshot>,
    request: ffi::MPI_Request,
}

impl Outgoing {
    fn is_done(&mut self) -> bool {
        let mut done = 0;
        // SAFETY: the request is null or that of the last send; a finished one is set to null.
        unsafe { ffi::MPI_Test(&mut self.request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        done != 0
    }

    /// Does nothing while the last one is under way.
    fn send(&mut self, comm: ffi::MPI_Comm, tag: i32, message: &Snapshot) -> bool {
        if !self.is_done() {
            return false;
        }
        *self.message = *message;
        let bytes = bytemuck::bytes_of(&*self.message);
        // SAFETY: the box is neither moved nor written until `is_done`, and is leaked if that does not
        // come (see `goodbye`); `comm` is open and has a rank `to`.
        unsafe {
            ffi::MPI_Isend(
                bytes.as_ptr().cast(),
                bytes.len() as i32,
                ffi::RSMPI_UINT8_T,
                self.to,
                tag,
                comm,
                &mut self.request,
            )
        };
        true
    }
}

impl Unopened {
    /// A copy of `comm`; all its ranks call this.
    pub fn of(comm: &SimpleCommunicator) -> Self {
        let copy = comm.duplicate();
        let handle = copy.as_raw();
        std::mem::forget(copy);
        Self(handle)
    }

    /// To be used by this thread, which says what it does to each of `watchers`.
    pub fn open(self, watchers: &[usize]) -> Heartbeats {
        // SAFETY: the handle is that of a communicator which nobody else holds any more.
        let comm = unsafe { SimpleCommunicator::from_raw(self.0) };
        let (rank, size) = (comm.rank() as usize, comm.size() as usize);
        let sends = watchers.iter().map(|&to| outgoing(to)).collect();
        Heartbeats { rank, size, sends, gone: vec![false; size], comm }
    }
}

fn outgoing(to: usize) -> Outgoing {
    // SAFETY: reads a constant of the library.
    let request = unsafe { ffi::RSMPI_REQUEST_NULL };
    Outgoing { to: to as i32, message: Box::new(bytemuck::Zeroable::zeroed()), request }
}

impl Heartbeats {
    /// Tells every watcher that has taken the last message.
    pub fn send(&mut self, state: &Snapshot) {
        let comm = self.comm.as_raw();
        self.sends.iter_mut().for_each(|send| _ = send.send(comm, BEAT, state));
    }

    /// Hands what has come to `each`, with who sent it. Returns whether a rank
    /// says that why the job ends has been told.
    pub fn receive(&mut self, mut each: impl FnMut(usize, Snapshot)) -> bool {
        let mut told = false;
        let mut state: Snapshot = bytemuck::Zeroable::zeroed();
        for tag in [TOLD, BEAT] {
            while let Some(status) = self.comm.any_process().immediate_probe_with_tag(tag) {
                let from = status.source_rank();
                let bytes: &mut [u8] = bytemuck::bytes_of_mut(&mut state);
                self.comm.process_at_rank(from).receive_into_with_tag(bytes, tag);
                told |= tag == TOLD;
                self.gone[from as usize] |= state.has_left();
                each(from as usize, state);
            }
        }
        told
    }

    /// Says to `ranks` that why the job ends has been told, so that they do not name those that it kills.
    pub fn tell(&mut self, ranks: impl Iterator<Item = usize>, state: &Snapshot) {
        let comm = self.comm.as_raw();
        let mut sends: Vec<Outgoing> = ranks.map(outgoing).collect();
        sends.iter_mut().for_each(|send| _ = send.send(comm, TOLD, state));
        let started = Instant::now();
        while !sends.iter_mut().all(Outgoing::is_done) && started.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        // The job ends here; what is under way keeps its memory.
        std::mem::forget(sends);
    }

    /// The last message of this rank, which has left. Waits until it is taken
    /// and, on a watcher (`hears`), until all others have said theirs; gives up
    /// when that takes long.
    pub fn goodbye(mut self, state: &Snapshot, hears: bool) {
        let started = Instant::now();
        let comm = self.comm.as_raw();
        let mut said = vec![false; self.sends.len()];
        while started.elapsed() < GOODBYE {
            for (send, said) in self.sends.iter_mut().zip(&mut said) {
                *said = *said || send.send(comm, BEAT, state);
            }
            self.receive(|_, _| {});
            let heard = !hears || (0..self.size).all(|rank| rank == self.rank || self.gone[rank]);
            if heard && said.iter().all(|&said| said) && self.sends.iter_mut().all(Outgoing::is_done) {
                // Frees the communicator.
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A message may be under way, so neither its memory nor its communicator may go.
        std::mem::forget(self);
    }
}
