//! Everything that was said, by whom, and what of it may have been in force.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::input::Appended;
use crate::oracle::{Part, Rules, Said, Subject, subject_of};

/// One message of the consent topic.
#[derive(Debug)]
pub(super) struct Change {
    pub offset: i64,
    pub appended: Option<Appended>,
    said: Said,
}

/// What one key says on one partition, in order.
#[derive(Debug)]
pub(super) struct Voice {
    pub partition: i32,
    raw_key: Vec<u8>,
    pub changes: Vec<Change>,
}

/// The consent topic.
#[derive(Debug, Default)]
pub struct Consents {
    by_subject: HashMap<Subject, Vec<Voice>>,
    /// By partition, the offset behind the last message, and the offsets before it at which there is none.
    passed: BTreeMap<i32, (i64, Vec<Range<i64>>)>,
    /// How many messages.
    count: u64,
}

impl Consents {
    /// Adds a message, in the order of its partition. One whose key nobody can read is about nobody.
    pub fn add(
        &mut self,
        (partition, offset): (i32, i64),
        (key, value): (&[u8], Option<&[u8]>),
        appended: Option<Appended>,
        rules: &Rules,
    ) {
        let (next, gaps) = self.passed.entry(partition).or_default();
        if offset > *next {
            gaps.push(*next..offset);
        }
        *next = offset + 1;
        self.count += 1;
        let Some(subject) = subject_of(key) else { return };
        let said = Said::read(&subject, value, rules);
        let voices = self.by_subject.entry(subject).or_default();
        let change = Change { offset, appended, said };
        match voices.iter_mut().find(|voice| voice.partition == partition && voice.raw_key == key) {
            Some(voice) => voice.changes.push(change),
            None => {
                voices.push(Voice { partition, raw_key: key.to_vec(), changes: vec![change] });
                voices.sort_by_key(|voice| voice.partition);
            }
        }
    }

    /// How many messages there are.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What a subject says, by partition; or on one partition alone.
    pub(super) fn voices(&self, subject: &Subject, only: Option<i32>) -> &[Voice] {
        let all = self.by_subject.get(subject).map_or(&[][..], Vec::as_slice);
        let Some(only) = only else { return all };
        let from = all.partition_point(|voice| voice.partition < only);
        let to = all.partition_point(|voice| voice.partition <= only);
        all.get(from..to).unwrap_or_default()
    }

    /// Whether there is any message at this place, whoever said it.
    pub(super) fn holds(&self, partition: i32, offset: i64) -> bool {
        self.passed
            .get(&partition)
            .is_some_and(|(next, gaps)| offset < *next && !gaps.iter().any(|gap| gap.contains(&offset)))
    }

    /// Whether anything may have stood anywhere that is no longer there.
    pub(super) fn has_gaps(&self) -> bool {
        self.passed.values().any(|(_, gaps)| !gaps.is_empty())
    }

    /// Whether something may have stood between these offsets that is no longer there.
    pub(super) fn has_gap(&self, partition: i32, between: Range<i64>) -> bool {
        let gaps = self.passed.get(&partition).map_or(&[][..], |(_, gaps)| gaps);
        gaps.iter().any(|gap| gap.start < between.end && between.start < gap.end)
    }
}

impl Voice {
    /// What was said by so many of the changes.
    pub fn said(&self, count: usize) -> Option<&Said> {
        count.checked_sub(1).and_then(|last| self.changes.get(last)).map(|change| &change.said)
    }
}

/// What is known of a subject when of each voice so many changes have been heard.
pub(super) fn parts<'t>(voices: &'t [Voice], counts: &[usize]) -> Vec<Part<'t>> {
    let said: Vec<&Said> =
        voices.iter().zip(counts).filter_map(|(voice, count)| voice.said(*count)).collect();
    Said::parts(&said)
}
