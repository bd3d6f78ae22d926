//! A thread on every rank that names whoever holds up or breaks the job, and
//! then ends it. It does no work and calls nothing that waits for another rank.
//!
//! - Every rank says what it is doing to ranks 0 and 1. Rank 0 names a rank that
//!   says nothing or makes no progress while others wait for it (`stall.rs`);
//!   rank 1 names rank 0 if that falls silent.
//! - The first two ranks of a node wait for the end of its processes
//!   (`processes.rs`) and name the one that ends before it has said goodbye.

mod heartbeat;
mod processes;
mod stall;

use super::board::Board;
use super::{Communicator, MpiWorld, abort_job};
use crate::status::{self, Snapshot};
use crate::{Error, Result};
use heartbeat::{Heartbeats, Unopened};
use processes::{Bell, Processes};
use stall::{Heard, stalled};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ranks of the job, and of a node, that watch.
const WATCHERS: usize = 2;

/// A rank that has told why the job ends has this long to end it.
const TO_ABORT: Duration = Duration::from_secs(10);

static TIMEOUT: AtomicU64 = AtomicU64::new(300_000);
static WORD: OnceLock<Arc<Shared>> = OnceLock::new();

/// After how long without progress a rank is named and the job ended; zero for never.
pub fn set_timeout(seconds: f64) {
    TIMEOUT.store((seconds * 1e3) as u64, Ordering::Relaxed);
    if let Some(shared) = WORD.get() {
        shared.bell.ring();
    }
}

fn timeout() -> Option<Duration> {
    let time = TIMEOUT.load(Ordering::Relaxed);
    (time > 0).then(|| Duration::from_millis(time))
}

/// How often ranks say what they do.
fn interval() -> Duration {
    let tenth = timeout().map_or(Duration::MAX, |time| time / 10);
    tenth.clamp(Duration::from_millis(200), Duration::from_secs(5))
}

