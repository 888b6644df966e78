//! Calls into the client that may never return, and since when each worker is in one.
//!
//! A thread that hangs in C code cannot be ended; the process can, and what it had begun is read again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::Instant;

/// Since when each worker is in a call.
#[derive(Debug)]
pub struct Calls(Vec<Mutex<Option<Instant>>>);

/// A call; dropping it says that it returned.
#[derive(Debug)]
pub struct Call<'c>(Option<&'c Mutex<Option<Instant>>>);

impl Calls {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// A worker begins a call.
    pub fn begin(&self, worker: usize) -> Call<'_> {
        let call = Call(self.0.get(worker));
        call.set(Some(Instant::now()));
        call
    }

    /// Whether a worker has been in one call for longer than this.
    pub fn is_longer(&self, worker: usize, bound: Duration) -> bool {
        let since = |call: &Mutex<Option<Instant>>| *call.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.get(worker).and_then(since).is_some_and(|since| since.elapsed() > bound)
    }
}

impl Call<'_> {
    fn set(&self, since: Option<Instant>) {
        if let Some(call) = self.0 {
            *call.lock().unwrap_or_else(PoisonError::into_inner) = since;
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_found() {
        let calls = Calls::new(2);
        assert!(!calls.is_longer(1, Duration::ZERO));
        let call = calls.begin(1);
        std::thread::sleep(Duration::from_millis(2));
        assert!(calls.is_longer(1, Duration::from_millis(1)) && !calls.is_longer(0, Duration::ZERO));
        assert!(!calls.is_longer(1, Duration::from_secs(60)));
        drop(call);
        assert!(!calls.is_longer(1, Duration::ZERO));
    }
}
