//! The `stamp` key of a route as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Consent that the event itself must carry, beside the stored consent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `format`")]
pub(in crate::config) struct Stamp {
    /// How it is written.
    #[schemars(required)]
    pub format: Option<StampFormat>,
    /// A JSON Pointer to it. Default: where the format has it (`/consent`,
    /// `/context/consent/categoryPreferences`, `/context/consentManagement`).
    pub path: Option<String>,
    /// By purpose, the platform's categories that stand for it: each must be given. Default: one category with
    /// the purpose's own name.
    pub categories: Option<BTreeMap<String, Vec<String>>>,
}

/// How stamped consent is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum StampFormat {
    /// An object of category and a boolean or a status of the consent record (`given`, `refused`, …).
    Consentry,
    /// Segment's category preferences: an object of category and boolean.
    Segment,
    /// RudderStack's consent management: lists of allowed and denied ids, a provider and its strategy.
    Rudderstack,
}
