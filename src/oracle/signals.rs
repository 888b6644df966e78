//! "Signals": what the strings of a consent record add to its grants.
//!
//! Written from the semantics page and from the standards (IAB Europe's TCF 2, IAB Tech Lab's GPP 1): a string is
//! made a text of zeros and ones, and each set of vendors is listed whole.

use super::at;
use super::consent::Grant;
use super::time::Millis;
use serde_json::Value;
use std::collections::BTreeSet;

/// The grants that these strings add under a policy (in the YAML's shape).
pub fn added(policy: &Value, tcf: &str, gpp: &str) -> Vec<Grant> {
    let mut grants = Vec::new();
    let signals = at(policy, "signals");
    if at(signals, "tcf").is_object() && !tcf.is_empty() {
        grants.extend(from_tcf(at(signals, "tcf"), tc(tcf)));
    }
    let mapped = at(signals, "gpp").as_object().filter(|_| !gpp.is_empty());
    let read = sections(gpp);
    for (name, rule) in mapped.into_iter().flatten() {
        let text = match &read {
            None => None,
            Some(sections) => match sections.iter().find(|(id, _)| Some(*id) == number(name)) {
                None => continue,
                Some((_, text)) => Some(text.as_str()),
            },
        };
        if name == "tcfeuv2" {
            grants.extend(from_tcf(rule, text.and_then(tc)));
        } else {
            grants.extend(from_section(policy, name, rule, text));
        }
    }
    grants
}

fn refusal(purpose: &str, recipient: &str) -> Grant {
    let [purpose, recipient, status] = [purpose, recipient, "refused"].map(ToOwned::to_owned);
    Grant { purpose, recipient, status, ..Grant::default() }
}

// ---- bits ----

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Zeros and ones, or nothing where a letter is none of the alphabet.
fn bits(text: &str) -> Option<String> {
    text.chars().map(|letter| LETTERS.find(letter).map(|value| format!("{value:06b}"))).collect()
}

/// Reads from the front of zeros and ones.
struct Front(String);

impl Front {
    fn number(&mut self, width: usize) -> Option<u64> {
        let (front, rest) = self.0.split_at_checked(width)?;
        let number = if width == 0 { 0 } else { u64::from_str_radix(front, 2).ok()? };
        self.0 = rest.to_owned();
        Some(number)
    }

    /// The places (from 1) of the ones among the next `width` bits.
    fn set(&mut self, width: usize) -> Option<BTreeSet<u64>> {
        let (front, rest) = self.0.split_at_checked(width)?;
        let places = (1..).zip(front.chars()).filter(|(_, bit)| *bit == '1').map(|(at, _)| at);
        let set = places.collect();
        self.0 = rest.to_owned();
        Some(set)
    }

    fn ranges(&mut self) -> Option<BTreeSet<u64>> {
        let mut set = BTreeSet::new();
        for _ in 0..self.number(12)? {
            let many = self.number(1)? == 1;
            let first = self.number(16)?;
            let last = if many { self.number(16)? } else { first };
            if first > last {
                return None;
            }
            set.extend(first..=last);
        }
        Some(set)
    }

    fn vendors(&mut self) -> Option<BTreeSet<u64>> {
        let max = self.number(16)?;
        match self.number(1)? {
            1 => Some(self.ranges()?.into_iter().filter(|vendor| *vendor <= max).collect()),
            _ => self.set(usize::try_from(max).ok()?),
        }
    }

    /// The numbers up to 2^32 in Fibonacci coding: up to the first `11`, place n counts the n-th of 1, 2, 3, 5, 8 …
    fn fibonacci(&mut self) -> Option<u64> {
        let end = self.0.find("11")?;
        let (mut number, mut pair) = (0_u64, (1_u64, 2_u64));
        for bit in self.0.get(..=end)?.chars() {
            if bit == '1' {
                number += pair.0;
            }
            pair = (pair.1, pair.0.saturating_add(pair.1));
            if number > u64::from(u32::MAX) {
                return None;
            }
        }
        self.0 = self.0.get(end + 2..)?.to_owned();
        Some(number)
    }

    fn is_spent(&self) -> bool {
        !self.0.contains('1')
    }
}

// ---- TCF ----

