//! A record about several people: where they stand in it, and each of them decided.
//!
//! The text of a person and the subjects that it names are one [`Person`] from the scan on, so that nobody is
//! decided by what another one has said; and what a sink gets is made of those alone who were permitted
//! ([`crate::consent::Kept`]). The text of the record as a whole is for `when`, and for routes that ask for no
//! consent; where people are asked it is not handed on.

use smallvec::SmallVec;

use super::{Judge, Outcome, Read, reason_of};
use crate::cache::View;
use crate::consent::{Batch, Each, Reason, judge_each};
use crate::pipeline::refusal::Misplaced;
use crate::pipeline::subject::{self, Named};
use crate::policy::rules::{Route, Rules};
use crate::record::Record;
use crate::time::Timestamp;
use crate::transform::Around;
use crate::wire::json::{Scalar, Slots, scan_elements};

/// The people of one record, and what stands around them.
#[derive(Debug)]
pub struct Elements<'m> {
    around: Around<'m>,
    /// Each as written, and where the subjects that it names end among all that the record names.
    people: Vec<(&'m str, usize)>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Person<'a, 'm> {
    text: &'m str,
    named: &'a [Named],
}

impl AsRef<str> for Person<'_, '_> {
    fn as_ref(&self) -> &str {
        self.text
    }
}

impl<'m> Elements<'m> {
    fn people<'a>(&'a self, named: &'a [Named]) -> impl Iterator<Item = Person<'a, 'm>> {
        let mut begun = 0;
        self.people.iter().map(move |(text, end)| {
            let own = named.get(begun..*end).unwrap_or_default();
            begun = *end;
            Person { text, named: own }
        })
    }
}

/// Reads a record whose elements are people; `array` is the slot of what holds them.
pub(super) fn read<'a, 'm>(
    rules: &Rules,
    array: usize,
    record: &'a Record<'m>,
    value: &'m [u8],
    max_depth: usize,
    view: &View<'_>,
) -> Result<Read<'a, 'm>, Reason> {
    let mut named: Result<SmallVec<[Named; 1]>, Reason> = Ok(SmallVec::new());
    let mut people = Vec::new();
    let each = |text, slots: &Slots<'m>| {
        let Ok(all) = &mut named else { return };
        match subject::named(rules, record, slots, view) {
            Ok(own) => {
                all.extend(own);
                people.push((text, all.len()));
            }
            Err(reason) => named = Err(reason),
        }
    };
    let (text, slots, inside) =
        scan_elements(value, &rules.tree, rules.slots, max_depth, each).map_err(reason_of)?;
    if subject::is_ambiguous(rules, record) {
        return Err(Reason::Ambiguous);
    }
    let around = inside.and_then(|inside| Around::of(text, inside));
    let elements = around.map(|around| Box::new(Elements { around, people }));
    if elements.is_none() {
        named = Err(no_array(slots.get(array)));
    }
    Ok(Read { record, text: Some(text), slots, named, elements })
}

/// What is wrong with a record in which this stands where people should.
fn no_array(found: Option<&Option<Scalar<'_>>>) -> Reason {
    match found.and_then(Option::as_ref) {
        None | Some(Scalar::Null) => Reason::MissingSubject,
        Some(Scalar::Text(_) | Scalar::Integer(_) | Scalar::Other(_)) => Reason::InvalidSubject,
    }
}

impl Judge<'_> {
    /// Decides a record about several people for a route that asks for consent.
    pub(super) fn several<'batch, 'm>(
        &mut self,
        batch: &'batch Batch,
        view: &View<'_>,
        read: &Read<'_, 'm>,
        (index, route): (usize, &Route),
        occurred_at: Option<Timestamp>,
    ) -> Result<Outcome<'batch, 'm>, Misplaced> {
        let (Some(elements), Ok(named)) = (&read.elements, &read.named) else {
            return Ok(Outcome::Quarantined(Reason::MissingSubject));
        };
        let Some(Some(matcher)) = self.matchers.get_mut(index) else {
            return Ok(Outcome::Dropped(Reason::NoConsent));
        };
        let (words, terms) = (view.cache().words(), &self.rules.terms);
        let question = Each { matcher, words, terms, occurred_at, identities: &mut self.identities };
        let partition = read.record.partition;
        let judged = judge_each(batch, elements.around, elements.people(named), question, |person, into| {
            subject::look_up(person.named, partition, view, into)
        });
        let judged =
            judged.map_err(|own| Misplaced::of(read.record, own, view.partitions().unwrap_or_default()))?;
        let (reducer, envelope) = (&self.reducer, read.record.envelope());
        Ok(super::clear(judged, |kept, grounds| reducer.reduce_elements(envelope, &kept, grounds, route.key)))
    }
}

#[cfg(test)]
mod tests {
    use crate::app::explain::lines;

    /// `u-1` and `u-2` permit at the highest level, `low` at the lowest, nobody else at all.
    const CONSENTS: &str = r#"{"subject":{"type":"user_id","value":"u-1"},"grants":[{"purpose":"a","status":"given","level":"high"}]}
        {"subject":{"type":"user_id","value":"u-2"},"grants":[{"purpose":"a","status":"given","level":"high"}]}
        {"subject":{"type":"user_id","value":"low"},"grants":[{"purpose":"a","status":"given","level":"low"}]}"#;

    const FIELDS: &str = "[{path: /email, level: high, action: mask}, \
        {path: /by, outside: true, level: high, action: mask}, {path: /n, outside: true, level: low, action: mask}]";

