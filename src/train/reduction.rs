use crate::comm::{Communicator, TreeSum};
use crate::device::all_finite;
use crate::graph::Gradients;
use crate::status::{self, Call};
use crate::{Error, Result};
use arrayvec::ArrayVec;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Words that travel behind the last bucket and are summed over ranks with it.
pub type Words = [f32; 3];

/// Sums gradients over ranks, bucket by bucket, on a thread of its own that
/// has its own communicator, while backward goes on. Where the library lets
/// one thread speak at a time, buckets wait until all are there. One rank
/// needs no thread. The bits are those of one sum of everything at once.
pub struct Reduction<'a> {
    comm: &'a dyn Communicator,
    line: Arc<Line>,
    /// Whether nothing is left to do but to wait for sums.
    hurry: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    tree_sum: TreeSum,
}

/// What a sum over ranks came to besides gradients, the same on every rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reduced {
    /// The words of all ranks added up.
    pub words: Words,
    /// Whether every gradient is a finite number.
    pub finite: bool,
}

/// A bucket on its way.
struct Bucket {
    number: usize,
    values: Vec<f32>,
    finite: bool,
}

/// Buckets between the thread that trains and the one that sums. Its lists have room for all
/// buckets, so that nothing is allocated in a step.
struct Line {
    state: Mutex<State>,
    changed: Condvar,
    /// Nanoseconds in sums over ranks.
    busy: AtomicU64,
}

struct State {
    waiting: VecDeque<Bucket>,
    done: VecDeque<Bucket>,
    /// Whether the other end of the line is still there.
    open: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to take, or the line is closed.
    fn next(&self, take: impl Fn(&mut State) -> Option<Bucket>) -> Option<Bucket> {
        let mut state = self.lock();
        loop {
            let taken = take(&mut state);
            if taken.is_some() || !state.open {
                return taken;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, put: impl FnOnce(&mut State)) {
        put(&mut self.lock());
        self.changed.notify_all();
    }

    fn sum(&self, comm: &dyn Communicator, tree_sum: &mut TreeSum, bucket: &mut Bucket) {
        let started = Instant::now();
        tree_sum.all_reduce(comm, &mut bucket.values);
        bucket.finite = all_finite(&bucket.values);
        self.busy.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

/// Closes the line when its thread ends, even by a panic, so that nobody waits for it.
struct Closing<'a>(&'a Line);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.put(|state| state.open = false);
    }
}

fn serve(line: &Line, comm: &dyn Communicator) {
    let _closing = Closing(line);
    let mut tree_sum = TreeSum::default();
    while let Some(mut bucket) = line.next(|state| state.waiting.pop_front()) {
        line.sum(comm, &mut tree_sum, &mut bucket);
        line.put(|state| state.done.push_back(bucket));
    }
}

impl<'a> Reduction<'a> {
    /// Between the ranks of `comm`, which all call this, for gradients in so many buckets.
    /// Fails if the system gives no thread.
    pub fn new(comm: &'a dyn Communicator, buckets: usize) -> Result<Self> {
        let lists = || VecDeque::with_capacity(buckets);
        let state = Mutex::new(State { waiting: lists(), done: lists(), open: true });
        let line = Arc::new(Line { state, changed: Condvar::new(), busy: AtomicU64::default() });
        let start = |own: Box<dyn Communicator + Send>| {
            let line = line.clone();
            let thread = std::thread::Builder::new().name("crossrx-sums".into());
            let thread = thread.spawn(move || serve(&line, own.as_ref()));
            thread.map_err(|e| Error::Ranks(format!("cannot start the thread that sums gradients: {e}")))
        };
        let hurry = Arc::<AtomicBool>::default();
        let thread = comm.for_thread(hurry.clone()).map(start).transpose()?;
        Ok(Self { comm, line, hurry, thread, tree_sum: TreeSum::default() })
    }

    /// Hands over a bucket of this rank's gradients. All ranks give all buckets, in the same order.
    pub fn give(&mut self, number: usize, values: Vec<f32>) {
        let mut bucket = Bucket { number, values, finite: true };
        if self.comm.size() == 1 {
            bucket.finite = bucket.values.par_chunks(1 << 16).all(all_finite);
            self.line.put(|state| state.done.push_back(bucket));
        } else {
            self.line.put(|state| state.waiting.push_back(bucket));
        }
    }

    /// Hands over the last bucket, with this rank's words.
    pub fn give_last(&mut self, number: usize, mut values: Vec<f32>, words: Words) {
        values.extend_from_slice(&words);
        self.give(number, values);
    }

    /// Waits until all buckets are summed, and puts them back in their places.
    pub fn finish(&mut self, gradients: &mut Gradients<f32>) -> Result<Reduced> {
        let lengths: ArrayVec<usize, { Gradients::<f32>::MOST }> =
            (0..gradients.buckets()).map(|bucket| gradients.place(bucket).len()).collect();
        self.finish_each(&lengths, &mut |bucket, values| {
            gradients.put(bucket, values);
            Ok(())
        })
    }

    /// Waits until all buckets are summed, each of so many values, and hands them to `put` as they come.
    pub fn finish_each(
        &mut self,
        lengths: &[usize],
        put: &mut dyn FnMut(usize, Vec<f32>) -> Result<()>,
    ) -> Result<Reduced> {
        self.hurry.store(true, Ordering::Relaxed);
        // The thread's own calls do not tell: others may be long before this rank has given anything.
        let _waiting = self.thread.is_some().then(|| status::waiting(Call::Sum));
        let mut reduced = Reduced { words: Words::default(), finite: true };
        for _ in lengths {
            let mut bucket = self.next()?;
            let own = lengths[bucket.number];
            if let Some(words) = bucket.values.get(own..own + reduced.words.len()) {
                reduced.words.copy_from_slice(words);
            }
            bucket.values.truncate(own);
            reduced.finite &= bucket.finite;
            put(bucket.number, bucket.values)?;
        }
        self.hurry.store(false, Ordering::Relaxed);
        Ok(reduced)
    }

    /// Time that went to sums over ranks, on whichever thread, since the start or [`Self::reset_busy`].
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.line.busy.load(Ordering::Relaxed))
    }

    /// Starts to count that time anew; call it between steps.
    pub fn reset_busy(&mut self) {
        self.line.busy.store(0, Ordering::Relaxed);
    }

    fn next(&mut self) -> Result<Bucket> {
        if self.thread.is_none() && self.comm.size() > 1 {
            let waiting = self.line.lock().waiting.pop_front();
            if let Some(mut bucket) = waiting {
                self.line.sum(self.comm, &mut self.tree_sum, &mut bucket);
                return Ok(bucket);
            }
        }
        let bucket = self.line.next(|state| state.done.pop_front());
        bucket.ok_or_else(|| Error::Ranks("the thread that sums gradients has ended".into()))
    }
}

impl Drop for Reduction<'_> {
    fn drop(&mut self) {
        self.line.put(|state| state.open = false);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}