struct Tc {
    updated: Millis,
    purposes: BTreeSet<u64>,
    vendors: BTreeSet<u64>,
    disclosed: Option<BTreeSet<u64>>,
    /// Purpose, kind and vendors.
    restrictions: Vec<(u64, u64, BTreeSet<u64>)>,
}

/// `None` where it does not decode.
fn tc(text: &str) -> Option<Tc> {
    let segments: Vec<String> = text.split('.').map(bits).collect::<Option<_>>()?;
    let (core, others) = segments.split_first()?;
    let mut core = Front(core.clone());
    if core.number(6)? != 2 {
        return None;
    }
    core.number(36)?;
    let updated = Millis::from(core.number(36)?) * 100;
    for width in [12, 12, 6, 12, 12, 6] {
        core.number(width)?;
    }
    if core.number(1)? != 1 {
        return None;
    }
    core.number(1 + 12)?;
    let purposes = core.set(24)?;
    core.number(24 + 1 + 12)?;
    let vendors = core.vendors()?;
    core.vendors()?;
    let mut restrictions = Vec::new();
    for _ in 0..core.number(12)? {
        restrictions.push((core.number(6)?, core.number(2)?, core.ranges()?));
    }
    if !core.is_spent() {
        return None;
    }
    let mut disclosed = None;
    for segment in others {
        let mut segment = Front(segment.clone());
        match segment.number(3)? {
            1 if disclosed.is_none() => {
                disclosed = Some(segment.vendors()?);
                if !segment.is_spent() {
                    return None;
                }
            }
            2 | 3 => {}
            _ => return None,
        }
    }
    Some(Tc { updated, purposes, vendors, disclosed, restrictions })
}

fn from_tcf(rule: &Value, tc: Option<Tc>) -> Vec<Grant> {
    // Without one, nobody has consented to anything.
    let vendor = at(rule, "vendor").as_u64().unwrap_or(0);
    let recipient = at(rule, "recipient").as_str().unwrap_or("");
    let consents = |tc: &Tc, number: u64| {
        let against = |(purpose, kind, vendors): &(u64, u64, BTreeSet<u64>)| {
            *purpose == number && *kind != 1 && vendors.contains(&vendor)
        };
        tc.vendors.contains(&vendor)
            && tc.disclosed.as_ref().is_none_or(|disclosed| disclosed.contains(&vendor))
            && tc.purposes.contains(&number)
            && !tc.restrictions.iter().any(against)
    };
    let mut grants = Vec::new();
    for (purpose, numbers) in at(rule, "purposes").as_object().into_iter().flatten() {
        let mut numbers = numbers.as_array().into_iter().flatten().map(|number| number.as_u64().unwrap_or(0));
        match &tc {
            Some(tc) if numbers.all(|number| consents(tc, number)) => {
                if at(rule, "grants") == true {
                    grants.push(Grant {
                        purpose: purpose.clone(),
                        recipient: recipient.to_owned(),
                        status: "given".to_owned(),
                        basis: "consent".to_owned(),
                        given_at: Some(tc.updated),
                        ..Grant::default()
                    });
                }
            }
            _ => grants.push(refusal(purpose, recipient)),
        }
    }
    grants
}

// ---- GPP ----

/// A section's number (GPP, "Section Information").
fn number(name: &str) -> Option<u64> {
    let from_7 = "usnat usca usva usco usut usct usfl usmt usor ustx usde usia usne usnh usnj ustn usmn usmd usin usky usri";
    match name {
        "tcfeuv2" => Some(2),
        _ => (7..).zip(from_7.split(' ')).find(|(_, other)| *other == name).map(|(number, _)| number),
    }
}

/// Numbers and texts; `None` where the string does not decode.
fn sections(text: &str) -> Option<Vec<(u64, String)>> {
    let (header, rest) = text.split_once('~').map_or((text, None), |(header, rest)| (header, Some(rest)));
    let texts: Vec<&str> = rest.map_or(Vec::new(), |rest| rest.split('~').collect());
    let mut header = Front(bits(header)?);
    if header.number(6)? != 3 || header.number(6)? != 1 {
        return None;
    }
    let (mut ids, mut last) = (Vec::new(), 0);
    for _ in 0..header.number(12)? {
        let many = header.number(1)? == 1;
        let first = last + header.fibonacci()?;
        last = if many { first + header.fibonacci()? } else { first };
        if usize::try_from(last - first).ok()? > texts.len() {
            return None;
        }
        ids.extend(first..=last);
    }
    let texts = texts.into_iter().map(ToOwned::to_owned);
    (header.is_spent() && ids.len() == texts.len()).then(|| ids.into_iter().zip(texts).collect())
}

