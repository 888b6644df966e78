//! What is done for one person over HTTP: found, told, changed, and waited for until it is in force here.
//!
//! Blocking; it runs beside the listener's own thread. Where the cache is fresh it says where a person's records are,
//! and only these are read; else the topic is read through. A change is made whether or not this instance can tell
//! when it is in force.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::follower::{Desk, NotNow};
use crate::policy::rules::Rules;
use crate::policy::settings::PurposeSettings;
use crate::steward::{Edit, Found, Standing, Steward, StewardError, Subject, Written, sheet};
use crate::time::Instant;

/// How long the cache may take to be fresh.
const FRESH_WITHIN: Duration = Duration::from_secs(2);
/// How long the topic may be read.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// How long that is waited for before it is read again whether anybody else wrote; others wait for that meanwhile.
const AT_ONCE_WITHIN: Duration = Duration::from_millis(500);
/// How long a change may take until it is in force here, before it is answered without that.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);

/// What it takes to serve persons.
pub struct Office {
    /// This process's name.
    pub instance: String,
    /// Reads and writes the consent topic.
    pub steward: Steward,
    /// Knows what is applied here.
    pub desk: Desk,
    /// Every pipeline's rules.
    pub rules: Vec<Arc<Rules>>,
    /// The policy's purposes.
    pub purposes: Vec<PurposeSettings>,
}

/// What became of a change.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// `type:value`.
    subject: String,
    /// What was written; empty: everything was so already.
    written: Vec<Written>,
    /// From the beginning of the write until all replicas had it, in milliseconds.
    acknowledged_ms: f64,
    /// When it was in force here.
    in_force: Option<InForce>,
    /// Why that is not known, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
    /// How many changes of this person others wrote meanwhile.
    others: usize,
    /// Whether one of them stands above this one.
    overtaken: bool,
}

#[derive(Clone, Debug, Serialize)]
struct InForce {
    instance: String,
    /// From the beginning of the write until every decision here heeds it, in milliseconds.
    ms: f64,
}

impl Changed {
    /// Whether it is in force here.
    pub const fn is_in_force(&self) -> bool {
        self.in_force.is_some()
    }
}

impl Office {
    /// What stands of a person, and what would happen now.
    ///
    /// # Errors
    /// `Err(Ok(partition))`: another instance holds it.
    pub fn tell(&self, subject: &Subject) -> Result<Standing, Result<NotNow, StewardError>> {
        let found = match self.known(subject) {
            Err(elsewhere @ NotNow::Elsewhere(_)) => return Err(Ok(elsewhere)),
            other => self.find(subject, other).map_err(Err)?,
        };
        let rules: Vec<&Rules> = self.rules.iter().map(Arc::as_ref).collect();
        let policy = (self.purposes.as_slice(), rules.as_slice());
        Ok(sheet(self.steward.settings(), subject, &found.stored, policy, self.steward.now()))
    }

    /// Makes a change, and waits until it is in force here.
    pub fn change(&self, subject: &Subject, edit: &Edit) -> Result<Changed, StewardError> {
        let found = self.find(subject, self.known(subject))?;
        let stood: Vec<_> = found.stored.iter().map(|one| (one.partition, one.offset)).collect();
        let mut in_force = None;
        let mut soon = |written: &[Written], began: Instant| {
            // Asked at once, so that the time told is the time it took.
            in_force = self.desk.applied(&places(written), AT_ONCE_WITHIN).ok().map(|()| began.elapsed());
        };
        let done = self.steward.change(subject, found, edit, READ_WITHIN, &mut soon)?;
        // Where nothing had to be written, what stands must be in force.
        let places = if done.written.is_empty() { stood } else { places(&done.written) };
        let applied = match in_force {
            Some(after) => Ok(after),
            None => self.desk.applied(&places, IN_FORCE_WITHIN).map(|()| done.began.elapsed()),
        };
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Ok(Changed {
            subject: subject.key(),
            written: done.written,
            acknowledged_ms: ms(done.acknowledged),
            pending: applied.err().map(|why| why.to_string()),
            in_force: applied.ok().map(|after| InForce { instance: self.instance.clone(), ms: ms(after) }),
            others: done.others.len(),
            overtaken: done.overtaken,
        })
    }

    /// Whether what stands at this offset is applied here; `None`: another instance holds it.
    pub fn has_applied(&self, partition: i32, offset: i64) -> Option<bool> {
        match self.desk.applied(&[(partition, offset)], Duration::ZERO) {
            Ok(()) => Some(true),
            Err(NotNow::Behind) => Some(false),
            Err(NotNow::Elsewhere(_)) => None,
        }
    }

    fn known(&self, subject: &Subject) -> Result<Known, NotNow> {
        let (places, ends) = self.desk.look(subject.pair(), FRESH_WITHIN, |view, own| {
            let (kind, value) = subject.pair();
            view.places(view.cache().subject(kind, value), own)
        })?;
        places.map(|places| Known { places, ends }).ok_or(NotNow::Behind)
    }

    fn find(&self, subject: &Subject, known: Result<Known, NotNow>) -> Result<Found, StewardError> {
        let known = known.as_ref().ok().map(|known| (known.places.as_slice(), &*known.ends));
        self.steward.find(subject, known, READ_WITHIN)
    }
}

fn places(written: &[Written]) -> Vec<(i32, i64)> {
    written.iter().map(|one| (one.partition, one.offset)).collect()
}

/// Where a person's records are, as fresh as these ends.
struct Known {
    places: Vec<crate::cache::Place>,
    ends: Arc<[i64]>,
}
