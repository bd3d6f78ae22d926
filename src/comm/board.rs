use super::Communicator;
use super::node_shared::{Draft, share};
use super::sealed::map_to_write;
use crate::status::{self, Status};
use memmap2::MmapRaw;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the processes of a node are doing, in memory that they share and that
/// outlives each of them: a killed process is named with the task and step it
/// had come to. On it the first to tell why the job ends claims the word, so
/// that a node says it once.
#[derive(Debug)]
pub struct Board {
    head: &'static Head,
    slots: &'static [Status],
    /// World rank of each slot.
    ranks: Vec<usize>,
    own: usize,
}

#[derive(Debug, Default)]
#[repr(C)]
struct Head {
    claimed: AtomicU32,
    unused: [u32; 15],
}

impl Board {
    /// The board of the ranks of `node`, which all call this with their rank in
    /// the world. Where they cannot share memory, which is warned of, each has one of its own.
    pub fn new(node: &dyn Communicator, rank: usize) -> Self {
        let ranks = node.all_gather(&(rank as u64).to_ne_bytes());
        let ranks: Vec<usize> =
            ranks.iter().map(|b| bytemuck::pod_read_unaligned::<u64>(b) as usize).collect();
        let alone = || Self {
            head: Box::leak(Box::default()),
            slots: Box::leak(Box::new([Status::default()])),
            ranks: vec![rank],
            own: 0,
        };
        let board = if ranks.len() < 2 {
            alone()
        } else {
            match Self::shared(node, &ranks) {
                Ok(board) => board,
                Err(why) => {
                    if node.rank() == 0 {
                        log::warn!(
                            "a process that dies will not be named, for ranks of a node share no memory: {why}"
                        );
                    }
                    alone()
                }
            }
        };
        status::publish(&board.slots[board.own]);
        // Others read it from here on.
        node.barrier();
        board
    }

    fn shared(node: &dyn Communicator, ranks: &[usize]) -> Result<Self, String> {
        let bytes = size_of::<Head>() + ranks.len() * size_of::<Status>();
        let mapped = match share::<u8>(node, bytes)? {
            Draft::Write(segment) => {
                let map = segment.write_together();
                node.barrier();
                map
            }
            Draft::Read(file) => {
                node.barrier();
                map_to_write(&file, bytes)
            }
            Draft::Own(_) => Err(io::Error::other("there is none")),
        };
        let reason = mapped.as_ref().err().map(io::Error::to_string).unwrap_or_default();
        if let Some(reason) = node.all_gather(reason.as_bytes()).into_iter().find(|r| !r.is_empty()) {
            return Err(String::from_utf8_lossy(&reason).into_owned());
        }
        let map = mapped.map_err(|e| e.to_string())?;
        Ok(Self::over(map, ranks.to_vec(), node.rank()))
    }

    /// Keeps the map to the end of the process.
    fn over(map: MmapRaw, ranks: Vec<usize>, own: usize) -> Self {
        let map: &'static MmapRaw = Box::leak(Box::new(map));
        assert!(map.len() >= size_of::<Head>() + ranks.len() * size_of::<Status>());
        // SAFETY: the map begins on a page, is as long as asserted, is never unmapped, and its size is
        // sealed. Head and Status are C structs of atomics (and unused words), for which zeros are valid
        // and which other processes may change at any time.
        let (head, slots) = unsafe {
            let head = map.as_ptr().cast::<Head>();
            (&*head, std::slice::from_raw_parts(head.add(1).cast::<Status>(), ranks.len()))
        };
        Self { head, slots, ranks, own }
    }

    /// The ranks of this node with their states, by their rank on the node.
    pub fn ranks(&self) -> impl ExactSizeIterator<Item = (usize, &'static Status)> {
        self.ranks.iter().copied().zip(self.slots)
    }

    /// This process's place among them.
    pub fn own(&self) -> usize {
        self.own
    }

    /// Takes the word to tell why the job ends. False if it has been taken.
    pub fn claim(&self) -> bool {
        self.head.claimed.swap(1, Ordering::AcqRel) == 0
    }

    /// Whether the word has been taken.
    pub fn is_claimed(&self) -> bool {
        self.head.claimed.load(Ordering::Acquire) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::sealed::{Segment, join};

    #[test]
    fn what_one_writes_the_other_reads_and_one_alone_has_the_word() {
        let bytes = size_of::<Head>() + 2 * size_of::<Status>();
        let segment = Segment::create(bytes).unwrap();
        let address = segment.address().unwrap();
        let file = join(&address).unwrap();
        assert!(map_to_write(&file, bytes).is_err(), "its size is not sealed yet");
        let one = Board::over(segment.write_together().unwrap(), vec![4, 7], 0);
        assert!(map_to_write(&file, bytes + 1).is_err(), "another size");
        let other = Board::over(map_to_write(&file, bytes).unwrap(), vec![4, 7], 1);
        assert!(file.set_len(1).is_err());
        one.slots[1].begin("Red split 1", 12);
        let (rank, status) = other.ranks().nth(1).unwrap();
        assert_eq!(status.snapshot().place(rank, "n"), "rank 7 on n, Red split 1, step 12");
        assert!(!other.is_claimed());
        assert!(one.claim() && !other.claim() && !one.claim() && other.is_claimed());
    }
}
