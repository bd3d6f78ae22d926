//! What this process is doing, for whoever must name it when a job hangs or
//! dies: plain atomics that the work sets as it goes and that a watcher reads,
//! from another thread or, once `publish` has moved them there, from another
//! process of the node, even one that outlives this one.

use rustix::time::{ClockId, clock_gettime};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Target of log lines that say by themselves which rank speaks, and where: see [`placed`].
pub const PLACED: &str = "crossrx::placed";

/// Bytes of a task's name that are kept.
const NAME: usize = 96;

/// Where in the library below a rank waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// For all of them.
    Barrier = 1,
    /// For bytes of one of them.
    Broadcast,
    /// For bytes of each.
    AllGather,
    /// For part of a sum.
    Sum,
    /// For one to take a message.
    Send,
    /// For a message of one.
    Receive,
    /// For all, to cut them into groups.
    Split,
}

impl Call {
    const ALL: [Call; 7] =
        [Call::Barrier, Call::Broadcast, Call::AllGather, Call::Sum, Call::Send, Call::Receive, Call::Split];
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Call::Barrier => "a barrier",
            Call::Broadcast => "a broadcast",
            Call::AllGather => "an all-gather",
            Call::Sum => "the sum over ranks",
            Call::Send => "a send",
            Call::Receive => "a receive",
            Call::Split => "the cut into groups",
        })
    }
}

/// The state of one process. All zeros is that of one that has not begun.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Status {
    process: AtomicU32,
    /// Odd while the name is being written.
    version: AtomicU32,
    /// A [`Call`], or zero.
    call: AtomicU32,
    /// How many reasons there are to wait for long.
    patience: AtomicU32,
    /// Whether it has said goodbye.
    left: AtomicU32,
    /// Tasks begun.
    tasks: AtomicU32,
    /// Nanoseconds of the node's clock when the call began.
    since: AtomicU64,
    /// From one; zero outside of a training.
    step: AtomicU64,
    progress: AtomicU64,
    /// Bytes of the task's name, zeros behind them.
    name: [AtomicU64; NAME / 8],
}

/// A [`Status`] at one moment, as ranks send it to one another.
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Snapshot {
    /// Number of the process, on its node.
    pub process: u32,
    call: u32,
    patience: u32,
    left: u32,
    waited: u64,
    step: u64,
    /// Grows while work is being done.
    pub progress: u64,
    name: [u8; NAME],
}

/// Before it is published.
static OWN: Status = Status::new();
static SHARED: OnceLock<&'static Status> = OnceLock::new();
static PLACE: OnceLock<(usize, String)> = OnceLock::new();

