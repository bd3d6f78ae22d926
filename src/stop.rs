use crate::{Error, Result, status};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The exit code of a run that was told to stop and can go on: `EX_TEMPFAIL`
/// of `sysexits.h`, on which a job script requeues.
pub const EXIT_CODE: u8 = 75;

/// Part of the hours given after which a run stops, to leave time to write.
const PART: f64 = 0.99;

static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
static DEADLINE: OnceLock<(Instant, f64)> = OnceLock::new();

/// From here on SIGTERM, SIGINT and SIGUSR1 are a wish to stop, which
/// [`wished`] tells. After one of them any of them ends the process at once,
/// with 128 and its number as the exit code.
pub fn on_signals() -> Result<()> {
    let (met, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let set = || -> std::io::Result<()> {
        for signal in [SIGTERM, SIGINT, SIGUSR1] {
            let last = again.clone();
            let goodbye = move || {
                if last.load(Ordering::Relaxed) {
                    status::leave()
                }
            };
            // SAFETY: two accesses to atomics are safe in a signal handler.
            unsafe { signal_hook::low_level::register(signal, goodbye)? };
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())?;
            flag::register(signal, again.clone())?;
            flag::register_usize(signal, met.clone(), signal as usize)?;
        }
        Ok(())
    };
    set().map_err(|e| Error::Request(format!("cannot listen to signals: {e}")))?;
    SIGNAL.get_or_init(|| met);
    Ok(())
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
    SIGNAL.get().is_some_and(|signal| signal.load(Ordering::Relaxed) != 0)
        || DEADLINE.get().is_some_and(|(last, _)| Instant::now() >= *last)
}

/// Why this process is to stop, to be read after "stopped"; `None` while it is not.
pub fn reason() -> Option<String> {
    let signal = SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed));
    because(
        signal as i32,
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
