//! Where a thread waits: for time to pass, or until somebody says that something has changed.
//!
//! A simulation that runs the thread is asked instead of the machine ([`crate::time::simulate`]). Nothing here is on
//! the way of a single record.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time;

/// Waits for so long.
pub fn sleep(pause: Duration) {
    match time::simulated() {
        Some(machine) => machine.sleep(pause),
        None => std::thread::sleep(pause),
    }
}

/// A number that nobody can foresee and that does not come again.
pub fn random() -> u64 {
    match time::simulated() {
        Some(machine) => machine.random(),
        None => RandomState::new().build_hasher().finish(),
    }
}

/// Says that something has changed, to all who wait for that.
#[derive(Debug, Default)]
pub struct Bell(Condvar);

impl Bell {
    /// Something has changed.
    pub fn ring(&self) {
        match time::simulated() {
            Some(machine) => machine.ring(),
            None => self.0.notify_all(),
        }
    }

    /// Lets go of what `guard` guards, which is `of`, until the bell rings or so much time is over; and holds it again.
    /// It may come back early: whoever waits looks whether it has what it waits for.
    pub fn wait<'m, T>(
        &self,
        of: &'m Mutex<T>,
        guard: MutexGuard<'m, T>,
        at_most: Duration,
    ) -> MutexGuard<'m, T> {
        let Some(machine) = time::simulated() else {
            return self.0.wait_timeout(guard, at_most).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(guard);
        machine.wait(at_most);
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
