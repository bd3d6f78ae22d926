use super::{Communicator, Tag};
use crate::status::{self, Call};
use crate::{Error, Result};
use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::point_to_point::send_receive_into_with_tags;
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{Communicator as _, CommunicatorCollectives, Destination, Root, Source};

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
        Box::new(Mpi(self.universe.world()))
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
        let text = mpi::environment::library_version().unwrap_or_default();
        let text = text.trim_end_matches('\0');
        text.split([',', '\n']).next().unwrap_or_default().trim().to_string()
    }
}

/// Ends the job of this process on every rank, if MPI is running; for where no
/// communicator is at hand.
pub fn abort_job(code: i32) {
    if mpi::environment::is_initialized() && !mpi::environment::is_finalized() {
        SimpleCommunicator::world().abort(code);
    }
}

struct Mpi(SimpleCommunicator);

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.0.rank() as usize
    }

    fn size(&self) -> usize {
        self.0.size() as usize
    }

    fn barrier(&self) {
        let _waiting = status::waiting(Call::Barrier);
        self.0.barrier();
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let _waiting = status::waiting(Call::Broadcast);
        let root = self.0.process_at_rank(root as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        bytes.chunks_mut(MESSAGE).for_each(|part| root.broadcast_into(part));
    }

    fn all_gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let _waiting = status::waiting(Call::AllGather);
        let mut lengths = vec![0u64; self.size()];
        self.0.all_gather_into(&(bytes.len() as u64), &mut lengths[..]);
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
            self.0.all_gather_varcount_into(own, &mut parts);
            for ((all, &start), &count) in all.iter_mut().zip(&starts).zip(&counts) {
                all.extend_from_slice(&received[start as usize..(start + count) as usize]);
            }
        }
        all
    }

    fn exchange(&self, partner: usize, send: &[f32], receive: &mut [f32]) {
        let _waiting = status::waiting(Call::Sum);
        let partner = self.0.process_at_rank(partner as i32);
        let parts = send.len().max(receive.len()).div_ceil(MESSAGE / 4).max(1);
        let (mut send, mut receive) = (send, receive);
        for _ in 0..parts {
            let (out, rest) = send.split_at(send.len().min(MESSAGE / 4));
            let length = receive.len().min(MESSAGE / 4);
            let (into, rest_of_receive) = receive.split_at_mut(length);
            let tag = Tag::Sum as i32;
            send_receive_into_with_tags(out, &partner, tag, into, &partner, tag);
            (send, receive) = (rest, rest_of_receive);
        }
    }

    fn send(&self, to: usize, tag: Tag, bytes: &[u8]) {
        let _waiting = status::waiting(Call::Send);
        let to = self.0.process_at_rank(to as i32);
        to.send_with_tag(&(bytes.len() as u64), tag as i32);
        bytes.chunks(MESSAGE).for_each(|part| to.send_with_tag(part, tag as i32));
    }

    fn receive(&self, from: Option<usize>, tag: Tag) -> (usize, Vec<u8>) {
        let _waiting = status::waiting(Call::Receive);
        let (length, status) = match from {
            Some(rank) => self.0.process_at_rank(rank as i32).receive_with_tag::<u64>(tag as i32),
            None => self.0.any_process().receive_with_tag::<u64>(tag as i32),
        };
        // The parts follow on the same channel, in order.
        let sender = self.0.process_at_rank(status.source_rank());
        let mut bytes = vec![0; length as usize];
        for part in bytes.chunks_mut(MESSAGE) {
            sender.receive_into_with_tag(part, tag as i32);
        }
        (status.source_rank() as usize, bytes)
    }

    fn try_receive(&self, tag: Tag) -> Option<(usize, Vec<u8>)> {
        let status = self.0.any_process().immediate_probe_with_tag(tag as i32)?;
        Some(self.receive(Some(status.source_rank() as usize), tag))
    }

    fn split(&self, colour: usize) -> Box<dyn Communicator> {
        let _waiting = status::waiting(Call::Split);
        match self.0.split_by_color(Color::with_value(colour as i32)) {
            Some(group) => Box::new(Mpi(group)),
            None => unreachable!("a colour was given"),
        }
    }

    fn node(&self) -> Box<dyn Communicator> {
        let _waiting = status::waiting(Call::Split);
        Box::new(Mpi(self.0.split_shared(self.0.rank())))
    }

    fn abort(&self, code: i32) -> ! {
        self.0.abort(code)
    }
}
