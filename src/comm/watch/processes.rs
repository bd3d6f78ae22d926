use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often `/proc` is looked at where processes cannot be waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Wakes the thread that waits in [`Processes::wait`].
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Fails where the process may open no more files.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes it, now or when it next waits.
    pub fn ring(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

/// Processes of this node whose end is waited for: by pidfd_open(2) where the
/// system has it (Linux 5.3), else by looking at `/proc`.
#[derive(Debug)]
pub struct Processes {
    bell: Bell,
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    /// What its end is reported as.
    place: usize,
    process: u32,
    descriptor: Option<OwnedFd>,
}

impl Watched {
    fn new(place: usize, process: u32) -> Self {
        let id = i32::try_from(process).ok().and_then(Pid::from_raw);
        // One that is gone already is found so in `/proc`.
        let descriptor = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        Self { place, process, descriptor }
    }

    /// By `/proc`: whether it is gone, or dead and not yet waited for.
    fn is_gone(&self) -> bool {
        let stat = match std::fs::read(format!("/proc/{}/stat", self.process)) {
            Ok(stat) => stat,
            // What else fails, such as having too many files open, says nothing of it.
            Err(e) => {
                return e.kind() == ErrorKind::NotFound
                    || e.raw_os_error() == Some(Errno::SRCH.raw_os_error());
            }
        };
        // The name, in parentheses, may hold anything.
        let state = stat.rsplit(|&byte| byte == b')').next().unwrap_or_default().trim_ascii_start();
        matches!(state.first(), Some(b'Z' | b'X'))
    }
}

impl Processes {
    /// Of processes by number, each with what its end is reported as.
    pub fn new(bell: Bell, processes: impl Iterator<Item = (usize, u32)>) -> Self {
        let watched = processes.map(|(place, process)| Watched::new(place, process)).collect();
        Self { bell, watched }
    }

    /// Sleeps for `time`, or until the bell rings or a process ends. Returns
    /// those that have ended, each once.
    pub fn wait(&mut self, time: Duration) -> Vec<usize> {
        let until = Instant::now() + time;
        let by_look = self.watched.iter().any(|process| process.descriptor.is_none());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let rang = self.poll(if by_look { left.min(LOOK) } else { left });
            let mut gone = Vec::new();
            self.watched.retain(|process| {
                let ended = match &process.descriptor {
                    Some(descriptor) => readable(descriptor),
                    None => process.is_gone(),
                };
                if ended {
                    gone.push(process.place);
                }
                !ended
            });
            if rang || !gone.is_empty() || Instant::now() >= until {
                return gone;
            }
        }
    }

    /// Returns when something may have happened, and whether the bell has rung.
    fn poll(&self, time: Duration) -> bool {
        let descriptors = self.watched.iter().filter_map(|process| process.descriptor.as_ref());
        let mut polled: Vec<PollFd> =
            descriptors.chain([&*self.bell.0]).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut polled, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            // Without it this would spin.
            Err(_) => std::thread::sleep(LOOK),
        }
        let rang = polled.last().is_some_and(|bell| !bell.revents().is_empty());
        if rang {
            let _ = rustix::io::read(&self.bell.0, &mut [0u8; 8]);
        }
        rang
    }
}

fn readable(descriptor: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn an_end_is_reported_at_once_and_once() {
        for by_look in [false, true] {
            let mut children = [sleeper(), sleeper()];
            let numbered = children.iter().map(Child::id).enumerate();
            let mut processes = Processes::new(Bell::new().unwrap(), numbered.map(|(at, id)| (at + 5, id)));
            if by_look {
                processes.watched.iter_mut().for_each(|process| process.descriptor = None);
            }
            assert!(processes.wait(Duration::from_millis(1)).is_empty());
            // Not waited for: it stays as a zombie.
            children[1].kill().unwrap();
            let started = Instant::now();
            assert_eq!(processes.wait(Duration::from_secs(30)), [6]);
            assert!(started.elapsed() < Duration::from_secs(10));
            assert!(processes.wait(Duration::from_millis(1)).is_empty());
            for child in &mut children {
                let _ = child.kill();
                child.wait().unwrap();
            }
            assert_eq!(processes.wait(Duration::from_secs(30)), [5]);
        }
    }

    #[test]
    fn a_bell_wakes_whoever_waits_or_will() {
        let bell = Bell::new().unwrap();
        let mut processes = Processes::new(bell.clone(), std::iter::empty());
        let started = Instant::now();
        bell.ring();
        assert!(processes.wait(Duration::from_secs(30)).is_empty());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                bell.ring();
            });
            assert!(processes.wait(Duration::from_secs(30)).is_empty());
        });
        assert!(started.elapsed() < Duration::from_secs(10));
        processes.wait(Duration::from_millis(30));
        assert!(started.elapsed() >= Duration::from_millis(50), "it rings once");
    }
}
