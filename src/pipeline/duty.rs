//! A worker's turn at its post: since when it has been in a call that may never return, and whether somebody else has
//! taken over since.
//!
//! A thread that hangs in C code cannot be ended. It can be left alone: its producer is fenced by that of the worker
//! that takes over, its member leaves the group or is put out of it, and if it ever comes back it does nothing more.
//! What it had begun is read again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Worker;
use super::line::Line;
use crate::source::{Cluster, Member, WriteError};
use crate::time::Instant;

/// How a worker leaves the group that will not do so itself.
pub type Leave = Box<dyn FnOnce() + Send>;

/// One worker's turn.
#[derive(Default)]
pub struct Duty {
    holder: usize,
    errand: Mutex<Option<(Errand, Instant)>>,
    relieved: AtomicBool,
    leave: Mutex<Option<Leave>>,
}

/// What a worker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// The sinks' leaders, or the coordinators of group and transactions, are to acknowledge something.
    Commit,
    /// The client is to say or do something else.
    Question,
}

/// A call that may never return; dropping it says that it did.
pub struct Call<'d>(&'d Duty);

impl Duty {
    /// Begins. No two turns of a pipeline have the same number at the barrier, so that one who has been relieved cannot
    /// say what the other has.
    pub fn new(holder: usize) -> Self {
        Self { holder, ..Self::default() }
    }

    /// Its number at the barrier.
    pub const fn holder(&self) -> usize {
        self.holder
    }

    /// A call begins.
    pub fn call(&self, errand: Errand) -> Call<'_> {
        self.set(Some((errand, Instant::now())));
        Call(self)
    }

    /// What the worker has waited for longer than this, if anything.
    pub fn waits_longer(&self, bound: Duration) -> Option<Errand> {
        let errand = *self.errand.lock().unwrap_or_else(PoisonError::into_inner);
        errand.filter(|(_, since)| since.elapsed() > bound).map(|(errand, _)| errand)
    }

    /// As this member the worker is in the group, which it may have to leave without the worker.
    pub fn leaves_by<M: Member>(&self, member: &Arc<M>) {
        let member = Arc::downgrade(member);
        let leave: Leave = Box::new(move || member.upgrade().iter().for_each(|member| member.dismiss()));
        *self.leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave);
    }

    /// Somebody else takes over; gives how it leaves the group.
    pub fn relieve(&self) -> Option<Leave> {
        self.relieved.store(true, Ordering::Release);
        self.leave.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody else has taken over.
    pub fn is_relieved(&self) -> bool {
        self.relieved.load(Ordering::Acquire)
    }

    fn set(&self, errand: Option<(Errand, Instant)>) {
        *self.errand.lock().unwrap_or_else(PoisonError::into_inner) = errand;
    }
}

/// Makes a worker's producer, which fences every older one: never that of whoever has taken over.
pub(super) fn open_writer<C: Cluster>(
    line: &Line<C>,
    number: usize,
    duty: &Duty,
    cautious: bool,
) -> Result<C::Writer, WriteError> {
    if duty.is_relieved() {
        return Err(WriteError::Refused("somebody else has taken over".to_owned()));
    }
    let _call = duty.call(Errand::Commit);
    line.open_writer(number, cautious)
}

impl<C: Cluster> Worker<'_, C> {
    /// Whether the process is to stop, or somebody else has taken over.
    pub(super) fn is_over(&self) -> bool {
        self.line.is_stopping() || self.duty.is_relieved()
    }

    /// Asks the member something, which may never answer.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&C::Member) -> T) -> T {
        let _call = self.duty.call(Errand::Question);
        question(&self.member)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_found() {
        let duty = Duty::new(3);
        assert_eq!((duty.holder(), duty.waits_longer(Duration::ZERO)), (3, None));
        let call = duty.call(Errand::Commit);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(duty.waits_longer(Duration::from_millis(1)), Some(Errand::Commit));
        assert_eq!(duty.waits_longer(Duration::from_secs(60)), None);
        drop(call);
        assert_eq!(duty.waits_longer(Duration::ZERO), None);
    }

    #[test]
    fn who_is_relieved_is_told_so() {
        let duty = Duty::new(0);
        assert!(!duty.is_relieved());
        assert!(duty.relieve().is_none(), "it never was in the group");
        assert!(duty.is_relieved());
    }
}