/// The fields of a section's core segment by name, in their order; a number stands for so many of no interest.
fn fields(name: &str, version: u64) -> Option<&'static str> {
    Some(match (name, version) {
        ("usnat", 1) => "6 sale sharing targeted_advertising 12 2 4",
        ("usnat", 2) => "6 sale sharing targeted_advertising 16 3 4",
        ("usca", 1) => "3 sale sharing 9 2 4",
        ("usva", 1) => "3 sale targeted_advertising 8 1 3",
        ("usco", 1) => "3 sale targeted_advertising 7 1 3",
        ("usut", 1) => "4 sale targeted_advertising 8 1 3",
        ("usct", 1) => "3 sale targeted_advertising 8 3 3",
        ("usfl" | "usmt" | "usnh", 1) => "3 sale targeted_advertising 8 3 1 3",
        ("usor", 1) => "3 sale targeted_advertising 11 3 1 3",
        ("ustx" | "usne" | "ustn" | "usmn", 1) => "3 sale targeted_advertising 8 1 1 3",
        ("usde", 1) => "3 sale targeted_advertising 9 5 1 3",
        ("usia", 1) => "4 sale targeted_advertising 8 1 3",
        ("usnj", 1) => "3 sale targeted_advertising 10 5 1 3",
        // The number before the fields is the agreement's version, not the section's.
        ("usmd", _) => "2 3 sale targeted_advertising 1",
        ("usin" | "usky" | "usri", _) => "2 3 sale targeted_advertising 1 1",
        _ => return None,
    })
}

/// What is opted out of, `gpc` among it; `None` where it does not decode.
fn opt_outs(name: &str, text: &str) -> Option<BTreeSet<String>> {
    let segments: Vec<String> = text.split('.').map(bits).collect::<Option<_>>()?;
    let (core, others) = segments.split_first()?;
    let mut core = Front(core.clone());
    let version = core.number(6)?;
    let mut out = BTreeSet::new();
    for field in fields(name, version)?.split(' ') {
        let count = field.parse().unwrap_or(1);
        for _ in 0..count {
            match core.number(2)? {
                3 => return None,
                1 => out.insert(field.to_owned()),
                _ => false,
            };
        }
    }
    if !["usva", "usut", "usfl", "usin", "usky", "usri"].contains(&name) {
        if others.len() > 1 {
            return None;
        }
        for segment in others {
            let mut segment = Front(segment.clone());
            if segment.number(2)? != 1 {
                return None;
            }
            if segment.number(1)? == 1 {
                out.insert("gpc".to_owned());
            }
        }
    }
    Some(out)
}

fn from_section(policy: &Value, name: &str, rule: &Value, text: Option<&str>) -> Vec<Grant> {
    let out = text.and_then(|text| opt_outs(name, text));
    let gpc = at(policy, "honour_gpc") != false && out.as_ref().is_some_and(|out| out.contains("gpc"));
    let words = |value: &Value| -> Option<Vec<String>> {
        Some(value.as_array()?.iter().filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect())
    };
    let every = at(policy, "purposes").as_object().into_iter().flatten();
    let every: Vec<String> = every.map(|(name, _)| name.clone()).collect();
    let mut grants = Vec::new();
    for (what, refused) in rule.as_object().into_iter().flatten() {
        if out.as_ref().is_some_and(|out| !out.contains(what)) && !gpc {
            continue;
        }
        let recipients = words(refused).or_else(|| words(at(refused, "recipients")));
        for purpose in words(at(refused, "purposes")).unwrap_or_else(|| every.clone()) {
            for recipient in recipients.clone().unwrap_or_else(|| vec![String::new()]) {
                grants.push(refusal(&purpose, &recipient));
            }
        }
    }
    grants
}
