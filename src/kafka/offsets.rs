//! What a group has committed, where partitions begin and end, and lists of offsets as the client wants them.
//!
//! A group that is to begin at the end has the ends committed for it before anybody joins ([`begin_at_end`]), so that
//! nothing that comes later, nor a partition that is added later, can be skipped.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::RDKafkaErrorCode;

use super::client;
use super::settings::ClusterSettings;
use crate::source::{Offsets, Place};

const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How often a question about offsets is repeated within a rebalance.
const TRIES: usize = 3;

/// Has a group begin at the end of these topics: where it has no offset of a topic at all, the ends are
/// committed for every partition. A group that has members has begun.
pub(super) fn begin_at_end(
    cluster: &ClusterSettings,
    group: &str,
    topics: &BTreeMap<String, usize>,
) -> KafkaResult<()> {
    let consumer: BaseConsumer = client::config(cluster, &[("group.id", group)]).create()?;
    for (topic, partitions) in topics {
        let count = i32::try_from(*partitions).unwrap_or(i32::MAX);
        let places: Vec<Place> = (0..count).map(|partition| (topic.clone(), partition)).collect();
        if !retry(|| committed(&consumer, &places))?.is_empty() {
            continue;
        }
        let mut ends = TopicPartitionList::new();
        for ((topic, partition), (_, high)) in retry(|| bounds(&consumer, &places))? {
            ends.add_partition_offset(&topic, partition, Offset::Offset(high))?;
        }
        match consumer.commit(&ends, CommitMode::Sync) {
            Err(error) if is_joined(&error) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Whether a commit from outside was refused because the group has members.
fn is_joined(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
        )
    )
}

/// The committed offsets of those partitions that have one.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
) -> KafkaResult<BTreeMap<Place, i64>> {
    ask_committed(consumer, places, |_, offset| offset)
}

pub(super) fn ask_committed<C: ConsumerContext, T>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
    answer: impl Fn(&TopicPartitionListElem<'_>, i64) -> T,
) -> KafkaResult<BTreeMap<Place, T>> {
    let mut offsets = BTreeMap::new();
    for element in consumer.committed_offsets(unplaced(places), ASK_WITHIN)?.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            let place = (element.topic().to_owned(), element.partition());
            offsets.insert(place, answer(&element, offset));
        }
    }
    Ok(offsets)
}

/// The first offset and the end of each partition.
pub(super) fn bounds<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Place],
) -> KafkaResult<BTreeMap<Place, (i64, i64)>> {
    let ask = |which: Offset| -> KafkaResult<BTreeMap<Place, i64>> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, partition) in places {
            list.add_partition_offset(topic, *partition, which)?;
        }
        let mut found = BTreeMap::new();
        for element in consumer.offsets_for_times(list, ASK_WITHIN)?.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                found.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(found)
    };
    let (lows, highs) = (ask(Offset::Beginning)?, ask(Offset::End)?);
    let both = lows.into_iter().filter_map(|(place, low)| {
        let high = *highs.get(&place)?;
        Some((place, (low, high)))
    });
    let both: BTreeMap<_, _> = both.collect();
    if both.len() == places.len() {
        return Ok(both);
    }
    Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable))
}

/// Asks until there is an answer, a few times.
pub(super) fn retry<T>(mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut answer = ask();
    for _ in 1..TRIES {
        if answer.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        answer = ask();
    }
    answer
}

/// Places as the client wants them.
pub(super) fn unplaced<'p>(places: impl IntoIterator<Item = &'p Place>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}

pub(super) fn placed(offsets: &[(Place, i64)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// Offsets to commit as the client wants them.
pub(super) fn list(offsets: &Offsets) -> KafkaResult<TopicPartitionList> {
    let list = placed(&offsets.places)?;
    for ((topic, partition), _) in offsets.places.iter().filter(|_| !offsets.mark.is_empty()) {
        list.find_partition(topic, *partition)
            .into_iter()
            .for_each(|mut one| one.set_metadata(&offsets.mark));
    }
    Ok(list)
}
