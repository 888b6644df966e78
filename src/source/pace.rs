//! Where a thread waits: for time to pass, or until somebody says that something has changed; and what no thread must
//! wait for.
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

/// Drops a client that may never come back from being dropped, as one that is dead inside does: on a thread of its own.
pub fn let_go<T: Send + 'static>(client: T) {
    if time::simulated().is_none() {
        // Where there is no thread to be had, the client is dropped with what was to run on it, and here.
        drop(std::thread::Builder::new().name("let-go".to_owned()).spawn(move || drop(client)));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::time::{Machine, Timestamp, simulate};

    /// One on which whoever waits is told something.
    #[derive(Default)]
    struct Telling {
        told: Arc<Mutex<u32>>,
        rung: AtomicUsize,
    }

    impl Machine for Telling {
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }

        fn sleep(&self, _pause: Duration) {
            *self.told.try_lock().unwrap() += 10;
        }

        fn wait(&self, _at_most: Duration) {
            *self.told.try_lock().unwrap() += 1;
        }

        fn ring(&self) {
            self.rung.fetch_add(1, Ordering::Relaxed);
        }

        fn random(&self) -> u64 {
            4
        }
    }

    #[test]
    fn a_simulated_thread_waits_as_its_machine_says() {
        let machine = Arc::new(Telling::default());
        let simulated = simulate(Arc::clone(&machine) as Arc<dyn Machine>);
        let (bell, told) = (Bell::default(), &machine.told);
        let held = bell.wait(told, told.lock().unwrap(), Duration::from_secs(3600));
        assert_eq!(*held, 1, "nobody else can have had it but while it waited");
        drop(held);
        sleep(Duration::from_secs(3600));
        bell.ring();
        assert_eq!((*told.lock().unwrap(), random(), random()), (11, 4, 4));
        assert_eq!(machine.rung.load(Ordering::Relaxed), 1);
        drop(simulated);
        assert_ne!(random(), random());
    }

    #[test]
    fn a_bell_wakes_who_waits() {
        let (bell, rung) = (Bell::default(), Mutex::new(false));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut held = rung.lock().unwrap();
                while !*held {
                    held = bell.wait(&rung, held, Duration::from_secs(60));
                }
            });
            *rung.lock().unwrap() = true;
            bell.ring();
            waits.join().unwrap();
        });
    }
}
