//! A machine that a simulation puts in place of the real one, for threads of its own alone.
//!
//! It says what time it is there, and what waiting comes to (`source::pace`). A thread that nobody simulates looks
//! at one number that is never written, and asks the real machine.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Timestamp;

/// What a thread has of its machine. Only [`Machine::sleep`] and [`Machine::wait`] may let other threads run first: no
/// lock is held in a call to them, and it may be in one to any other.
pub trait Machine: Send + Sync {
    /// Monotonic time, since whenever the simulation began.
    fn monotonic(&self) -> Duration;

    /// What the wall clock says, which may be wrong.
    fn wall(&self) -> Timestamp;

    /// Waits for so long.
    fn sleep(&self, pause: Duration);

    /// Waits until [`Machine::ring`] is called by another thread of this process, or for so long. May come back early.
    fn wait(&self, at_most: Duration);

    /// Wakes every thread of this process that is in [`Machine::wait`].
    fn ring(&self);

    /// A number that does not come again.
    fn random(&self) -> u64;
}

/// Whether any thread was ever simulated.
static ANY: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HERE: RefCell<Option<Arc<dyn Machine>>> = const { RefCell::new(None) };
}

/// This thread is on that machine, until it is dropped.
#[must_use = "dropped, the thread is on the real machine again"]
pub struct Simulated(PhantomData<Rc<()>>);

/// Puts a machine in place of the real one, for this thread. Only simulations do that.
pub fn simulate(machine: Arc<dyn Machine>) -> Simulated {
    ANY.store(true, Ordering::Relaxed);
    HERE.with(|here| here.replace(Some(machine)));
    Simulated(PhantomData)
}

impl Drop for Simulated {
    fn drop(&mut self) {
        HERE.with(|here| here.take());
    }
}

/// The machine that this thread is on, if it is not the real one.
pub fn simulated() -> Option<Arc<dyn Machine>> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    // A thread that is past its end is on no machine.
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}