    /// What a sink gets of a value, as it is written there, and why; or the reason alone.
    fn sent(pipeline: &str, value: &str) -> (String, String) {
        let config = format!(
            "{{version: 1, kafka: {{brokers: ['a:1']}}, consent: {{topic: c}}, \
             policy: {{purposes: {{a: {{}}}}, levels: [low, high]}}, pipelines: [{{name: p, \
             from: {{topics: [t]}}, {pipeline}, routes: [{{name: r, require: {{purposes: {{all: [a]}}}}, \
             to: {{kafka: {{topic: o}}}}}}]}}]}}"
        );
        let event = serde_json::json!({ "raw": value }).to_string();
        let said = lines(&config, CONSENTS, &event, None, "2026-05-01T12:00:00Z").unwrap();
        let text = said.first().unwrap();
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let written = text.split_once("\"value\":").unwrap().1.rsplit_once(",\"purposes\"");
        let written = written.map_or("", |(written, _)| written);
        (json["reason"].as_str().unwrap().to_owned(), written.to_owned())
    }

    fn sends(pipeline: &str, value: &str, reason: &str, expected: &str) {
        assert_eq!(sent(pipeline, value), (reason.to_owned(), expected.to_owned()), "{pipeline}: {value}");
    }

    fn people(more: &str) -> String {
        format!("elements: /people, subject: [{{type: user_id, path: /id}}]{more}")
    }

    #[test]
    fn what_nothing_is_done_to_keeps_its_bytes() {
        let value = r#"{ "n" : 1.0, "people" :[ {"id" :"u-1"} , {"id":"\u0075-2","x":1e2} ], "by":"d" }"#;
        for more in ["", ", unlabelled: pass", &format!(", fields: {FIELDS}")] {
            sends(&people(more), value, "permitted", value);
        }
        let labels = "[{path: /id, level: low, action: mask}, {path: /x, level: low, action: mask}, \
            {path: /n, outside: true, level: low, action: mask}, {path: /by, outside: true, level: low, action: mask}]";
        sends(&people(&format!(", unlabelled: remove, fields: {labels}")), value, "permitted", value);
    }

    #[test]
    fn who_is_taken_out_leaves_the_rest_as_it_is_written() {
        let value = |array: &str| format!(r#"{{ "n" : 1.0, "people" : [{array}] , "by":"d" }}"#);
        for (before, after) in [
            (r#" {"id":"u-1"} ,{"id":"no"}, {"id" : "u-2"}"#, r#" {"id":"u-1"} , {"id" : "u-2"}"#),
            (r#"{"id":"no"},{"id":"u-1"} "#, r#"{"id":"u-1"} "#),
            (r#" {"id":"u-1"} , {"id":"no"} "#, r#" {"id":"u-1"} "#),
            (r#"{"id":"no","of":["],{\"id\":"]},{"id":"u-2"}"#, r#"{"id":"u-2"}"#),
        ] {
            sends(&people(""), &value(before), "reduced", &value(after));
            sends(&people(&format!(", fields: {FIELDS}")), &value(before), "reduced", &value(after));
        }
    }

    #[test]
    fn each_is_reduced_alone_and_the_rest_to_the_lowest_of_those_who_stay() {
        let more = format!(", fields: {FIELDS}");
        let value = |people: &str| format!(r#"{{"by":"d","people":[{people}],"n":1}}"#);
        let one = r#"{"id":"u-1","email":"x"}"#;
        let before = value(&format!(r#"{one}, {{"id":"low","email":"y"}},{{"id":"no","email":"z"}}"#));
        let after = format!(r#"{{"by":"***","people":[{one},{{"id":"low","email":"***"}}],"n":1}}"#);
        sends(&people(&more), &before, "reduced", &after);
        let before = value(&format!(r#"{one}, {{"id":"no","email":"z"}}"#));
        sends(&people(&more), &before, "reduced", &value(one));
    }

    #[test]
    fn the_value_itself_may_be_the_array_and_an_element_the_name() {
        let ids = r#"elements: "", subject: [{type: user_id, path: ""}]"#;
        sends(ids, r#" ["u-1" ,"no", "u-2"] "#, "reduced", r#"["u-1" , "u-2"]"#);
        sends(ids, r#"["no"]"#, "unknown_subject", "");
        sends(ids, r#""u-1""#, "invalid_subject", "");
        sends(ids, "null", "missing_subject", "");
        sends(&format!("{ids}, unlabelled: remove"), r#"["u-1","no"]"#, "reduced", "[null]");
        let nested = "elements: /0/people, subject: [{type: user_id, path: /id}]";
        let both = r#"[{"people":[{"id":"no"},{"id":"low"}]},{"people":[{"id":"no"}]}]"#;
        sends(nested, both, "reduced", r#"[{"people":[{"id":"low"}]},{"people":[{"id":"no"}]}]"#);
    }

    #[test]
    fn what_cannot_be_done_to_who_is_taken_out_does_not_matter() {
        let more = ", fields: [{path: /email, level: high, action: {truncate: 1}}]";
        let value = r#"{"people":[{"id":"no","email":5},{"id":"low","email":"xyz"}]}"#;
        sends(&people(more), value, "reduced", r#"{"people":[{"id":"low","email":"x"}]}"#);
        let value = r#"{"people":[{"id":"low","email":5},{"id":"u-1"}]}"#;
        sends(&people(more), value, "transform_failed", "");
    }

    #[test]
    fn many_people_take_time_by_their_number() {
        let all = |count: usize| {
            let ids: Vec<_> = (0..count).map(|n| if n % 2 == 0 { r#""u-1""# } else { r#""no""# }).collect();
            format!("[{}]", ids.join(","))
        };
        let ids = r#"elements: "", subject: [{type: user_id, path: ""}]"#;
        let (reason, value) = sent(ids, &all(100_000));
        assert_eq!((reason.as_str(), value.matches("u-1").count()), ("reduced", 50_000));
        assert!(!value.contains("no"));
    }
}