/// Takes the word to tell why the job ends; false if another rank of this node
/// has told already. Follow with [`abort_job`].
pub fn claim_word() -> bool {
    let Some(shared) = WORD.get() else { return true };
    if !shared.board.claim() {
        return false;
    }
    if shared.nodes > 1 {
        // The watch thread passes it on to other nodes.
        shared.bell.ring();
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// The watch of this rank, running.
pub struct Watch {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What the main thread and its watch both use.
struct Shared {
    board: Board,
    bell: Bell,
    stop: AtomicBool,
    nodes: usize,
}

/// What rank 0 or 1 knows of another.
#[derive(Clone, Copy)]
struct Ear {
    last: Snapshot,
    heard: Duration,
    moved: Duration,
}

/// What the thread has.
struct Watcher {
    shared: Arc<Shared>,
    rank: usize,
    /// The host of each rank.
    hosts: Vec<String>,
    /// The ranks that watch on other nodes.
    node_watchers: Vec<usize>,
    /// `None` where the library lets one thread alone speak.
    beats: Option<Heartbeats>,
    processes: Processes,
    /// By rank; empty but on ranks 0 and 1.
    ears: Vec<Ear>,
    /// Time that this thread has seen pass: a job that is stopped as a whole and
    /// goes on later has not been silent.
    clock: Duration,
    ticked: Instant,
    claimed: Option<Duration>,
    /// Progress of this rank when it was last seen to grow, and that time by `clock`.
    moved: (u64, Duration),
}

impl Watch {
    /// Starts watching, on every rank; with one rank there is nobody to watch.
    pub fn start(mpi: &MpiWorld) -> Result<Option<Self>> {
        let world = mpi.communicator();
        let (rank, size) = (world.rank(), world.size());
        if size == 1 {
            return Ok(None);
        }
        let node = world.node();
        let board = Board::new(node.as_ref(), rank);
        let mut own = status::host().into_bytes();
        own.push(u8::from(node.rank() < WATCHERS));
        own.push(u8::from(node.rank() == 0));
        let told = world.all_gather(&own);
        let flags = |bytes: &[u8]| (bytes[bytes.len() - 2] != 0, bytes[bytes.len() - 1] != 0);
        let hosts = told.iter().map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
        let hosts: Vec<String> = hosts.collect();
        let here: Vec<usize> = board.ranks().map(|(rank, _)| rank).collect();
        let elsewhere = |rank: &usize| flags(&told[*rank]).0 && !here.contains(rank);
        let node_watchers: Vec<usize> = (0..size).filter(elsewhere).collect();
        let nodes = told.iter().filter(|bytes| flags(bytes).1).count();

        let failed = |e: std::io::Error| Error::Ranks(format!("cannot watch over the ranks: {e}"));
        let bell = Bell::new().map_err(failed)?;
        let shared = Arc::new(Shared { board, bell, stop: AtomicBool::new(false), nodes });
        let _ = WORD.set(shared.clone());
        let channel = mpi.speaks_from_any_thread().then(|| Unopened::of(&mpi.raw_world()));
        let body = {
            let shared = shared.clone();
            move || Watcher::new(shared, rank, hosts, node_watchers, channel).run()
        };
        let thread = std::thread::Builder::new().name("watch".into()).spawn(body).map_err(failed)?;
        Ok(Some(Self { shared, thread }))
    }

    /// Ends the watch; every rank of `world` calls this before MPI ends.
    pub fn stop(self, world: &dyn Communicator) {
        {
            let _others_may_take_long = status::patience();
            world.barrier();
        }
        status::leave();
        self.shared.stop.store(true, Ordering::Release);
        self.shared.bell.ring();
        let _ = self.thread.join();
    }
}

impl Watcher {
    fn new(
        shared: Arc<Shared>,
        rank: usize,
        hosts: Vec<String>,
        node_watchers: Vec<usize>,
        channel: Option<Unopened>,
    ) -> Self {
        let own = shared.board.own();
        let others = shared.board.ranks().enumerate().filter(|(place, _)| *place != own && own < WATCHERS);
        let others = others.map(|(place, (_, status))| (place, status.snapshot().process));
        let processes = Processes::new(shared.bell.clone(), others);
        let watchers: Vec<usize> = (0..WATCHERS).filter(|&watcher| watcher != rank).collect();
        let unheard =
            Ear { last: bytemuck::Zeroable::zeroed(), heard: Duration::ZERO, moved: Duration::ZERO };
        Self {
            beats: channel.map(|channel| channel.open(&watchers)),
            processes,
            ears: if rank < WATCHERS { vec![unheard; hosts.len()] } else { Vec::new() },
            shared,
            rank,
            hosts,
            node_watchers,
            clock: Duration::ZERO,
            ticked: Instant::now(),
            claimed: None,
            moved: (0, Duration::ZERO),
        }
    }

    fn run(mut self) {
        let mut due = Instant::now();
        loop {
            let gone = self.processes.wait(due.saturating_duration_since(Instant::now()));
            if self.shared.stop.load(Ordering::Acquire) {
                break;
            }
            gone.into_iter().for_each(|place| self.name_dead(place));
            if self.shared.board.is_claimed() {
                self.pass_on();
            }
            // The timeout may have been set anew.
            due = due.min(self.ticked + interval());
            if Instant::now() >= due {
                self.tick();
                due = self.ticked + interval();
            }
        }
        if let Some(beats) = self.beats.take() {
            beats.goodbye(&status::snapshot(), self.rank < WATCHERS);
        }
    }

    /// Says and hears what ranks do, and judges.
    fn tick(&mut self) {
        self.clock += self.ticked.elapsed().min(2 * interval());
        self.ticked = Instant::now();
        let own = status::snapshot();
        if let Some(beats) = &mut self.beats {
            beats.send(&own);
        }
        self.listen();
        if self.claimed.is_some_and(|since| self.clock >= since + TO_ABORT) {
            abort_job(1);
        }
        let Some(limit) = timeout().filter(|_| self.claimed.is_none()) else { return };
        if self.beats.is_none() {
            if self.moved.0 != own.progress {
                self.moved = (own.progress, self.clock);
            }
            // Time for which the job was stopped as a whole does not count.
            let waited = own.waited().min(self.clock - self.moved.1);
            if let Some(call) = own.call().filter(|_| !own.is_patient() && waited >= limit) {
                let waited = waited.as_secs_f64();
                self.end_job(self.rank, &own, &format!("has waited {waited:.0} s in {call}"));
            }
            return;
        }
        if self.ears.is_empty() {
            return;
        }
        self.hear(self.rank, own);
        let heard = |ear: &Ear| Heard {
            last: ear.last,
            silent: self.clock - ear.heard,
            still: self.clock - ear.moved,
        };
        let heard: Vec<Heard> = self.ears.iter().map(heard).collect();
        // Rank 1 judges when rank 0 cannot.
        let judges = self.rank == 0 || heard[0].silent >= limit + 2 * interval();
        if let Some(stall) = stalled(&heard, limit).filter(|_| judges) {
            self.end_job(stall.rank, &heard[stall.rank].last, &stall.what);
        }
    }

    fn listen(&mut self) {
        let Some(mut beats) = self.beats.take() else { return };
        if beats.receive(|from, state| self.hear(from, state)) {
            self.shared.board.claim();
        }
        self.beats = Some(beats);
    }

    fn hear(&mut self, from: usize, state: Snapshot) {
        let Some(ear) = self.ears.get_mut(from) else { return };
        if ear.last.progress != state.progress {
            ear.moved = self.clock;
        }
        (ear.last, ear.heard) = (state, self.clock);
    }

    /// Names a process of this node that has ended, unless it was to end.
    fn name_dead(&mut self, place: usize) {
        let Some((rank, status)) = self.shared.board.ranks().nth(place) else { return };
        let last = status.snapshot();
        if last.has_left() {
            return;
        }
        if self.shared.nodes > 1 {
            // Another node may have told why this one dies.
            self.listen();
        }
        if !self.shared.board.is_claimed() {
            let what = format!("its process {} is gone: killed, out of memory, or crashed", last.process);
            self.end_job(rank, &last, &what);
        }
    }

    /// Tells why the job ends, if nobody has, and ends it.
    fn end_job(&mut self, rank: usize, state: &Snapshot, what: &str) {
        if self.shared.board.claim() {
            self.pass_on();
            // What a rank of this node has come to since it spoke stands on the board.
            let here = self.shared.board.ranks().find(|(here, _)| *here == rank);
            let state = here.map_or(*state, |(_, status)| status.snapshot());
            log::error!(target: status::PLACED, "{}: {what}", state.place(rank, &self.hosts[rank]));
            abort_job(1);
        }
    }

    /// Sees to it that other nodes hear, once, that why the job ends has been told.
    fn pass_on(&mut self) {
        if self.claimed.is_none() {
            self.claimed = Some(self.clock);
            let speaks = self.shared.board.own() < WATCHERS && !self.node_watchers.is_empty();
            if let Some(beats) = self.beats.as_mut().filter(|_| speaks) {
                beats.tell(self.node_watchers.iter().copied(), &status::snapshot());
            }
        }
    }
}
