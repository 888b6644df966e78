//! Waiting for what must come, with an end and a reason.

use std::time::Duration;

use consentry::time::Instant;

/// Waits until `done`, at most `limit`; then fails with what `why` says.
#[track_caller]
pub fn until(limit: Duration, mut done: impl FnMut() -> bool, why: impl FnOnce() -> String) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {}", why());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Seconds, as a [`Duration`].
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
