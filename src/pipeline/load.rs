//! Loading what waits in a partition that is now ours, before anything new of it is fetched.
//!
//! Whoever had the partition before committed its source offset in each transaction that touched its hold
//! partition. The committed offset was asked for, and stable, when the partition was assigned: so everything that
//! could still be committed by another stands below the high watermark that is asked for now.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::held::Held;
use super::hold::key_hash;
use super::line::{Line, LineError};
use super::replay::{Replay, Replayed};
use super::{End, Worker};
use crate::cache::SubjectId;
use crate::consent::{Deadlines, Reason};
use crate::hold::{Holding, Id, Waiting};
use crate::source::{Cluster, Member, Place};
use crate::telemetry::Cause;
use crate::time::{Instant, Timestamp};
use crate::wire::held;

/// Messages that are read in one go while others wait.
const STEP: usize = 2_000;
/// How long loading may take before readiness says so.
const PATIENT_FOR: Duration = Duration::from_secs(30);

impl<C: Cluster> Worker<'_, C> {
    /// A partition is ours: what waits in it is to be loaded.
    pub(super) fn begin_loading(&mut self, place: &Place) -> Result<(), End> {
        let line = self.line;
        let (Some(held), Some(target)) = (&mut self.held, line.holds().of(&place.0)) else { return Ok(()) };
        line.holds().reach(|| line.cluster().topics(), &place.0, place.1).map_err(LineError::from)?;
        let index = self.open.place(&place.0, place.1);
        forget(held, index);
        if !held.replays.contains_key(&target.topic) {
            held.replays.insert(target.topic.clone(), Replay::new(line.cluster(), &target.topic)?);
        }
        if let Some(replay) = held.replays.get_mut(&target.topic) {
            replay.begin(place.1)?;
        }
        held.loading.insert(place.clone(), index);
        held.loads_since = Some(Instant::now());
        Ok(())
    }

    /// A partition is somebody else's: what waits in it is theirs to look after. What was begun is undone already.
    pub(super) fn leave_held(&mut self, place: &Place) -> Result<(), End> {
        let index = self.open.place(&place.0, place.1);
        let target = self.line.holds().of(&place.0);
        let (Some(held), Some(target)) = (&mut self.held, target) else { return Ok(()) };
        forget(held, index);
        held.loading.remove(place);
        if let Some(replay) = held.replays.get_mut(&target.topic) {
            replay.leave(place.1);
        }
        self.tell_held();
        Ok(())
    }

    /// Loads a little more; what is loaded is read on.
    pub(super) fn load(&mut self) -> Result<(), End> {
        let line = self.line;
        self.tell_loading();
        let Some(held) = self.held.as_mut().filter(|held| !held.loading.is_empty()) else { return Ok(()) };
        let mut loaded: Vec<Place> = Vec::new();
        let Held { holding, replays, loading, .. } = held;
        for source in &line.settings().topics {
            let Some(target) = line.holds().of(source) else { continue };
            let Some(replay) = replays.get_mut(&target.topic) else { continue };
            replay.read(line.cluster(), STEP, |partition, read| {
                let place = (source.clone(), partition);
                let Some(index) = loading.get(&place) else { return };
                match read {
                    Replayed::End => loaded.push(place),
                    Replayed::Message(key, value) => apply(line, holding, (&place, *index), key, value),
                }
            })?;
        }
        for place in &loaded {
            loading.remove(place);
            tracing::info!(
                pipeline = line.name(),
                worker = self.number,
                topic = place.0,
                partition = place.1,
                "held records loaded"
            );
        }
        // What a client has to say piles up unless it is asked: none is kept that reads nothing.
        replays.retain(|_, replay| replay.is_reading());
        if !loaded.is_empty() {
            self.tell_held();
            self.resume(&loaded)?;
        }
        Ok(())
    }

    /// Says when loading takes longer than a transaction of somebody who was killed can be in the way.
    fn tell_loading(&mut self) {
        let (line, cause) = (self.line, Cause::HoldLoading(self.line.name().to_owned(), self.number));
        let Some(held) = &mut self.held else { return };
        match (held.loads_since, held.loading.keys().next()) {
            (Some(_), None) => {
                held.loads_since = None;
                line.clear(&cause);
            }
            (Some(since), Some((topic, partition))) if since.elapsed() > PATIENT_FOR => {
                let detail = format!(
                    "what waits of `{topic}` partition {partition} cannot be loaded: is a transaction open on its \
                     hold topic, or is that gone?"
                );
                line.block(cause, detail);
            }
            (None, _) | (Some(_), Some(_)) => {}
        }
    }

    /// Fetches of these again, but of those that stand behind a gap.
    fn resume(&self, places: &[Place]) -> Result<(), End> {
        let ours = self.ask(C::Member::assignment)?;
        let going = |place: &&Place| ours.contains(*place) && !self.gaps.contains(*place);
        Ok(self.ask(|member| member.resume(places.iter().filter(going)))?)
    }

    /// Whether what waits there is being loaded.
    pub(super) fn is_loading(&self, place: &Place) -> bool {
        self.held.as_ref().is_some_and(|held| held.loading.contains_key(place))
    }

    /// Whether anything is being loaded.
    pub(super) fn is_loading_any(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.loading.is_empty())
    }
}

fn forget<C: Cluster>(held: &mut Held<C>, index: usize) {
    let Held { holding, listener, .. } = held;
    holding.drop_place(index, |subject| listener.unwatch(subject));
}

/// Applies a message of a hold topic.
fn apply<C: Cluster>(
    line: &Line<C>,
    holding: &mut Holding<SubjectId>,
    (place, index): (&Place, usize),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    let own = key.and_then(held::read_key).filter(|own| own.0 == place.0 && own.1 == place.1);
    let route = own.and_then(|own| line.rules().routes.iter().position(|route| route.name == own.3));
    let (Some(own), Some(route)) = (own, route) else {
        // It stays where it is: a route that comes back finds it, and nothing is lost.
        if value.is_some() {
            tracing::warn!(
                pipeline = line.name(),
                topic = place.0,
                partition = place.1,
                route = own.map(|own| own.3),
                "something waits here for no route of this configuration; it is left alone"
            );
        }
        return;
    };
    let id = Id { place: index, offset: own.2, route };
    let Some(value) = value else { return holding.unload(id) };
    let kept = held::decode(value, own);
    let (reason, deadlines, held_at, key) = match &kept {
        Ok(kept) => (kept.reason, kept.deadlines, kept.held_at(), key_hash(kept.record().key)),
        // It is quarantined when it is decided.
        Err(_) => (Reason::NoConsent, Deadlines::default(), Timestamp(0), 0),
    };
    let until = Timestamp(i64::MAX);
    let subjects = SmallVec::new();
    holding.load(id, Waiting { subjects, key, reason, until, deadlines, held_at, body: Arc::from(value) });
}
