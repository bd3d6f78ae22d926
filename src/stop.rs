use crate::{Error, Result, status};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The exit code of a run that was told to stop and can go on: `EX_TEMPFAIL`
/// of `sysexits.h`, on which a job script requeues.
pub const EXIT_CODE: u8 = 75;

/// Part of the hours given after which a run stops, to leave time to write.
const PART: f64 = 0.99;

/// A signal within this of the first is the same wish told twice: a launcher passes on what the batch
/// system has sent to every process as well.
const SAME: u64 = 1_000_000_000;

/// The first signal met, and when, in nanoseconds of the monotonic clock.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static SINCE: AtomicU64 = AtomicU64::new(0);
static DEADLINE: OnceLock<(Instant, f64)> = OnceLock::new();

/// From here on SIGTERM, SIGINT and SIGUSR1 are a wish to stop, which
/// [`wished`] tells. More than a second after the first of them, any ends the
/// process at once, with 128 and its number as the exit code.
pub fn on_signals() -> Result<()> {
    for signal in [SIGUSR1, SIGTERM, SIGINT] {
        // SAFETY: the handler reads a clock, touches atomics and at most calls `_exit`, all of which
        // POSIX allows in a signal handler.
        unsafe { low_level::register(signal, move || heard(signal)) }
            .map_err(|e| Error::Request(format!("cannot listen to signals: {e}")))?;
    }
    Ok(())
}

fn heard(signal: i32) {
    let time = clock_gettime(ClockId::Monotonic);
    let now = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    let first = SINCE.load(Ordering::Relaxed);
    if SIGNAL.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        SINCE.store(now, Ordering::Relaxed);
    } else if first > 0 && now.saturating_sub(first) > SAME {
        status::leave();
        low_level::exit(128 + signal);
    }
}

/// From here on the run is to stop when 99 % of so many hours have passed.
pub fn after_hours(hours: f64) {
    let last = Instant::now()
        .checked_add(Duration::try_from_secs_f64(hours * 3600.0 * PART).unwrap_or(Duration::MAX));
    if let Some(last) = last {
        DEADLINE.get_or_init(|| (last, hours));
    }
}

/// Whether this process has been told to stop: a load, and a look at the clock
/// where there is a deadline.
pub fn wished() -> bool {
    SIGNAL.load(Ordering::Relaxed) != 0 || DEADLINE.get().is_some_and(|(last, _)| Instant::now() >= *last)
}

/// Why this process is to stop, to be read after "stopped"; `None` while it is not.
pub fn reason() -> Option<String> {
    because(
        SIGNAL.load(Ordering::Relaxed),
        DEADLINE.get().filter(|(last, _)| Instant::now() >= *last).map(|(_, hours)| *hours),
    )
}

fn because(signal: i32, over: Option<f64>) -> Option<String> {
    let name = match signal {
        0 => return over.map(|hours| format!("as --max-hours {hours} is nearly over")),
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        SIGUSR1 => "SIGUSR1",
        _ => "a signal",
    };
    Some(format!("by {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_goes_before_the_hours() {
        assert_eq!(because(0, None), None);
        assert_eq!(because(0, Some(1.5)).unwrap(), "as --max-hours 1.5 is nearly over");
        assert_eq!(because(SIGUSR1, Some(1.5)).unwrap(), "by SIGUSR1");
        assert!(!wished() && reason().is_none());
    }
}
