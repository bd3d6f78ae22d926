use super::{Communicator, Tag};
use crate::status::{self, Call};
use crate::{Error, Result};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::point_to_point::send_receive_into_with_tags;
use mpi::request::{Request, Scope, scope};
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{Communicator as _, CommunicatorCollectives, Destination, Root, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Most bytes in one message: counts are 32-bit.
const MESSAGE: usize = 1 << 30;

/// The MPI library, initialised; dropping it finalises.
pub struct MpiWorld {
    universe: Universe,
    threading: Threading,
}

/// Initialises MPI. Fails if the library will not have it, as when called twice.
pub fn start() -> Result<MpiWorld> {
    match mpi::initialize_with_threading(Threading::Multiple) {
        Some((universe, threading)) => Ok(MpiWorld { universe, threading }),
        None => Err(Error::Ranks("MPI is already initialised".into())),
    }
}

impl MpiWorld {
    /// All ranks of the job.
    pub fn communicator(&self) -> Box<dyn Communicator> {
        Box::new(Mpi::new(self.universe.world()))
    }

    /// Whether the library lets any thread speak, at the same time as others.
    pub fn speaks_from_any_thread(&self) -> bool {
        self.threading == Threading::Multiple
    }

    pub(super) fn raw_world(&self) -> SimpleCommunicator {
        self.universe.world()
    }

    /// Name and version of the library, on one line.
    pub fn library() -> String {
        short_name(&mpi::environment::library_version().unwrap_or_default())
    }
}

/// The first clause of what a library says of itself: `Open MPI v4.1.4`, `MPICH 4.0.2`.
fn short_name(text: &str) -> String {
    let first = text.trim_end_matches('\0').split([',', '\n']).next().unwrap_or_default();
    first.replace("MPICH Version:", "MPICH").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a rank has said is passed on within this. The launcher of MPICH throws away what it has not read
/// yet when a rank aborts the job, be it the word of why.
const PASSED_ON: Duration = Duration::from_millis(300);

/// Ends the job of this process on every rank, if MPI is running; for where no
/// communicator is at hand.
pub fn abort_job(code: i32) {
    if mpi::environment::is_initialized() && !mpi::environment::is_finalized() {
        std::thread::sleep(PASSED_ON);
        SimpleCommunicator::world().abort(code);
    }
}

struct Mpi {
    group: SimpleCommunicator,
    /// Of a communicator for another thread: whether it is waited for.
    hurry: Option<Arc<AtomicBool>>,
}

// SAFETY: a communicator is a handle that MPI lets any thread use; it leaves the thread it was made by
// only through `for_thread`, which asks whether the library was started for many threads.
unsafe impl Send for Mpi {}

/// How often a request is tested before its thread sleeps.
const TESTS: usize = 8;
/// How long it sleeps; the system adds some 50 us.
const NAP: Duration = Duration::from_micros(10);

impl Mpi {
    fn new(group: SimpleCommunicator) -> Self {
        Self { group, hurry: None }
    }
}

/// Waits for a request without holding the processor, as the library's own waiting does, for as long
/// as nobody is in a hurry.
fn wait<'a, S: Scope<'a>>(mut request: Request<'a, [f32], S>, hurry: &AtomicBool) {
    for test in 1.. {
        match request.test() {
            Ok(_) => return,
            Err(pending) => request = pending,
        }
        if hurry.load(Ordering::Relaxed) {
            std::thread::yield_now();
        } else if test % TESTS == 0 {
            std::thread::sleep(NAP);
        }
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.group.rank() as usize
    }

    fn size(&self) -> usize {
        self.group.size() as usize
    }

    fn barrier(&self) {
        let _waiting = status::waiting(Call::Barrier);
        self.group.barrier();
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let _waiting = status::waiting(Call::Broadcast);
        let root = self.group.process_at_rank(root as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        bytes.chunks_mut(MESSAGE).for_each(|part| root.broadcast_into(part));
    }

    fn all_gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let _waiting = status::waiting(Call::AllGather);
        let mut lengths = vec![0u64; self.size()];
        self.group.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
        // Every rank gives a part of each round, as long as the longest needs, within the library's counts.
        let round = (MESSAGE / self.size()).max(1);
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let mut all: Vec<Vec<u8>> = lengths.iter().map(|&n| Vec::with_capacity(n as usize)).collect();
        for first in (0..longest).step_by(round) {
            let counts: Vec<i32> =
                lengths.iter().map(|&n| (n as usize).saturating_sub(first).min(round) as i32).collect();
            let starts: Vec<i32> =
                counts.iter().scan(0, |at, &n| Some(std::mem::replace(at, *at + n))).collect();
            let mut received = vec![0u8; counts.iter().map(|&n| n as usize).sum()];
            let own = &bytes[first.min(bytes.len())..bytes.len().min(first + round)];
            let mut parts = PartitionMut::new(&mut received[..], &counts[..], &starts[..]);
            self.group.all_gather_varcount_into(own, &mut parts);
            for ((all, &start), &count) in all.iter_mut().zip(&starts).zip(&counts) {
                all.extend_from_slice(&received[start as usize..(start + count) as usize]);
            }
        }
        all
    }

    fn exchange(&self, partner: usize, send: &[f32], receive: &mut [f32]) {
        // Of a thread of its own the one who waits for it tells.
        let _waiting = self.hurry.is_none().then(|| status::waiting(Call::Sum));
        let partner = self.group.process_at_rank(partner as i32);
        let parts = send.len().max(receive.len()).div_ceil(MESSAGE / 4).max(1);
        let (mut send, mut receive) = (send, receive);
        for _ in 0..parts {
            let (out, rest) = send.split_at(send.len().min(MESSAGE / 4));
            let length = receive.len().min(MESSAGE / 4);
            let (into, rest_of_receive) = receive.split_at_mut(length);
            let tag = Tag::Sum as i32;
            match &self.hurry {
                None => {
                    send_receive_into_with_tags(out, &partner, tag, into, &partner, tag);
                }
                Some(hurry) => scope(|scope| {
                    let receiving = partner.immediate_receive_into_with_tag(scope, into, tag);
                    let sending = partner.immediate_send_with_tag(scope, out, tag);
                    wait(receiving, hurry);
                    wait(sending, hurry);
                }),
            }
            (send, receive) = (rest, rest_of_receive);
        }
    }

    fn send(&self, to: usize, tag: Tag, bytes: &[u8]) {
        let _waiting = status::waiting(Call::Send);
        let to = self.group.process_at_rank(to as i32);
        to.send_with_tag(&(bytes.len() as u64), tag as i32);
        bytes.chunks(MESSAGE).for_each(|part| to.send_with_tag(part, tag as i32));
    }

    fn receive(&self, from: Option<usize>, tag: Tag) -> (usize, Vec<u8>) {
        let _waiting = status::waiting(Call::Receive);
        let (length, status) = match from {
            Some(rank) => self.group.process_at_rank(rank as i32).receive_with_tag::<u64>(tag as i32),
            None => self.group.any_process().receive_with_tag::<u64>(tag as i32),
        };
        // The parts follow on the same channel, in order.
        let sender = self.group.process_at_rank(status.source_rank());
        let mut bytes = vec![0; length as usize];
        for part in bytes.chunks_mut(MESSAGE) {
            sender.receive_into_with_tag(part, tag as i32);
        }
        (status.source_rank() as usize, bytes)
    }

    fn try_receive(&self, tag: Tag) -> Option<(usize, Vec<u8>)> {
        let status = self.group.any_process().immediate_probe_with_tag(tag as i32)?;
        Some(self.receive(Some(status.source_rank() as usize), tag))
    }

    fn split(&self, colour: usize) -> Box<dyn Communicator> {
        let _waiting = status::waiting(Call::Split);
        match self.group.split_by_color(Color::with_value(colour as i32)) {
            Some(group) => Box::new(Mpi::new(group)),
            None => unreachable!("a colour was given"),
        }
    }

    fn node(&self) -> Box<dyn Communicator> {
        let _waiting = status::waiting(Call::Split);
        Box::new(Mpi::new(self.group.split_shared(self.group.rank())))
    }

    fn library_sum(&self, values: &[f32], sum: &mut [f32]) {
        for (values, sum) in values.chunks(MESSAGE / 4).zip(sum.chunks_mut(MESSAGE / 4)) {
            self.group.all_reduce_into(values, sum, SystemOperation::sum());
        }
    }

    fn for_thread(&self, hurry: Arc<AtomicBool>) -> Option<Box<dyn Communicator + Send>> {
        let many = mpi::environment::threading_support() == Threading::Multiple;
        let own = || Mpi { group: self.group.duplicate(), hurry: Some(hurry) };
        (many && self.size() > 1).then(|| Box::new(own()) as _)
    }

    fn abort(&self, code: i32) -> ! {
        std::thread::sleep(PASSED_ON);
        self.group.abort(code)
    }
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn libraries_have_short_names() {
        let open = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022\0";
        assert_eq!(short_name(open), "Open MPI v4.1.4");
        assert_eq!(short_name("MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7\n"), "MPICH 4.0.2");
        assert_eq!(short_name(""), "");
    }
}
