use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Whether this process has been told to end.
static TOLD: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let told = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, told.clone()).unwrap();
    }
    told
});

/// Fails the test that runs, which then tears its cluster down, if this process has been told to end.
pub fn end_if_told() {
    assert!(!TOLD.load(Ordering::Relaxed), "told to end by a signal");
}

/// Looks until there is what is waited for; fails with what there is instead when `limit` is over.
pub fn wait_for<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    wait_or_tell(what, limit, look, String::new)
}

/// As [`wait_for`]; `instead` is told where it fails.
pub fn wait_or_tell<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
    instead: impl Fn() -> String,
) -> T {
    let started = Instant::now();
    loop {
        end_if_told();
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} for {what}\n{}", instead());
        std::thread::sleep(Duration::from_millis(100));
    }
}
