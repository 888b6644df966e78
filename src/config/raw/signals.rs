//! `policy.signals` as it is written: what privacy strings refuse, and may grant.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ListOr;

/// What the privacy strings in a consent record are asked. Each adds grants to those that the record lists: what
/// it refuses is `refused` by purpose and over every channel, whatever else the record says. A string that does
/// not decode, or that its standard calls invalid, refuses all that is written here for it; a string that is
/// absent, null or empty says nothing. Cached consent is kept (`consent.snapshot`) for one such mapping.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `tcf` or `gpp`")]
pub(in crate::config) struct Signals {
    /// `signals.tcf`: a TC string of IAB Europe's Transparency & Consent Framework, version 2.
    pub tcf: Option<Tcf>,
    /// `signals.gpp`: a string of IAB Tech Lab's Global Privacy Platform, by section. A section that the string
    /// does not have says nothing.
    pub gpp: Option<Gpp>,
}

/// What a TC string is asked. A purpose is refused unless the person consents to the vendor and to every TCF
/// purpose that is listed for it, and the publisher lets the vendor stand on consent for them. Where the string
/// says which vendors were disclosed, the vendor must be among them. Legitimate interests are not looked at, nor
/// are special features, the treatment of purpose 1, or the publisher's own purposes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `vendor` and `purposes`")]
pub(in crate::config) struct Tcf {
    /// The number of the vendor in IAB Europe's Global Vendor List.
    #[schemars(required, range(min = 1, max = 65535))]
    pub vendor: Option<u64>,
    /// Purposes of this policy, and the TCF purposes (1 to 11) that each needs. At least one.
    #[schemars(required, length(min = 1))]
    pub purposes: Option<BTreeMap<String, Vec<u64>>>,
    /// Who the vendor is: `first_party`, `processor:NAME`, `third_party:NAME`, `processor:*` or `third_party:*`.
    /// Default: none, as in a consent record, where a refusal is for everybody and a permission for
    /// `first_party` alone.
    pub recipient: Option<String>,
    /// Whether consent also permits: status `given`, basis `consent`, no channel, given when the string was last
    /// updated, of which the TCF tells the day. Default: false.
    pub grants: Option<bool>,
}

/// What a GPP string is asked. The sections for the United States only refuse: not to have opted out is no
/// consent. Of each, notices and what it says of sensitive data and of children are not looked at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of sections")]
pub(in crate::config) struct Gpp {
    /// The European Union: a TC string.
    pub tcfeuv2: Option<Tcf>,
    /// The United States, nationally.
    pub usnat: Option<Section>,
    /// California.
    pub usca: Option<Section>,
    /// Virginia.
    pub usva: Option<Section>,
    /// Colorado.
    pub usco: Option<Section>,
    /// Utah.
    pub usut: Option<Section>,
    /// Connecticut.
    pub usct: Option<Section>,
    /// Florida.
    pub usfl: Option<Section>,
    /// Montana.
    pub usmt: Option<Section>,
    /// Oregon.
    pub usor: Option<Section>,
    /// Texas.
    pub ustx: Option<Section>,
    /// Delaware.
    pub usde: Option<Section>,
    /// Iowa.
    pub usia: Option<Section>,
    /// Nebraska.
    pub usne: Option<Section>,
    /// New Hampshire.
    pub usnh: Option<Section>,
    /// New Jersey.
    pub usnj: Option<Section>,
    /// Tennessee.
    pub ustn: Option<Section>,
    /// Minnesota.
    pub usmn: Option<Section>,
    /// Maryland.
    pub usmd: Option<Section>,
    /// Indiana.
    pub usin: Option<Section>,
    /// Kentucky.
    pub usky: Option<Section>,
    /// Rhode Island.
    pub usri: Option<Section>,
}

/// What an opt-out in a section for the United States refuses. Global Privacy Control that the section passes on
/// counts as all of them, unless `honour_gpc` is false.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with `sale`, `sharing` or `targeted_advertising`")]
pub(in crate::config) struct Section {
    /// Opted out of the sale of personal data.
    pub sale: Option<ListOr<String, OptOut>>,
    /// Opted out of its sharing for advertising across contexts (`usnat` and `usca`).
    pub sharing: Option<ListOr<String, OptOut>>,
    /// Opted out of its use for targeted advertising (not in `usca`).
    pub targeted_advertising: Option<ListOr<String, OptOut>>,
}

/// What is refused, where it is not a list of recipients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a list of recipients, or a mapping with `recipients` or `purposes`"
)]
pub(in crate::config) struct OptOut {
    /// To whom: `third_party:*`, `third_party:NAME`, `processor:*`, `processor:NAME`, `first_party`. Default:
    /// anybody.
    #[schemars(length(min = 1))]
    pub recipients: Option<Vec<String>>,
    /// For which purposes of this policy. Default: every one.
    #[schemars(length(min = 1))]
    pub purposes: Option<Vec<String>>,
}

impl Gpp {
    /// The sections for the United States that are written, with their names.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, &Section)> {
        let all = [
            ("usnat", &self.usnat),
            ("usca", &self.usca),
            ("usva", &self.usva),
            ("usco", &self.usco),
            ("usut", &self.usut),
            ("usct", &self.usct),
            ("usfl", &self.usfl),
            ("usmt", &self.usmt),
            ("usor", &self.usor),
            ("ustx", &self.ustx),
            ("usde", &self.usde),
            ("usia", &self.usia),
            ("usne", &self.usne),
            ("usnh", &self.usnh),
            ("usnj", &self.usnj),
            ("ustn", &self.ustn),
            ("usmn", &self.usmn),
            ("usmd", &self.usmd),
            ("usin", &self.usin),
            ("usky", &self.usky),
            ("usri", &self.usri),
        ];
        all.into_iter().filter_map(|(name, section)| Some((name, section.as_ref()?)))
    }
}

impl Section {
    /// The opt-outs that are written, with their names.
    pub fn opt_outs(&self) -> impl Iterator<Item = (&'static str, &ListOr<String, OptOut>)> {
        let all = [
            ("sale", &self.sale),
            ("sharing", &self.sharing),
            ("targeted_advertising", &self.targeted_advertising),
        ];
        all.into_iter().filter_map(|(name, refused)| Some((name, refused.as_ref()?)))
    }
}