#[inline]
fn own() -> &'static Status {
    SHARED.get().copied().unwrap_or(&OWN)
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Status {
    const fn new() -> Self {
        Self {
            process: AtomicU32::new(0),
            version: AtomicU32::new(0),
            call: AtomicU32::new(0),
            patience: AtomicU32::new(0),
            left: AtomicU32::new(0),
            tasks: AtomicU32::new(0),
            since: AtomicU64::new(0),
            step: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            name: [const { AtomicU64::new(0) }; NAME / 8],
        }
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        let call = self.call.load(Ordering::Acquire);
        let since = self.since.load(Ordering::Relaxed);
        Snapshot {
            process: self.process.load(Ordering::Relaxed),
            call,
            patience: self.patience.load(Ordering::Relaxed),
            left: self.left.load(Ordering::Acquire),
            waited: if call == 0 { 0 } else { now().saturating_sub(since) },
            step: self.step.load(Ordering::Relaxed),
            progress: self.progress.load(Ordering::Relaxed),
            name: self.name(),
        }
    }

    fn name(&self) -> [u8; NAME] {
        let mut words = [0u64; NAME / 8];
        // A process may die in the middle of a name, so this does not wait for ever.
        for _ in 0..8 {
            let version = self.version.load(Ordering::Acquire);
            for (to, from) in words.iter_mut().zip(&self.name) {
                *to = from.load(Ordering::Acquire);
            }
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                break;
            }
        }
        bytemuck::cast(words)
    }

    fn set_name(&self, name: &str) {
        let mut bytes = [0u8; NAME];
        let mut length = name.len().min(NAME);
        while !name.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        let words: [u64; NAME / 8] = bytemuck::cast(bytes);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.name.iter().zip(words).for_each(|(to, from)| to.store(from, Ordering::Release));
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Snapshot {
    /// Where it waits.
    pub fn call(&self) -> Option<Call> {
        Call::ALL.into_iter().find(|call| *call as u32 == self.call)
    }

    /// How long it has waited there.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited)
    }

    /// Whether its wait may well be long.
    pub fn is_patient(&self) -> bool {
        self.patience > 0
    }

    /// Whether it has said goodbye.
    pub fn has_left(&self) -> bool {
        self.left != 0
    }

    /// The task it works on; empty between tasks.
    pub fn task(&self) -> String {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
        String::from_utf8_lossy(&self.name[..length]).into_owned()
    }

    /// Rank, host, task and step, as far as there are any.
    pub fn place(&self, rank: usize, host: &str) -> String {
        let mut place = format!("rank {rank} on {host}");
        let task = self.task();
        if !task.is_empty() {
            place += ", ";
            place += &task;
        }
        if self.step > 0 {
            place += &format!(", step {}", self.step);
        }
        place
    }
}

/// Says which rank of the job this process is, and where.
pub fn set_rank(rank: usize) {
    own().process.store(std::process::id(), Ordering::Relaxed);
    let _ = PLACE.set((rank, host()));
}

/// The name of this host, up to its first dot.
pub fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_string()
}

/// The name of the node of this rank, as it was when it became one.
pub fn own_host() -> String {
    PLACE.get().map_or_else(host, |place| place.1.clone())
}

/// This process's rank in the job; zero where there are no ranks.
pub fn rank() -> usize {
    PLACE.get().map_or(0, |place| place.0)
}

/// `cause` behind rank, host, task and step of this process, if it is a rank.
pub fn placed(cause: &str) -> String {
    match PLACE.get() {
        Some((rank, host)) => format!("{}: {cause}", snapshot().place(*rank, host)),
        None => cause.into(),
    }
}

/// Whether this process is at work on a task.
pub fn has_task() -> bool {
    snapshot().name[0] != 0
}

/// What this process is doing now.
pub fn snapshot() -> Snapshot {
    own().snapshot()
}

