//! The few collectives that crossrx needs, over MPI or within one process.

mod agree;
#[cfg(feature = "mpi")]
mod board;
mod gather;
mod memory;
#[cfg(feature = "mpi")]
mod mpi;
mod nccl;
mod node_shared;
mod same;
mod sealed;
mod serial;
mod share;
#[cfg(test)]
pub(crate) mod threads;
mod tree_sum;
#[cfg(feature = "mpi")]
mod watch;

pub use agree::{agree, any};
pub use gather::gather;
pub use memory::ProcessMemory;
#[cfg(feature = "mpi")]
pub use mpi::{MpiWorld, abort_job, start};
pub use nccl::Nccl;
pub use node_shared::{NodeShared, node_shared};
pub use same::{same, same_file};
pub use serial::Serial;
pub use share::share;
pub use tree_sum::TreeSum;
#[cfg(feature = "mpi")]
pub use watch::{Watch, claim_word, set_timeout};

/// Without MPI there is nobody to watch.
#[cfg(not(feature = "mpi"))]
pub fn set_timeout(_seconds: f64) {}

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a message between two ranks is about; a receive of one tag never takes
/// a message of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Tag {
    /// A rank asks for work.
    Request = 1,
    /// The work it gets.
    Grant = 2,
    /// Results on their way to one rank.
    Gather = 3,
    /// Parts of a sum.
    Sum = 4,
    /// The study stops.
    Stop = 5,
}

/// A group of ranks, and this rank's place in it. A failure in the library
/// below ends the whole job, so nothing here returns an error.
pub trait Communicator {
    /// This rank, from zero.
    fn rank(&self) -> usize;
    /// Number of ranks.
    fn size(&self) -> usize;
    /// Returns when every rank has called it.
    fn barrier(&self);
    /// Replaces `bytes` by those of rank `root`, on every rank.
    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>);
    /// The bytes of every rank, by rank, on every rank.
    fn all_gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;
    /// Sends to and receives from one other rank at once; either may be empty.
    fn exchange(&self, partner: usize, send: &[f32], receive: &mut [f32]);
    /// Sends to another rank; may wait for it to receive.
    fn send(&self, to: usize, tag: Tag, bytes: &[u8]);
    /// Waits for a message from a given rank, or from any. Returns its sender.
    fn receive(&self, from: Option<usize>, tag: Tag) -> (usize, Vec<u8>);
    /// A message that has already come, if there is one.
    fn try_receive(&self, tag: Tag) -> Option<(usize, Vec<u8>)>;
    /// The group of the ranks that give the same colour, in the order of their ranks here.
    fn split(&self, colour: usize) -> Box<dyn Communicator>;
    /// The ranks that share this rank's memory, in the order of their ranks here.
    fn node(&self) -> Box<dyn Communicator>;
    /// The library's own sum of `values` over all ranks into `sum`, as long, added in an order of
    /// its choosing: what [`TreeSum`] is held against.
    fn library_sum(&self, values: &[f32], sum: &mut [f32]);
    /// The same ranks with messages of their own, for another thread of each of them; `None` where
    /// there is one rank, or the library below lets one thread speak at a time. All ranks call this.
    /// Until `hurry` is set, a thread that waits in [`Self::exchange`] leaves its processor to others.
    fn for_thread(&self, hurry: Arc<AtomicBool>) -> Option<Box<dyn Communicator + Send>>;
    /// Ends the job, on every rank, with this exit code.
    fn abort(&self, code: i32) -> !;
}
