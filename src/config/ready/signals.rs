//! `policy.signals`: what privacy strings are asked.

use super::super::problem::Problems;
use super::super::raw::{self, ListOr};
use super::super::spot::Spot;
use super::policy::Words;
use super::{empty, missing, require};
use crate::wire::signals::{GppRule, OptOut, Section, SectionRule, Signals, TcfRule};

/// The purposes that the TCF has.
const TCF_PURPOSES: std::ops::RangeInclusive<u64> = 1..=11;

/// The words of the policy, and where what is wrong is told.
struct Check<'a> {
    words: &'a Words,
    problems: &'a mut Problems,
}

/// What privacy strings are asked; `spot` is the policy's.
pub(super) fn signals(raw: &raw::Policy, spot: Spot<'_>, words: &Words, problems: &mut Problems) -> Signals {
    let spot = spot.key("signals");
    let Some(written) = &raw.signals else { return Signals::default() };
    let mut check = Check { words, problems };
    check.not_empty(spot, "signals", "map `tcf` or `gpp`, or leave it out: `signals.gpc` needs no mapping");
    Signals {
        tcf: written.tcf.as_ref().map(|tcf| check.tcf(tcf, spot.key("tcf"))),
        gpp: written.gpp.as_ref().map(|gpp| check.gpp(gpp, spot.key("gpp"))),
        honour_gpc: raw.honour_gpc.unwrap_or(true),
    }
}

impl Check<'_> {
    fn tcf(&mut self, raw: &raw::Tcf, spot: Spot<'_>) -> TcfRule {
        let help = "write the vendor's number in IAB Europe's list, from 1 to 65535";
        let vendor = raw.vendor.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
        match (raw.vendor, vendor) {
            (_, Some(_)) => {}
            (None, None) => missing(spot.key("vendor"), "vendor", help, self.problems),
            (Some(other), None) => {
                self.problems.add(spot.key("vendor").at(), format!("{other} is no vendor's number"), help);
            }
        }
        let at = spot.key("purposes");
        if raw.purposes.is_none() {
            missing(at, "purposes", "write `purposes: {PURPOSE: [NUMBER]}`", self.problems);
        } else {
            self.not_empty(at, "purposes", "name a purpose of the policy and the TCF's that it needs");
        }
        let purposes = raw.purposes.iter().flatten();
        let purposes = purposes.map(|(name, numbers)| {
            self.words.purpose(name, at.key(name).named(), self.problems);
            (name.clone(), self.numbers(name, numbers, at.key(name)))
        });
        let purposes = purposes.collect();
        let recipient = raw.recipient.clone().unwrap_or_default();
        if raw.recipient.is_some() {
            self.recipient(&recipient, spot.key("recipient"));
        }
        TcfRule { vendor: vendor.unwrap_or(1), recipient, purposes, grants: raw.grants.unwrap_or_default() }
    }

    fn numbers(&mut self, purpose: &str, numbers: &[u64], spot: Spot<'_>) -> Vec<u8> {
        let help = "the TCF has purposes 1 to 11; a special feature or a special purpose is none of them";
        empty(spot, purpose, "name a purpose of the TCF, from 1 to 11", self.problems);
        for (index, number) in numbers.iter().enumerate().filter(|(_, number)| !TCF_PURPOSES.contains(number))
        {
            self.problems.add(spot.item(index).at(), format!("{number} is no purpose of the TCF"), help);
        }
        numbers.iter().filter_map(|number| u8::try_from(*number).ok()).collect()
    }

    fn gpp(&mut self, raw: &raw::Gpp, spot: Spot<'_>) -> GppRule {
        self.not_empty(spot, "gpp", "map a section, such as `usnat: {sale: [\"third_party:*\"]}`");
        let sections = raw.sections().filter_map(|(name, section)| {
            // Each name in the file is one that can be read.
            let known = Section::named(name)?;
            Some(self.section(known, section, spot.key(name)))
        });
        let sections = sections.collect();
        GppRule { tcf: raw.tcfeuv2.as_ref().map(|tcf| self.tcf(tcf, spot.key("tcfeuv2"))), sections }
    }

    fn section(&mut self, section: &'static Section, raw: &raw::Section, spot: Spot<'_>) -> SectionRule {
        self.not_empty(spot, section.name, "map `sale`, `sharing` or `targeted_advertising`");
        let mut opt_outs = Vec::new();
        for (name, refused) in raw.opt_outs() {
            let at = spot.key(name);
            let Some(of) = OptOut::ALL.into_iter().find(|of| of.name() == name) else { continue };
            if !section.knows(of) {
                let known = OptOut::ALL.into_iter().filter(|of| section.knows(*of));
                let known: Vec<_> = known.map(|of| format!("`{}`", of.name())).collect();
                let message = format!("section `{}` has no `{name}`", section.name);
                self.problems.add(at.key_at(), message, format!("it has {}", known.join(" and ")));
            }
            opt_outs.push((of, self.refused(name, refused, at)));
        }
        SectionRule { section, opt_outs }
    }

    /// The purpose and the recipient of each refusal.
    fn refused(
        &mut self,
        name: &str,
        raw: &ListOr<String, raw::OptOut>,
        spot: Spot<'_>,
    ) -> Vec<(String, String)> {
        let help = "name a recipient, such as `third_party:*`";
        let (recipients, at, purposes) = match raw {
            ListOr::List(list) => {
                empty(spot, name, help, self.problems);
                (Some(list), spot, None)
            }
            ListOr::Mapping(refused) => {
                self.not_empty(spot, name, "give `recipients` or `purposes`");
                if refused.recipients.is_some() {
                    empty(spot.key("recipients"), "recipients", help, self.problems);
                }
                if refused.purposes.is_some() {
                    let help = "name a purpose, or leave the key out for every one";
                    empty(spot.key("purposes"), "purposes", help, self.problems);
                }
                (refused.recipients.as_ref(), spot.key("recipients"), refused.purposes.as_ref())
            }
        };
        for (index, recipient) in recipients.into_iter().flatten().enumerate() {
            self.recipient(recipient, at.item(index));
        }
        for (index, purpose) in purposes.into_iter().flatten().enumerate() {
            self.words.purpose(purpose, spot.key("purposes").item(index), self.problems);
        }
        let (anybody, every) = (vec![String::new()], self.words.purposes());
        let recipients = recipients.unwrap_or(&anybody);
        let purposes = purposes.map_or(every, Vec::as_slice).iter();
        let pairs =
            purposes.flat_map(|purpose| recipients.iter().map(move |to| (purpose.clone(), to.clone())));
        pairs.collect()
    }

    fn recipient(&mut self, recipient: &str, spot: Spot<'_>) {
        let wildcard = matches!(recipient, "processor:*" | "third_party:*");
        if let Some(fault) = require::recipient_fault(recipient).filter(|_| !wildcard) {
            let help = "write `first_party`, `processor:NAME`, `third_party:NAME`, `processor:*` or \
                        `third_party:*`";
            self.problems.add(spot.at(), format!("recipient `{recipient}` {fault}"), help);
        }
    }

    /// Complains of a mapping in which nothing is written.
    fn not_empty(&mut self, spot: Spot<'_>, key: &str, help: &str) {
        if spot.is_written() && spot.keys().is_empty() && !spot.is_hole() {
            self.problems.add(spot.at(), format!("`{key}` maps nothing"), help);
        }
    }
}
