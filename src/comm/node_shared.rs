use super::memory::available;
use super::sealed::{Address, Segment, join, map};
use super::{Communicator, agree};
use crate::{Error, Result};
use bytemuck::Pod;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// An array that is filled once and read from then on, of which the ranks of
/// a node hold one copy between them. A clone is the same memory where it is
/// shared. It may be dropped at any time, on any rank.
#[derive(Debug, Clone)]
pub struct NodeShared<T>(Memory<T>);

#[derive(Debug, Clone)]
enum Memory<T> {
    Own(Vec<T>),
    Node(Arc<Mmap>),
}

/// An array on its way: to be filled by this rank for itself, by this rank for
/// its node, or by another.
pub(super) enum Draft<T> {
    Own(Vec<T>),
    Write(Segment),
    Read(File),
}

impl<T> NodeShared<T> {
    /// Whether other ranks of this node read the same memory.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Memory::Node(_))
    }
}

impl<T> From<Vec<T>> for NodeShared<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Memory::Own(values))
    }
}

impl<T: Pod> Deref for NodeShared<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Own(values) => values,
            Memory::Node(map) => bytemuck::cast_slice(map),
        }
    }
}

/// An array of `length` values, zero but for what `fill` makes of them. On each
/// node the first rank fills it and the others read its memory; every rank of
/// `world` calls this, with the same length. Where a system will not share
/// memory, which is warned of, every rank fills a copy of its own. A failure on any rank
/// is told once and is an error on all. `what` says in messages what is held.
pub fn node_shared<T: Pod>(
    world: &dyn Communicator,
    what: &str,
    length: usize,
    fill: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<NodeShared<T>> {
    let node = world.node();
    let failed = |e: io::Error| Error::Ranks(format!("cannot share memory for {what}: {e}"));
    let filled = draft(node.as_ref(), what, length).and_then(|mut draft| {
        match &mut draft {
            Draft::Own(values) => fill(values)?,
            Draft::Write(segment) => fill(segment.values())?,
            Draft::Read(_) => {}
        }
        Ok(draft)
    });
    // What others have yet to fill is mapped after the next agreement.
    enum Sealed<T> {
        Done(Memory<T>),
        Read(File),
    }
    let sealed = match agree(world, filled)? {
        Draft::Own(values) => Ok(Sealed::Done(Memory::Own(values))),
        Draft::Write(segment) => segment.seal().map(|map| Sealed::Done(Memory::Node(map.into()))),
        Draft::Read(file) => Ok(Sealed::Read(file)),
    };
    let memory = match agree(world, sealed.map_err(failed))? {
        Sealed::Done(memory) => Ok(memory),
        Sealed::Read(file) => map(&file, length * size_of::<T>()).map(|map| Memory::Node(map.into())),
    };
    Ok(NodeShared(agree(world, memory.map_err(failed))?))
}

/// Memory for `length` values, shared over `node` if all of its ranks can.
fn draft<T: Pod>(node: &dyn Communicator, what: &str, length: usize) -> Result<Draft<T>> {
    let none = || Error::Request(format!("no memory for {length} values of {what}"));
    let bytes = length.checked_mul(size_of::<T>()).ok_or_else(none)?;
    let mut refused = None;
    if node.size() > 1 && bytes > 0 {
        match share(node, bytes) {
            Ok(draft) => return Ok(draft),
            Err(why) => refused = Some(why),
        }
    }
    if available().is_some_and(|there| there < bytes.saturating_mul(node.size()) as u64) {
        return Err(none());
    }
    if let Some(why) = refused.filter(|_| node.rank() == 0) {
        log::warn!("each rank holds its own copy of {what}, for ranks of a node share no memory: {why}");
    }
    let mut values = Vec::new();
    values.try_reserve_exact(length).map_err(|_| none())?;
    values.resize(length, T::zeroed());
    Ok(Draft::Own(values))
}

/// Has every rank of `node` open the memory that its first rank takes; the
/// same outcome on all, with the reason of the first that cannot.
pub(super) fn share<T>(node: &dyn Communicator, bytes: usize) -> Result<Draft<T>, String> {
    let mut address = Vec::new();
    let opened = if node.rank() == 0 {
        let created = Segment::create(bytes).and_then(|s| s.address().map(|address| (s, address)));
        if let Ok((_, at)) = &created {
            address = bytemuck::bytes_of(at).to_vec();
        }
        node.broadcast(0, &mut address);
        created.map(|(segment, _)| Draft::Write(segment))
    } else {
        node.broadcast(0, &mut address);
        // The first rank tells what kept it from creating any.
        let at = bytemuck::try_pod_read_unaligned::<Address>(&address);
        at.map_err(|_| io::Error::other("there is none")).and_then(|at| join(&at)).map(Draft::Read)
    };
    let reason = opened.as_ref().err().map(io::Error::to_string).unwrap_or_default();
    match node.all_gather(reason.as_bytes()).into_iter().find(|reason| !reason.is_empty()) {
        Some(reason) => Err(String::from_utf8_lossy(&reason).into_owned()),
        None => opened.map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;
    use crate::comm::threads::on_ranks;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn count(into: &mut [u32]) -> Result<()> {
        into.iter_mut().zip(0..).for_each(|(to, i)| *to = i);
        Ok(())
    }

    #[test]
    fn the_first_rank_fills_one_copy_for_all() {
        for ranks in 1..4 {
            let filled = AtomicUsize::new(0);
            let sums = on_ranks(ranks, |comm| {
                let array = node_shared(comm, "numbers", 10_000, |into| {
                    filled.fetch_add(1, Ordering::Relaxed);
                    count(into)
                });
                let array = array.unwrap();
                assert_eq!(array.is_shared(), ranks > 1);
                array.clone().iter().map(|&v| u64::from(v)).sum::<u64>()
            });
            assert_eq!(filled.into_inner(), 1);
            assert_eq!(sums, vec![49_995_000; ranks]);
        }
    }

    #[test]
    fn what_cannot_be_filled_is_an_error_on_every_rank() {
        let failed = on_ranks(3, |comm| {
            let fill = |_: &mut [f32]| Err(Error::Request("row 3 is infinite".into()));
            node_shared(comm, "numbers", 10, fill).is_err()
        });
        assert_eq!(failed, [true; 3]);
    }

    #[test]
    fn nothing_is_shared_as_well_and_too_much_is_refused() {
        for length in [0, 1] {
            let lengths =
                on_ranks(2, |comm| node_shared(comm, "numbers", length, count).map(|a| a.len()).unwrap());
            assert_eq!(lengths, [length; 2]);
        }
        for ranks in 1..3 {
            let refused = on_ranks(ranks, |comm| node_shared(comm, "numbers", 1 << 48, count).is_err());
            assert_eq!(refused, vec![true; ranks]);
        }
        assert!(node_shared(&Serial, "numbers", usize::MAX, count).is_err());
    }

    #[test]
    fn where_a_rank_cannot_open_it_none_shares() {
        let reasons = on_ranks(2, |comm| {
            if comm.rank() == 1 {
                return share::<u32>(comm, 16).err().unwrap();
            }
            // Of a segment that is gone.
            let address = Segment::create(16).unwrap().address().unwrap();
            comm.broadcast(0, &mut bytemuck::bytes_of(&address).to_vec());
            String::from_utf8(comm.all_gather(&[]).swap_remove(1)).unwrap()
        });
        assert!(!reasons[0].is_empty() && reasons[0] == reasons[1], "{reasons:?}");
    }
}
