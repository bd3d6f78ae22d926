//! Ranks as threads of one process, joined by channels: to test what runs over
//! ranks without a launcher.

use super::{Communicator, Tag};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Messages on their way to one rank: sender, tag, bytes.
#[derive(Default)]
struct Mailbox {
    waiting: Mutex<VecDeque<(usize, i32, Vec<u8>)>>,
    came: Condvar,
}

struct ThreadRank {
    rank: usize,
    /// Which of the group's communicators this is; messages of one never reach another.
    context: i32,
    /// Communicators made so far, on this rank.
    contexts: Arc<AtomicI32>,
    boxes: Arc<Vec<Mailbox>>,
}

/// Longer than any test takes: a rank that waits for one that has panicked ends the test.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Tags of the collectives, apart from those of [`Tag`].
const COLLECTIVE: i32 = 1000;

/// Tags of one communicator, apart from those of the next.
const TAGS: i32 = 10_000;

/// Runs `work` as each of `ranks` ranks and returns what each gave.
pub fn on_ranks<R: Send>(ranks: usize, work: impl Fn(&dyn Communicator) -> R + Sync) -> Vec<R> {
    let boxes: Arc<Vec<Mailbox>> = Arc::new((0..ranks).map(|_| Mailbox::default()).collect());
    std::thread::scope(|scope| {
        let start = |rank| {
            let (boxes, work) = (boxes.clone(), &work);
            scope.spawn(move || work(&ThreadRank { rank, context: 0, contexts: Arc::default(), boxes }))
        };
        let threads: Vec<_> = (0..ranks).map(start).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

impl ThreadRank {
    /// The next communicator of the same ranks, which all make theirs in the same order.
    fn next(&self) -> Self {
        let context = 1 + self.contexts.fetch_add(1, Ordering::Relaxed);
        Self { rank: self.rank, context, contexts: self.contexts.clone(), boxes: self.boxes.clone() }
    }

    fn post(&self, to: usize, tag: i32, bytes: &[u8]) {
        let (mailbox, tag) = (&self.boxes[to], self.context * TAGS + tag);
        mailbox.waiting.lock().unwrap().push_back((self.rank, tag, bytes.to_vec()));
        mailbox.came.notify_all();
    }

    fn take(&self, from: Option<usize>, tag: i32, wait: bool) -> Option<(usize, Vec<u8>)> {
        let (mailbox, tag) = (&self.boxes[self.rank], self.context * TAGS + tag);
        let mut waiting = mailbox.waiting.lock().unwrap();
        loop {
            let fits = |m: &(usize, i32, Vec<u8>)| m.1 == tag && from.is_none_or(|from| from == m.0);
            if let Some((sender, _, bytes)) = waiting.iter().position(fits).and_then(|at| waiting.remove(at))
            {
                return Some((sender, bytes));
            }
            if !wait {
                return None;
            }
            let (still, waited) = mailbox.came.wait_timeout(waiting, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "rank {} waits in vain for tag {tag} of {from:?}", self.rank);
            waiting = still;
        }
    }
}

impl Communicator for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.boxes.len()
    }

    fn barrier(&self) {
        self.all_gather(&[]);
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        *bytes = self.all_gather(bytes).swap_remove(root);
    }

    fn all_gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        (0..self.size()).for_each(|to| self.post(to, COLLECTIVE, bytes));
        (0..self.size()).map(|from| self.take(Some(from), COLLECTIVE, true).unwrap().1).collect()
    }

    fn exchange(&self, partner: usize, send: &[f32], receive: &mut [f32]) {
        self.send(partner, Tag::Sum, bytemuck::cast_slice(send));
        let (_, bytes) = self.receive(Some(partner), Tag::Sum);
        bytemuck::cast_slice_mut::<f32, u8>(receive).copy_from_slice(&bytes);
    }

    fn send(&self, to: usize, tag: Tag, bytes: &[u8]) {
        self.post(to, tag as i32, bytes);
    }

    fn receive(&self, from: Option<usize>, tag: Tag) -> (usize, Vec<u8>) {
        self.take(from, tag as i32, true).unwrap()
    }

    fn try_receive(&self, tag: Tag) -> Option<(usize, Vec<u8>)> {
        self.take(None, tag as i32, false)
    }

    fn split(&self, _colour: usize) -> Box<dyn Communicator> {
        unreachable!("no test splits threads into groups")
    }

    fn node(&self) -> Box<dyn Communicator> {
        Box::new(self.next())
    }

    fn library_sum(&self, values: &[f32], sum: &mut [f32]) {
        sum.fill(0.0);
        for theirs in self.all_gather(bytemuck::cast_slice(values)) {
            let theirs = theirs.chunks_exact(4).map(bytemuck::pod_read_unaligned::<f32>);
            sum.iter_mut().zip(theirs).for_each(|(s, t)| *s += t);
        }
    }

    fn for_thread(&self, _hurry: Arc<AtomicBool>) -> Option<Box<dyn Communicator + Send>> {
        (self.size() > 1).then(|| Box::new(self.next()) as _)
    }

    fn abort(&self, code: i32) -> ! {
        panic!("rank {} ends the job with code {code}", self.rank)
    }
}
