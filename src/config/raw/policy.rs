//! The `policy` key as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, Signals, Span};

/// Purposes, levels and contact windows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(in crate::config) struct Policy {
    /// Why data is used, by name. At least one; routes require these.
    #[schemars(required, length(min = 1))]
    pub purposes: Option<BTreeMap<String, Purpose>>,
    /// How close a purpose may come to the person, least intimate first.
    /// Default: [anonymous, pseudonymous, contact, sensitive].
    #[schemars(length(min = 1))]
    pub levels: Option<Vec<String>>,
    /// By channel, when a person without a window of their own may be contacted.
    pub windows: Option<BTreeMap<String, Window>>,
    /// IANA time zones that stand in for a person without one: a window must be open in all of them.
    /// Default: none, and such a person is not contacted on a channel that has a window.
    pub assume_time_zones: Option<Vec<String>>,
    /// Whether the signal Global Privacy Control refuses delivery to third parties, and counts as an opt-out
    /// where a GPP section that `signals` maps passes it on. Default: true.
    pub honour_gpc: Option<bool>,
    /// What the privacy strings in a consent record (`signals.tcf`, `signals.gpp`) refuse, and may grant.
    /// Default: nothing; `signals.gpc` is honoured without this.
    pub signals: Option<Signals>,
    /// How far clocks may differ when an event's time is held against a consent's. Default: 5s.
    pub clock_skew: Option<Span>,
    /// How long before a grant ends its owner is told to ask again, on the topic of `consent.due`. Default: 14d.
    pub ask_again_before: Option<Span>,
    /// How long a person who refused or withdrew is not asked. Default: 365d.
    pub do_not_ask_again_for: Option<Span>,
    /// Where the key of every `hash` comes from; needed where one is used.
    pub pseudonym_key: Option<Secret>,
}

/// Why data is used.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping (`{}` where there is nothing to say)")]
pub(in crate::config) struct Purpose {
    /// What a person would be told.
    #[allow(dead_code, reason = "documentation in the file; nothing is decided by it")]
    pub description: Option<String>,
    /// How long an opt-in holds before it must be renewed. Default: without end.
    pub max_age: Option<Span>,
    /// `double`: an opt-in by consent counts only once it is confirmed. Default: `single`.
    pub confirmation: Option<Confirmation>,
    /// The level of a grant that names none. Default: the lowest.
    pub level: Option<String>,
}

/// How often a person must say yes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Confirmation {
    /// Once.
    Single,
    /// A second time, to confirm.
    Double,
}

/// When a person may be contacted, in their own time zone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `from` and `to`")]
pub(in crate::config) struct Window {
    /// `mon` … `sun`. Default: every day.
    pub days: Option<Vec<String>>,
    /// `HH:MM`, inside the window.
    #[schemars(required)]
    pub from: Option<String>,
    /// `HH:MM` or `24:00`, outside the window. Before `from`: past midnight.
    #[schemars(required)]
    pub to: Option<String>,
}
