//! Privacy strings → grants: what a person told a consent platform, in the words of the consent record.
//!
//! Where a record carries a TC string (`signals.tcf`) or a GPP string (`signals.gpp`) and the policy maps it,
//! reading the record adds grants to those that it lists; deciding, the cache and the hot path know nothing of
//! strings. So what is in a cache hangs on the mapping, and a snapshot of one is good under the same mapping alone.
//!
//! Refusals are read broadly, permissions narrowly. What a string refuses is a grant with status `refused`
//! that names the purpose, so that it is a hard refusal: no other grant, whatever its basis, permits against
//! it. It has no channel, which is any; and the recipient that the policy names, or none, which is anybody.
//! What a string grants, if the policy asks for it, has status `given` and basis `consent`; no channel, because
//! no string speaks of calling or writing to anybody; the recipient that the policy names, or none, which is
//! `first_party` alone; and as `given_at` the string's last update, so that age and confirmation are asked as of
//! any other opt-in. Only TC strings grant: not to have opted out is no consent, and those sections know no time.
//!
//! A string, or a section, that does not decode refuses all that it governs. One that is not there says
//! nothing: not the string, and not the section in a string that has others.

mod bits;
mod gpp;
mod tcf;
mod us;

use std::collections::BTreeSet;

use super::change::GrantLine;
use crate::consent::{Basis, Shape, Status};
use crate::time::Timestamp;
use tcf::Consents;

pub use us::{OptOut, SECTIONS, Section};

/// The number of the section that is a TC string.
const TCF_EU_V2: u32 = 2;

/// What the policy maps privacy strings to. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// What a TC string is asked.
    pub tcf: Option<TcfRule>,
    /// What a GPP string is asked.
    pub gpp: Option<GppRule>,
    /// Whether Global Privacy Control in a section is an opt-out from all that it can be opted out of.
    pub honour_gpc: bool,
}

/// What a TC string is asked, for one vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcfRule {
    /// The vendor's number in IAB Europe's list.
    pub vendor: u16,
    /// Who the vendor is in the words of a grant, or empty.
    pub recipient: String,
    /// Purposes of the policy, and the TCF's purposes that each needs: all of them.
    pub purposes: Vec<(String, Vec<u8>)>,
    /// Whether consent adds grants that permit.
    pub grants: bool,
}

/// What a GPP string is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GppRule {
    /// Of its TC string.
    pub tcf: Option<TcfRule>,
    /// Of its sections for the United States.
    pub sections: Vec<SectionRule>,
}

/// What a section for the United States refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionRule {
    /// Which one.
    pub section: &'static Section,
    /// The purpose and the recipient (or empty) of each refusal, by what is opted out of.
    pub opt_outs: Vec<(OptOut, Vec<(String, String)>)>,
}

/// Which strings there are that do not decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// The TC string.
    pub tcf: bool,
    /// The GPP string, or a section in it that is mapped.
    pub gpp: bool,
}

impl Signals {
    /// Whether nothing is mapped.
    pub const fn is_empty(&self) -> bool {
        self.tcf.is_none() && self.gpp.is_none()
    }

    /// The grants that a record's strings (empty: absent) add: one at most for each purpose and recipient that is
    /// mapped, and one for each purpose that is granted.
    pub fn grants(&self, tcf: &str, gpp: &str) -> (Vec<GrantLine>, Unreadable) {
        let (mut said, mut unreadable) = (Said::default(), Unreadable::default());
        if let Some(rule) = self.tcf.as_ref().filter(|_| !tcf.is_empty()) {
            unreadable.tcf = !said.tcf(rule, tcf);
        }
        if let Some(rule) = self.gpp.as_ref().filter(|_| !gpp.is_empty()) {
            unreadable.gpp = !said.gpp(rule, gpp, self.honour_gpc);
        }
        (said.grants(), unreadable)
    }
}

/// What the strings of one record say.
#[derive(Default)]
struct Said<'r> {
    /// Purposes and recipients.
    refused: BTreeSet<(&'r str, &'r str)>,
    given: BTreeSet<(&'r str, &'r str, Timestamp)>,
}

impl<'r> Said<'r> {
    /// What a TC string says; false where it does not decode.
    fn tcf(&mut self, rule: &'r TcfRule, text: &str) -> bool {
        let consents = Consents::read(text, rule.vendor);
        for (purpose, needed) in &rule.purposes {
            let given = consents.filter(|said| needed.iter().all(|number| said.permits(*number)));
            match given {
                None => {
                    self.refused.insert((purpose, &rule.recipient));
                }
                Some(said) if rule.grants => {
                    self.given.insert((purpose, &rule.recipient, said.last_updated));
                }
                Some(_) => {}
            }
        }
        consents.is_some()
    }

    /// What a GPP string says; false where it, or a section that is mapped, does not decode.
    fn gpp(&mut self, rule: &'r GppRule, text: &str, honour_gpc: bool) -> bool {
        let sections = gpp::sections(text);
        // A string that does not decode has every section, and none of them decodes.
        let find = |number: u32| match &sections {
            None => Some(""),
            Some(all) => all.iter().find(|(own, _)| *own == number).map(|(_, text)| *text),
        };
        let mut decodes = sections.is_some();
        if let Some((rule, text)) = rule.tcf.as_ref().zip(find(TCF_EU_V2)) {
            decodes &= self.tcf(rule, text);
        }
        for rule in &rule.sections {
            if let Some(text) = find(rule.section.number) {
                decodes &= self.section(rule, text, honour_gpc);
            }
        }
        decodes
    }

    fn section(&mut self, rule: &'r SectionRule, text: &str, honour_gpc: bool) -> bool {
        let read = rule.section.read(text);
        for (of, refused) in &rule.opt_outs {
            if read.is_none_or(|said| said.opted_out(*of) || (said.gpc && honour_gpc)) {
                self.refused.extend(refused.iter().map(|(purpose, to)| (purpose.as_str(), to.as_str())));
            }
        }
        read.is_some()
    }

    fn grants(self) -> Vec<GrantLine> {
        let refused = self.refused.into_iter().map(|(purpose, to)| grant(purpose, to, Status::Refused, None));
        let given =
            self.given.into_iter().map(|(purpose, to, at)| grant(purpose, to, Status::Given, Some(at)));
        refused.chain(given).collect()
    }
}

fn grant(purpose: &str, recipient: &str, status: Status, given_at: Option<Timestamp>) -> GrantLine {
    let (channel, level) = ("".into(), "".into());
    let (purpose, recipient) = (purpose.into(), recipient.into());
    let shape = Shape { purpose, channel, recipient, level, status, basis: Basis::Consent };
    GrantLine { shape, given_at, confirmed_at: None, valid_until: None }
}

#[cfg(test)]
mod tests;
