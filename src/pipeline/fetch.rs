//! Fetching a batch, and what the group says meanwhile.

use std::time::Duration;

use super::batch::{Fetched, Polled};
use super::{End, PATIENCE, Worker};
use crate::source::{Cluster, Event, Failure, Gap, Member, Message, Place, Trouble, Writer, pace};
use crate::telemetry::Cause;

/// How long a worker that waits for the barrier listens to the client: what it only has to say is not returned,
/// and with no time at all one such event would be taken at every look.
const LISTEN_FOR: Duration = Duration::from_millis(2);

impl<C: Cluster> Worker<'_, C> {
    /// Fetches what is there, up to the limits of a batch; waits a moment for the first record.
    pub(super) fn fetch<'c>(
        &mut self,
        member: &'c C::Member,
        fetched: &mut Fetched<Polled<'c, C>>,
    ) -> Result<(), End> {
        self.load()?;
        if self.is_holding_too_much() {
            pace::sleep(LISTEN_FOR);
            return self.keep_membership(member, fetched).map(drop);
        }
        self.read_on()?;
        let limits = self.line.limits();
        let mut patience = self.until_commit().map_or(PATIENCE, |left| left.min(PATIENCE));
        if self.is_loading_any() {
            patience = patience.min(LISTEN_FOR);
        }
        let is_full = |fetched: &Fetched<_>| {
            fetched.len() >= limits.batch_records || fetched.bytes() >= limits.batch_bytes
        };
        while !is_full(fetched) {
            let polled = member.poll(patience);
            patience = Duration::ZERO;
            let nothing = polled.is_none();
            match polled {
                Some(Ok(message)) => self.take(message, fetched)?,
                Some(Err(error)) => self.polled(&error)?,
                None => {}
            }
            self.follow_group(fetched)?;
            if nothing {
                break;
            }
        }
        self.rhythm.is_behind = is_full(fetched);
        if fetched.is_empty() && self.writer.age().is_none() {
            self.rhythm.since = None;
        }
        self.writer.serve();
        self.look_for_brokers(!fetched.is_empty());
        Ok(())
    }

    /// Takes a record into a batch. Where it comes again, everything is read again from the last commit.
    fn take<M: Message>(&mut self, message: M, fetched: &mut Fetched<M>) -> Result<(), End> {
        if self.open.fetched(message.topic(), message.partition(), message.offset()) {
            fetched.push(message);
            return Ok(());
        }
        tracing::info!(
            pipeline = self.line.name(),
            worker = self.number,
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            "a record came again: going back to the last commit"
        );
        drop(message);
        fetched.clear();
        self.abort()
    }

    /// Stays a member while a batch waits for the barrier: takes no new records, but sees rebalances.
    /// True if records came all the same, which need a reading of their own.
    pub(super) fn keep_membership<'c>(
        &mut self,
        member: &'c C::Member,
        fetched: &mut Fetched<Polled<'c, C>>,
    ) -> Result<bool, End> {
        self.ask(|member| member.pause(&member.assignment()?))?;
        self.is_paused = true;
        let before = fetched.len();
        match member.poll(LISTEN_FOR) {
            Some(Ok(message)) => self.take(message, fetched)?,
            Some(Err(error)) => self.polled(&error)?,
            None => {}
        }
        let more = fetched.len() > before;
        self.follow_group(fetched)?;
        Ok(more)
    }

    /// Takes new records again, but those behind a gap.
    pub(super) fn read_on(&mut self) -> Result<(), End> {
        if self.is_holding_too_much() || !std::mem::take(&mut self.is_paused) {
            return Ok(());
        }
        let going = |place: &&Place| !self.gaps.contains(*place) && !self.is_loading(place);
        Ok(self.ask(|member| member.resume(member.assignment()?.iter().filter(going)))?)
    }

    /// What happened to the assignment. If anything begun or fetched is of a partition that has gone to
    /// somebody else, all of it is undone.
    fn follow_group(&mut self, fetched: &mut Fetched<impl Message>) -> Result<(), End> {
        let events = self.member.take_events();
        if !events.is_empty() {
            let ours = self.ask(C::Member::assignment)?.into_iter();
            let numbers = ours.filter_map(|(_, partition)| usize::try_from(partition).ok()).collect();
            self.line.barrier().holds(self.duty.holder(), numbers);
        }
        for event in events {
            match event {
                Event::Assigned(place, from, gap) => {
                    self.line.rebalanced("assigned");
                    tracing::info!(
                        pipeline = self.line.name(),
                        worker = self.number,
                        topic = place.0,
                        partition = place.1,
                        from,
                        "partition assigned"
                    );
                    if gap.is_none() || self.line.accepts_gaps() {
                        self.open.begins(&place, from);
                        self.begin_loading(&place)?;
                    }
                    if let Some(gap) = gap {
                        self.note_gap(place, &gap);
                    }
                }
                Event::Revoked(place) => {
                    self.line.rebalanced("revoked");
                    tracing::info!(
                        pipeline = self.line.name(),
                        worker = self.number,
                        topic = place.0,
                        partition = place.1,
                        "partition revoked"
                    );
                    self.gaps.remove(&place);
                    self.tell_gaps();
                    self.forget_refusal(Some(&place));
                    let is_begun = self.open.has(&place);
                    self.open.drop_place(&place);
                    if is_begun {
                        fetched.clear();
                        self.abort()?;
                    }
                    self.leave_held(&place)?;
                }
                Event::MadeAnew(topic) => {
                    fetched.clear();
                    self.begin_anew(&topic)?;
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A source topic was deleted and made anew: what is begun is undone, and the new one is read from its
    /// beginning. What the old one held and was not read is gone, and nobody can say how much that is.
    fn begin_anew(&mut self, topic: &str) -> Result<(), End> {
        let ours = self.ask(C::Member::assignment)?.into_iter();
        let places: Vec<Place> = ours.filter(|place| place.0 == topic).collect();
        tracing::warn!(
            pipeline = self.line.name(),
            worker = self.number,
            topic,
            partitions = places.len(),
            "the topic was made anew: it is read from its beginning"
        );
        places.iter().for_each(|place| self.open.drop_place(place));
        places.iter().for_each(|place| self.forget_refusal(Some(place)));
        self.abort()?;
        let bounds = self.ask(|member| member.bounds(&places))?.into_iter();
        let lows: Vec<(Place, i64)> = bounds.map(|(place, (low, _))| (place, low)).collect();
        lows.iter().for_each(|(place, low)| self.open.begins(place, *low));
        Ok(self.ask(|member| member.seek(&lows))?)
    }

    /// An error of the member.
    fn polled(&mut self, error: &Failure) -> Result<(), End> {
        match error.trouble {
            // librdkafka has given the partition up and refuses to seek: joining anew begins at the low end.
            Trouble::OutOfRange if self.line.accepts_gaps() => Err(error.clone().into()),
            Trouble::OutOfRange if self.find_gaps()? => Ok(()),
            // Where nothing is gone it has given it up all the same: joining anew begins where the group stands.
            Trouble::OutOfRange => Err(error.clone().into()),
            Trouble::CutOff | Trouble::Disconnected => {
                self.is_cut_off |= error.trouble == Trouble::CutOff;
                if self.is_cut_off {
                    let detail = format!("the source topics cannot be read: {error}");
                    self.line
                        .block(Cause::SourceUnreachable(self.line.name().to_owned(), self.number), detail);
                }
                Ok(())
            }
            Trouble::Passing => {
                tracing::debug!(%error, "consumer");
                Ok(())
            }
            Trouble::Unknown => Err(error.clone().into()),
        }
    }

    /// Says when the brokers are back.
    fn look_for_brokers(&mut self, heard: bool) {
        if self.is_cut_off && (heard || self.topics_answer()) {
            self.is_cut_off = false;
            self.line.clear(&Cause::SourceUnreachable(self.line.name().to_owned(), self.number));
        }
    }

    fn topics_answer(&self) -> bool {
        self.line.settings().topics.iter().all(|topic| self.ask(|member| member.answers(topic)))
    }

    /// Offsets were out of range: which, and what is to become of them. False: there is no gap.
    fn find_gaps(&mut self) -> Result<bool, End> {
        let positions = self.ask(C::Member::positions)?;
        let places: Vec<Place> = positions.keys().cloned().collect();
        if places.is_empty() {
            return Ok(true);
        }
        let mut found = !self.gaps.is_empty();
        for (place, (low, high)) in self.ask(|member| member.bounds(&places))? {
            let Some(at) = positions.get(&place).copied() else { continue };
            if (low..=high).contains(&at) || self.gaps.contains(&place) {
                continue;
            }
            // librdkafka may have given it up: it stands still, wherever that is.
            if let Err(error) = self.ask(|member| member.seek(&[(place.clone(), low)])) {
                tracing::debug!(%error, "seek to what is left");
            }
            if !self.line.accepts_gaps() {
                self.ask(|member| member.pause([&place]))?;
            }
            self.note_gap(place, &Gap { committed: at, low, high });
            found = true;
        }
        Ok(found)
    }

    fn note_gap(&mut self, place: Place, gap: &Gap) {
        let accepted = self.line.accepts_gaps();
        tracing::error!(
            pipeline = self.line.name(),
            topic = place.0,
            partition = place.1,
            from = gap.committed,
            low = gap.low,
            high = gap.high,
            accepted,
            "records are gone before they were read"
        );
        self.line.missed(gap.records());
        if !accepted {
            self.gaps.insert(place);
            self.tell_gaps();
        }
    }

    fn tell_gaps(&self) {
        let cause = Cause::Gap(self.line.name().to_owned(), self.number);
        let Some((topic, partition)) = self.gaps.first() else { return self.line.clear(&cause) };
        let detail = format!(
            "records of `{topic}` partition {partition} are gone before they were read; it stands still. \
             Start with `--accept-gap` to go on with what is there"
        );
        self.line.block(cause, detail);
    }
}

impl<C: Cluster> Drop for Worker<'_, C> {
    /// The consumer closes when it is dropped, in the middle of a rebalance too.
    fn drop(&mut self) {
        self.member.leave();
        if !self.duty.is_relieved() {
            self.leave_all_held();
        }
    }
}
