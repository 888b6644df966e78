//! What `explain` says of one event at one route.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::consent::{End, Grounds, Reason};
use crate::pipeline::judge::Outcome;
use crate::policy::rules::Rules;
use crate::record::Record;
use crate::transform::Outgoing;

/// What is decided of one event at one route.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// From 0, in the order of the input.
    pub event: usize,
    /// The pipeline.
    pub pipeline: String,
    /// The route.
    pub route: String,
    /// `forwarded`, `dropped`, `held`, `quarantined` or `not_routed`.
    pub end: &'static str,
    /// Why; `None` for `not_routed`.
    pub reason: Option<Reason>,
    /// When it opens or runs out.
    pub until: Option<String>,
    /// The permitted level.
    pub level: Option<String>,
    /// The labels acted on.
    pub fields: Vec<String>,
    /// What the sink would get.
    pub value: Option<Box<RawValue>>,
    /// The purposes that permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<String>>,
    /// The key, if it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Option<String>>,
    /// The headers, if they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Verdict {
    pub(super) fn new(
        event: usize,
        rules: &Rules,
        route: usize,
        record: &Record<'_>,
        outcome: &Outcome<'_, '_>,
    ) -> Self {
        let name = rules.routes.get(route).map(|route| route.name.clone()).unwrap_or_default();
        let (end, reason, until) = match outcome {
            Outcome::Forwarded { reason, .. } => (End::Forwarded.word(), Some(*reason), None),
            Outcome::Dropped(reason) => (End::Dropped.word(), Some(*reason), None),
            Outcome::Held { reason, until } => (End::Held.word(), Some(*reason), Some(until.to_string())),
            Outcome::Quarantined(reason) => (End::Quarantined.word(), Some(*reason), None),
            Outcome::NotRouted => ("not_routed", None, None),
        };
        let mut verdict = Self {
            event,
            pipeline: rules.name.clone(),
            route: name,
            end,
            reason,
            until,
            level: None,
            fields: Vec::new(),
            value: None,
            purposes: None,
            key: None,
            headers: None,
        };
        if let Outcome::Forwarded { cleared, .. } = outcome {
            verdict.forwarded(rules, route, record, cleared.grounds(), cleared.record());
        }
        verdict
    }

    fn forwarded(
        &mut self,
        rules: &Rules,
        route: usize,
        record: &Record<'_>,
        grounds: Grounds,
        out: &Outgoing<'_>,
    ) {
        let level = |level: u8| rules.levels.get(usize::from(level)).cloned();
        match grounds {
            Grounds::Consent { level: permitted, purposes } => {
                self.level = level(permitted);
                self.purposes = Some(rules.purposes(route, purposes));
            }
            Grounds::Exempt { level: own } => self.level = own.and_then(level),
            Grounds::Deletion => {}
        }
        let labels = out.acted.iter().filter_map(|number| rules.labels.get(*number));
        self.fields = labels.map(|label| label.written.clone()).collect();
        self.value = out.value.as_deref().and_then(one_line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.key = (out.key.as_deref() != record.key).then(|| out.key.as_deref().map(text));
        let before = record.headers.iter().filter(|(name, _)| !name.starts_with("consentry."));
        let changed = !before.copied().eq(out.headers.iter().map(|(name, value)| (*name, value.as_deref())));
        self.headers = changed.then(|| {
            let json =
                |value: Option<&[u8]>| value.map_or(serde_json::Value::Null, |value| text(value).into());
            out.headers.iter().map(|(name, value)| ((*name).to_owned(), json(value.as_deref()))).collect()
        });
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people: what happened and why.
    pub fn why(&self) -> String {
        let mut text = format!("event {} → {}/{}: {}", self.event, self.pipeline, self.route, self.end);
        let explanation = self.reason.map_or("it does not concern this route", Reason::explanation);
        let _ = write!(text, ", {explanation}");
        if let Some(until) = &self.until {
            let _ = write!(text, " (until {until})");
        }
        if !self.fields.is_empty() {
            let _ = write!(text, "; reduced {}", self.fields.join(", "));
        }
        text
    }
}

/// JSON without line breaks, which can only stand between its parts.
fn one_line(value: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(value).ok()?.trim().replace(['\n', '\r'], " ");
    RawValue::from_string(text).ok()
}
