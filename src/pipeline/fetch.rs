//! Fetching a batch, and what the group says meanwhile.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;

use super::batch::Fetched;
use super::{End, PATIENCE, Worker};
use crate::kafka::member::{Event, Gap, Member, Place, bounds};
use crate::telemetry::Cause;

/// How long a worker that waits for the barrier listens to the client: what it only has to say is not returned,
/// and with no time at all one such event would be taken at every look.
const LISTEN_FOR: Duration = Duration::from_millis(2);
/// How long the brokers may take to say that they are back.
const ASK_WITHIN: Duration = Duration::from_secs(2);

impl Worker<'_> {
    /// Fetches what is there, up to the limits of a batch; waits a moment for the first record.
    pub(super) fn fetch<'c>(
        &mut self,
        consumer: &'c BaseConsumer<Member>,
        fetched: &mut Fetched<'c>,
    ) -> Result<(), End> {
        self.load(consumer)?;
        if self.is_holding_too_much() {
            std::thread::sleep(LISTEN_FOR);
            return self.keep_membership(consumer, fetched).map(drop);
        }
        self.read_on(consumer)?;
        let limits = self.line.limits();
        let mut patience = self.until_commit().map_or(PATIENCE, |left| left.min(PATIENCE));
        if self.is_loading_any() {
            patience = patience.min(LISTEN_FOR);
        }
        while fetched.len() < limits.batch_records && fetched.bytes() < limits.batch_bytes {
            let polled = consumer.poll(patience);
            patience = Duration::ZERO;
            let nothing = polled.is_none();
            match polled {
                Some(Ok(message)) => self.take(message, fetched)?,
                Some(Err(error)) => self.polled(consumer, error)?,
                None => {}
            }
            self.follow_group(consumer, fetched)?;
            if nothing {
                break;
            }
        }
        self.writer.serve();
        self.look_for_brokers(consumer, !fetched.is_empty());
        Ok(())
    }

    /// Takes a record into a batch. Where it comes again, everything is read again from the last commit.
    fn take<'c>(&mut self, message: BorrowedMessage<'c>, fetched: &mut Fetched<'c>) -> Result<(), End> {
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
        consumer: &'c BaseConsumer<Member>,
        fetched: &mut Fetched<'c>,
    ) -> Result<bool, End> {
        consumer.pause(&consumer.assignment()?)?;
        self.is_paused = true;
        let before = fetched.len();
        match consumer.poll(LISTEN_FOR) {
            Some(Ok(message)) => self.take(message, fetched)?,
            Some(Err(error)) => self.polled(consumer, error)?,
            None => {}
        }
        let more = fetched.len() > before;
        self.follow_group(consumer, fetched)?;
        Ok(more)
    }

    /// Takes new records again, but those behind a gap.
    pub(super) fn read_on(&mut self, consumer: &BaseConsumer<Member>) -> Result<(), End> {
        if self.is_holding_too_much() || !std::mem::take(&mut self.is_paused) {
            return Ok(());
        }
        let ours = consumer.assignment()?.to_topic_map().into_keys();
        let mut going = TopicPartitionList::new();
        for (topic, partition) in ours.filter(|place| !self.gaps.contains(place) && !self.is_loading(place)) {
            going.add_partition(&topic, partition);
        }
        Ok(consumer.resume(&going)?)
    }

    /// What happened to the assignment. If anything begun or fetched is of a partition that has gone to
    /// somebody else, all of it is undone.
    fn follow_group(
        &mut self,
        consumer: &BaseConsumer<Member>,
        fetched: &mut Fetched<'_>,
    ) -> Result<(), End> {
        let events = consumer.context().take_events();
        if !events.is_empty() {
            let ours = consumer.assignment()?.to_topic_map().into_keys();
            let numbers = ours.filter_map(|(_, partition)| usize::try_from(partition).ok()).collect();
            self.line.barrier().holds(self.number, numbers);
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
                    self.begin_anew(consumer, &topic)?;
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A source topic was deleted and made anew: what is begun is undone, and the new one is read from its
    /// beginning. What the old one held and was not read is gone, and nobody can say how much that is.
    fn begin_anew(&mut self, consumer: &BaseConsumer<Member>, topic: &str) -> Result<(), End> {
        let ours = consumer.assignment()?.to_topic_map().into_keys();
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
        let mut list = TopicPartitionList::new();
        for (place, (low, _)) in bounds(consumer, &places)? {
            list.add_partition_offset(&place.0, place.1, Offset::Offset(low))?;
            self.open.begins(&place, low);
        }
        let sought = consumer.seek_partitions(list, super::commit::SEEK_WITHIN)?;
        Ok(sought.elements().iter().try_for_each(|element| element.error())?)
    }

    /// An error of the consumer.
    fn polled(&mut self, consumer: &BaseConsumer<Member>, error: KafkaError) -> Result<(), End> {
        match error.rdkafka_error_code() {
            // librdkafka has given the partition up and refuses to seek: joining anew begins at the low end.
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
                if self.line.accepts_gaps() =>
            {
                Err(error.into())
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.find_gaps(consumer)
            }
            Some(
                code @ (RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed),
            ) => {
                self.is_cut_off = code != RDKafkaErrorCode::BrokerTransportFailure || self.is_cut_off;
                if self.is_cut_off {
                    let detail = format!("the source topics cannot be read: {error}");
                    self.line
                        .block(Cause::SourceUnreachable(self.line.name().to_owned(), self.number), detail);
                }
                Ok(())
            }
            Some(
                RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::PollExceeded,
            ) => {
                tracing::debug!(%error, "consumer");
                Ok(())
            }
            _unknown_is_not_harmless => Err(error.into()),
        }
    }

    /// Says when the brokers are back.
    fn look_for_brokers(&mut self, consumer: &BaseConsumer<Member>, heard: bool) {
        if self.is_cut_off && (heard || self.topics_answer(consumer)) {
            self.is_cut_off = false;
            self.line.clear(&Cause::SourceUnreachable(self.line.name().to_owned(), self.number));
        }
    }

    fn topics_answer(&self, consumer: &BaseConsumer<Member>) -> bool {
        let topics = &self.line.settings().topics;
        topics
            .iter()
            .all(|topic| crate::kafka::topics::partitions(consumer.client(), topic, ASK_WITHIN).is_ok())
    }

    /// Offsets were out of range: which, and what is to become of them.
    fn find_gaps(&mut self, consumer: &BaseConsumer<Member>) -> Result<(), End> {
        let mut positions = consumer.position()?.to_topic_map();
        for (place, assigned) in consumer.assignment()?.to_topic_map() {
            let unread = !matches!(positions.get(&place), Some(Offset::Offset(_)));
            if unread {
                positions.insert(place, assigned);
            }
        }
        let places: Vec<Place> = positions.keys().cloned().collect();
        for (place, (low, high)) in bounds(consumer, &places)? {
            let Some(Offset::Offset(at)) = positions.get(&place).copied() else { continue };
            if (low..=high).contains(&at) || self.gaps.contains(&place) {
                continue;
            }
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&place.0, place.1, Offset::Offset(low))?;
            consumer.seek_partitions(list.clone(), super::commit::SEEK_WITHIN)?;
            if !self.line.accepts_gaps() {
                consumer.pause(&list)?;
            }
            self.note_gap(place, &Gap { committed: at, low, high });
        }
        Ok(())
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

impl Drop for Worker<'_> {
    /// The consumer closes when it is dropped, in the middle of a rebalance too.
    fn drop(&mut self) {
        self.consumer.context().leave();
        self.leave_all_held();
    }
}
