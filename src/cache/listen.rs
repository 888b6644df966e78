//! Who waits for a change of whom.
//!
//! Whoever holds records back must decide about them again when their subjects say something new. A
//! [`Listener`] names the subjects it waits for, and is told which of them have changed: after the change is
//! in the cache, so that whoever looks then sees it; and whoever has seen it can ask whether there is anything to
//! be told, and is answered once it is. Nothing is told of subjects that nobody waits for; while nobody waits for
//! anybody, a change costs one look at a number, and a lock that nobody else wants.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::SubjectId;

/// One who waits.
#[derive(Debug, Default)]
pub struct Listener {
    told: AtomicBool,
    inner: Mutex<Inner>,
    /// How many subjects all listeners wait for.
    waiting: Arc<AtomicUsize>,
    /// Held while a change is made and told.
    telling: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many records wait for each.
    watched: HashMap<SubjectId, usize>,
    changed: HashSet<SubjectId>,
    all: bool,
}

/// Which subjects have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Everything was forgotten or read anew: whoever is waited for may have changed.
    pub all: bool,
    /// These have.
    pub subjects: Vec<SubjectId>,
}

impl Listener {
    /// Waits for a subject, once more where it does already.
    pub fn watch(&self, subject: SubjectId) {
        let mut inner = self.inner();
        let count = inner.watched.entry(subject).or_default();
        *count += 1;
        if *count == 1 {
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits for a subject once less.
    pub fn unwatch(&self, subject: SubjectId) {
        let mut inner = self.inner();
        let Some(count) = inner.watched.get_mut(&subject) else { return };
        *count -= 1;
        if *count == 0 {
            inner.watched.remove(&subject);
            inner.changed.remove(&subject);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// What has changed since this was last asked.
    pub fn take(&self) -> Changed {
        if !self.told.swap(false, Ordering::AcqRel) {
            return Changed::default();
        }
        let mut inner = self.inner();
        Changed { all: std::mem::take(&mut inner.all), subjects: inner.changed.drain().collect() }
    }

    /// Whether any of these has said something that was not asked for yet: whatever of it can be seen is told.
    pub fn has_changed(&self, subjects: impl IntoIterator<Item = SubjectId>) -> bool {
        drop(self.telling.lock());
        self.told.load(Ordering::Acquire) && {
            let inner = self.inner();
            inner.all || subjects.into_iter().any(|subject| inner.changed.contains(&subject))
        }
    }

    fn tell(&self, subject: SubjectId) {
        let mut inner = self.inner();
        if inner.watched.contains_key(&subject) {
            inner.changed.insert(subject);
            self.told.store(true, Ordering::Release);
        }
    }

    fn tell_all(&self) {
        self.inner().all = true;
        self.told.store(true, Ordering::Release);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let count = self.inner().watched.len();
        self.waiting.fetch_sub(count, Ordering::SeqCst);
    }
}

/// All who wait for changes of a cache.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    waiting: Arc<AtomicUsize>,
    telling: Arc<Mutex<()>>,
    all: RwLock<Vec<Weak<Listener>>>,
}

impl Listeners {
    /// One more; it is told until it is dropped.
    pub fn add(&self) -> Arc<Listener> {
        let (waiting, telling) = (Arc::clone(&self.waiting), Arc::clone(&self.telling));
        let listener =
            Arc::new(Listener { told: AtomicBool::default(), inner: Mutex::default(), waiting, telling });
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&listener));
        listener
    }

    /// Makes a change and tells who has changed.
    pub fn change<T>(&self, make: impl FnOnce() -> T, whom: impl FnOnce() -> SubjectId) -> T {
        let telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let made = make();
        self.tell(whom);
        drop(telling);
        made
    }

    /// Tells that a subject has changed; `whom` is asked only where anybody waits for anybody.
    fn tell(&self, whom: impl FnOnce() -> SubjectId) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let subject = whom();
            self.each(|listener| listener.tell(subject));
        }
    }

    /// Tells that any subject may have changed.
    pub fn tell_all(&self) {
        self.each(Listener::tell_all);
    }

    fn each(&self, act: impl Fn(&Listener)) {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|listener| act(&listener));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_of_whom_it_waits_for_and_of_nobody_else() {
        let listeners = Listeners::default();
        let (one, other) = (listeners.add(), listeners.add());
        let [ann, bob] = [SubjectId(1), SubjectId(2)];
        let nobody = || -> SubjectId { panic!("nobody waits") };
        listeners.tell(nobody);
        one.watch(ann);
        one.watch(ann);
        other.watch(bob);
        listeners.tell(|| ann);
        listeners.tell(|| ann);
        assert_eq!(one.take(), Changed { all: false, subjects: vec![ann] });
        assert_eq!((one.take(), other.take()), (Changed::default(), Changed::default()));
        one.unwatch(ann);
        assert!(!one.has_changed([ann, bob]));
        assert_eq!(listeners.change(|| 7, || ann), 7);
        assert!(one.has_changed([bob, ann]) && !one.has_changed([bob]) && !other.has_changed([ann]));
        assert_eq!(one.take().subjects, [ann], "one of two still waits");
        assert!(!one.has_changed([ann]));
        listeners.tell(|| ann);
        one.unwatch(ann);
        assert_eq!(one.take(), Changed::default(), "nobody waits any more");
        listeners.tell_all();
        assert!(one.has_changed([bob]));
        assert!(one.take().all && other.take().all && !one.take().all);
        drop(other);
        listeners.tell(nobody);
    }
}