/// Keeps the state of this process in `shared` from here on. Does nothing the second time.
pub fn publish(shared: &'static Status) {
    if SHARED.set(shared).is_ok() {
        let copy =
            |to: &AtomicU32, from: &AtomicU32| to.store(from.load(Ordering::Relaxed), Ordering::Release);
        copy(&shared.process, &OWN.process);
        copy(&shared.tasks, &OWN.tasks);
        shared.progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says that work has been done. Costs one atomic addition: call it once an op,
/// a chunk or a block.
#[inline]
pub fn beat() {
    own().progress.fetch_add(1, Ordering::Relaxed);
}

/// Names the task that begins. It keeps its name if it fails, to be told.
pub fn begin_task(name: &str) {
    let own = own();
    own.tasks.fetch_add(1, Ordering::Relaxed);
    own.step.store(0, Ordering::Relaxed);
    own.set_name(name);
    beat();
}

/// Says that the task is done.
pub fn end_task() {
    own().step.store(0, Ordering::Relaxed);
    own().set_name("");
    beat();
}

/// Tasks that this process has begun.
pub fn tasks() -> u32 {
    own().tasks.load(Ordering::Relaxed)
}

/// Says which step of its training a task has come to, from one; zero after the last.
#[inline]
pub fn step(number: u64) {
    own().step.store(number, Ordering::Relaxed);
    beat();
}

/// Says that this process waits for others, until the guard is dropped.
#[inline]
pub fn waiting(call: Call) -> Waiting {
    let own = own();
    own.since.store(now(), Ordering::Relaxed);
    own.call.store(call as u32, Ordering::Release);
    Waiting(call)
}

/// Says that this process may wait for long, and rightly so, until the guard is dropped.
pub fn patience() -> Patience {
    own().patience.fetch_add(1, Ordering::Relaxed);
    Patience(PhantomData)
}

/// Says goodbye: the end of this process is not a failure to be told. Safe to
/// call from a signal handler.
pub fn leave() {
    own().left.store(1, Ordering::Release);
}

/// See [`waiting`].
#[must_use]
#[derive(Debug)]
pub struct Waiting(Call);

impl Drop for Waiting {
    #[inline]
    fn drop(&mut self) {
        let own = own();
        // Another thread may have begun to wait meanwhile.
        let _ = own.call.compare_exchange(self.0 as u32, 0, Ordering::Release, Ordering::Relaxed);
        beat();
    }
}

/// See [`patience`].
#[must_use]
#[derive(Debug)]
pub struct Patience(PhantomData<()>);

impl Drop for Patience {
    fn drop(&mut self) {
        own().patience.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "mpi"))]
impl Status {
    pub(crate) fn begin(&self, task: &str, step: u64) {
        self.set_name(task);
        self.step.store(step, Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "mpi"))]
impl Snapshot {
    /// For tests of what is made of it.
    pub(crate) fn made_up(task: &str, step: u64, call: Option<Call>, waited: Duration) -> Self {
        let status = Status::new();
        status.begin(task, step);
        let waited = waited.as_nanos() as u64;
        Self { call: call.map_or(0, |call| call as u32), waited, ..status.snapshot() }
    }

    pub(crate) fn patient(self) -> Self {
        Self { patience: 1, ..self }
    }

    pub(crate) fn gone(self) -> Self {
        Self { left: 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_another_reads() {
        let status = Status::new();
        assert_eq!(status.snapshot().place(3, "n1"), "rank 3 on n1");
        status.set_name("NCI60 split 2");
        status.step.store(17, Ordering::Relaxed);
        assert_eq!(status.snapshot().place(3, "n1"), "rank 3 on n1, NCI60 split 2, step 17");
        for call in Call::ALL {
            status.call.store(call as u32, Ordering::Relaxed);
            assert_eq!(status.snapshot().call(), Some(call));
        }
        status.call.store(99, Ordering::Relaxed);
        assert_eq!(status.snapshot().call(), None);
    }

    #[test]
    fn long_names_are_cut_between_characters_and_short_ones_replace_them() {
        let status = Status::new();
        status.set_name(&"ä".repeat(60));
        assert_eq!(status.snapshot().task(), "ä".repeat(48));
        status.set_name(&format!("x{}", "ä".repeat(60)));
        assert_eq!(status.snapshot().task(), format!("x{}", "ä".repeat(47)));
        status.set_name("short");
        assert_eq!(status.snapshot().task(), "short");
    }

    #[test]
    fn a_name_that_changes_all_the_time_is_read_whole() {
        let status = Status::new();
        let names = ["a".repeat(90), "b".repeat(90)];
        status.set_name(&names[0]);
        let done = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 0..2_000 {
                    status.set_name(&names[at % 2]);
                    std::thread::sleep(Duration::from_micros(10));
                }
                done.store(1, Ordering::Relaxed);
            });
            let mut torn = 0;
            let mut read = 0;
            while done.load(Ordering::Relaxed) == 0 || read == 0 {
                read += 1;
                torn += u32::from(!names.contains(&status.snapshot().task()));
            }
            // The reader gives up after a few tries, which a writer that loses its processor outlasts.
            assert!(torn * 20 <= read, "{torn} of {read} names are torn");
        });
    }
}
