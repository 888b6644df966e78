//! Semantics section 3, steps 1 to 8, in the page's own order and with its numbers.
//!
//! One function a step, nothing shared between steps but what the page shares. No step looks ahead.

use super::{
    consent::{Grant, Part, State},
    rules::{Policy, Purpose, Require, Route},
    time::Millis,
    window::{self, Opening},
};

/// What is asked, besides the person.
pub struct Ask<'t> {
    pub policy: &'t Policy,
    pub route: &'t Route,
    pub require: &'t Require,
    pub match_all: bool,
    pub occurred: Option<Millis>,
    pub now: Millis,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Permit { level: usize, purposes: Vec<String> },
    Hold { reason: &'static str, until: Millis },
    Drop(&'static str),
}

use Verdict::{Drop, Hold, Permit};

/// Bases that outlive consent taken back in general (step 3).
const OBLIGING: [&str; 3] = ["contract", "legal_obligation", "vital_interest"];

/// The gravest first; `opted_out_signal` stands before them all (step 2).
const GRAVITY: [&str; 6] = ["opted_out_signal", "revoked", "withdrawn", "objected", "refused", "invalidated"];

/// One record, one route: the identities present, in the order of their selectors, each with its parts
/// (more than one where its key is on several partitions).
pub fn decide(ask: &Ask<'_>, identities: &[Vec<Part<'_>>]) -> Verdict {
    let must = if ask.match_all { identities.len() } else { 1 };
    let (must, rest) = identities.split_at_checked(must).unwrap_or((identities, &[]));
    let (must_permit, can_only_refuse): (Vec<Part<'_>>, Vec<Part<'_>>) = (must.concat(), rest.concat());
    for part in &can_only_refuse {
        if let (Some(reason), false) = (step_1(part), matches!(part, Part::Unknown)) {
            return Drop(reason);
        }
    }
    let mut by_purpose = Vec::new();
    for purpose in &ask.require.purposes {
        let mut verdicts: Vec<Verdict> = must_permit.iter().map(|part| one(ask, part, purpose)).collect();
        verdicts.extend(can_only_refuse.iter().filter_map(|part| refusal(ask, part, purpose)));
        by_purpose.push((purpose.clone(), worst(verdicts)));
    }
    let verdict = step_7(ask, by_purpose);
    if matches!(verdict, Permit { .. }) { step_8(ask, &must_permit, verdict) } else { verdict }
}

/// Drop before hold before permit, the first among equals, the lowest level.
fn worst(verdicts: Vec<Verdict>) -> Verdict {
    if let Some(drop) = verdicts.iter().find(|v| matches!(v, Drop(_))) {
        return drop.clone();
    }
    if let Some(hold) = verdicts.iter().find(|v| matches!(v, Hold { .. })) {
        return hold.clone();
    }
    let levels = verdicts.iter().map(|v| if let Permit { level, .. } = v { *level } else { 0 });
    // No verdict at all: an empty list denies.
    levels.min().map_or(Drop("no_consent"), |level| Permit { level, purposes: Vec::new() })
}

/// One purpose for one subject: steps 1 to 6.
fn one(ask: &Ask<'_>, part: &Part<'_>, purpose: &str) -> Verdict {
    if let Some(reason) = step_1(part) {
        return step_6(ask, reason);
    }
    let Part::State(state) = part else { return Drop("unknown_subject") };
    let (hard, reason) = step_2(ask, state, purpose);
    match (hard, reason) {
        (true, Some(reason)) => Drop(reason),
        // Step 3: only soft refusals, so only obliging bases count.
        (_, Some(reason)) => match step_4(ask, state, purpose, |g| OBLIGING.contains(&basis(g))) {
            Some(Ok(level)) => Permit { level, purposes: Vec::new() },
            Some(Err(_)) | None => Drop(reason),
        },
        (_, None) => match step_4(ask, state, purpose, |_| true) {
            Some(Ok(level)) => Permit { level, purposes: Vec::new() },
            Some(Err(reason)) => step_6(ask, reason),
            None => step_6(ask, step_5(ask, state, purpose)),
        },
    }
}

fn step_1(part: &Part<'_>) -> Option<&'static str> {
    match part {
        Part::Unknown => Some("unknown_subject"),
        Part::Invalid => Some("invalid_consent"),
        Part::Conflicted => Some("conflicted"),
        Part::State(state) if state.restricted => Some("restricted"),
        Part::State(_) => None,
    }
}

/// Whether any refusal is hard, and the reason over all of them.
fn step_2(ask: &Ask<'_>, state: &State, purpose: &str) -> (bool, Option<&'static str>) {
    let mut hard = false;
    let mut reasons = Vec::new();
    for grant in &state.grants {
        let Some(reason) = refusing(&grant.status) else { continue };
        if refusal_applies(ask.require, grant, purpose) {
            let soft = folded(&grant.purpose) == "*" && ["refused", "withdrawn"].contains(&reason);
            hard |= !soft;
            reasons.push(reason);
        }
    }
    if state.gpc && class(&ask.require.recipient) == "third_party" && ask.policy.honour_gpc {
        reasons.push("opted_out_signal");
    }
    (hard, GRAVITY.into_iter().find(|reason| reasons.contains(reason)))
}

/// What a later identity under `match: first` can do: step 2, and no more.
fn refusal(ask: &Ask<'_>, part: &Part<'_>, purpose: &str) -> Option<Verdict> {
    let Part::State(state) = part else { return None };
    let (hard, reason) = step_2(ask, state, purpose);
    let obliged = ask.require.legal_basis.iter().all(|basis| OBLIGING.contains(&basis.as_str()));
    if hard || !obliged { reason.map(Drop) } else { None }
}

fn refusing(status: &str) -> Option<&'static str> {
    match status {
        "requested" | "given" | "confirmed" => None,
        "refused" => Some("refused"),
        "withdrawn" => Some("withdrawn"),
        "revoked" => Some("revoked"),
        "objected" => Some("objected"),
        _ => Some("invalidated"),
    }
}

/// Trimmed and without case.
pub fn folded(word: &str) -> String {
    word.trim().to_lowercase()
}

fn class(recipient: &str) -> &str {
    recipient.split(':').next().unwrap_or(recipient)
}

/// Refusals are read broadly.
fn refusal_applies(require: &Require, grant: &Grant, purpose: &str) -> bool {
    let named = folded(&grant.purpose);
    let channel = folded(&grant.channel);
    let purpose_fits = named == "*" || named == folded(purpose);
    let channel_fits = channel.is_empty()
        || channel == "*"
        || require.channel.as_ref().is_some_and(|required| channel == folded(required));
    let recipient = folded(&grant.recipient);
    let (required, class) = (folded(&require.recipient), folded(class(&require.recipient)));
    let recipient_fits = ["", "*", &required, &class, &format!("{class}:*")].contains(&recipient.as_str())
        || !of_known_shape(&recipient);
    purpose_fits && channel_fits && recipient_fits
}

fn of_known_shape(recipient: &str) -> bool {
    match recipient.split_once(':') {
        None => ["first_party", "processor", "third_party"].contains(&recipient),
        Some((class, name)) => ["processor", "third_party"].contains(&class) && !name.is_empty(),
    }
}

fn permitting(grant: &Grant) -> bool {
    ["given", "confirmed"].contains(&grant.status.as_str())
}

fn basis(grant: &Grant) -> &str {
    if grant.basis.is_empty() { "consent" } else { &grant.basis }
}

// Permissions are read narrowly: each comparison is exact.

fn purpose_fits(grant: &Grant, purpose: &str) -> bool {
    grant.purpose == purpose || grant.purpose == "*"
}

fn channel_fits(require: &Require, grant: &Grant) -> bool {
    match &require.channel {
        Some(channel) => grant.channel == *channel || grant.channel == "*",
        None => grant.channel.is_empty() || grant.channel == "*",
    }
}

fn recipient_fits(require: &Require, grant: &Grant) -> bool {
    let recipient = if grant.recipient.is_empty() { "first_party" } else { &grant.recipient };
    let required = &require.recipient;
    recipient == required
        || (class(required) != "first_party" && recipient == format!("{}:*", class(required)))
}

fn basis_fits(require: &Require, grant: &Grant) -> bool {
    require.legal_basis.iter().any(|listed| listed == basis(grant))
}

fn permission_applies(require: &Require, grant: &Grant, purpose: &str) -> bool {
    purpose_fits(grant, purpose)
        && channel_fits(require, grant)
        && recipient_fits(require, grant)
        && basis_fits(require, grant)
}

/// The best of the permitting grants that apply: a level, or why not; `None` where none applies.
fn step_4(
    ask: &Ask<'_>,
    state: &State,
    purpose: &str,
    counts: impl Fn(&Grant) -> bool,
) -> Option<Result<usize, &'static str>> {
    let rule = ask.policy.purposes.iter().find(|p| p.name == purpose)?;
    let (mut named, mut wild, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for grant in &state.grants {
        if !permitting(grant) || !counts(grant) || !permission_applies(ask.require, grant, purpose) {
            continue;
        }
        match fails(ask, rule, grant) {
            Some(reason) => failures.push(reason),
            None if grant.purpose == purpose => named.push(level(ask.policy, rule, grant)),
            None => wild.push(level(ask.policy, rule, grant)),
        }
    }
    if let Some(level) = named.iter().max().or(wild.iter().max()) {
        return Some(Ok(*level));
    }
    let order = ["unconfirmed", "needs_renewal", "expired", "before_consent"];
    order.into_iter().find(|reason| failures.contains(reason)).map(Err)
}

/// Step 4, a to e.
fn fails(ask: &Ask<'_>, rule: &Purpose, grant: &Grant) -> Option<&'static str> {
    let (now, skew) = (ask.now, ask.policy.clock_skew);
    // a
    if grant.valid_until.is_some_and(|until| until <= now) {
        return Some("expired");
    }
    // b
    if [grant.given_at, grant.confirmed_at].into_iter().flatten().any(|at| at > now + skew) {
        return Some("before_consent");
    }
    // c
    let latest = grant.given_at.max(grant.confirmed_at);
    if rule.max_age.is_some_and(|age| latest.is_none_or(|at| at + age <= now)) {
        return Some("needs_renewal");
    }
    // d
    if basis(grant) == "consent" && rule.double && grant.status != "confirmed" {
        return Some("unconfirmed");
    }
    // e
    if ask.require.both {
        let Some(occurred) = ask.occurred else { return Some("before_consent") };
        if grant.given_at.or(grant.confirmed_at).is_some_and(|since| occurred < since - skew) {
            return Some("before_consent");
        }
    }
    None
}

fn level(policy: &Policy, rule: &Purpose, grant: &Grant) -> usize {
    if grant.level.is_empty() { rule.level } else { super::rules::place(&policy.levels, &grant.level) }
}

/// Why none applied.
fn step_5(ask: &Ask<'_>, state: &State, purpose: &str) -> &'static str {
    let require = ask.require;
    let any = |test: &dyn Fn(&Grant) -> bool| state.grants.iter().any(test);
    if any(&|g| g.status == "requested" && permission_applies(require, g, purpose)) {
        return "unanswered";
    }
    let near = |g: &Grant| permitting(g) && purpose_fits(g, purpose) && basis_fits(require, g);
    if any(&|g| near(g) && recipient_fits(require, g)) {
        return "channel_not_permitted";
    }
    if any(&near) { "recipient_not_permitted" } else { "no_consent" }
}

/// All is drop, but for what the route holds.
fn step_6(ask: &Ask<'_>, reason: &'static str) -> Verdict {
    let holds = |word: &str| ask.route.hold.iter().any(|listed| listed == word);
    let pending = reason == "unconfirmed" || (reason == "unanswered" && !ask.require.both);
    if pending && holds("pending") {
        return Hold { reason, until: ask.now + ask.route.hold_for };
    }
    if ["unknown_subject", "no_consent"].contains(&reason) && holds("unknown") {
        return Hold { reason, until: ask.now + ask.route.grace };
    }
    Drop(reason)
}

/// Several purposes.
fn step_7(ask: &Ask<'_>, by_purpose: Vec<(String, Verdict)>) -> Verdict {
    let permits: Vec<&(String, Verdict)> =
        by_purpose.iter().filter(|(_, verdict)| matches!(verdict, Permit { .. })).collect();
    let enough = if ask.require.any { !permits.is_empty() } else { permits.len() == by_purpose.len() };
    if enough {
        let purposes = permits.iter().map(|(purpose, _)| purpose.clone()).collect();
        return match worst(permits.iter().map(|(_, verdict)| verdict.clone()).collect()) {
            Permit { level, .. } => Permit { level, purposes },
            other => other,
        };
    }
    let denials: Vec<Verdict> =
        by_purpose.iter().map(|(_, v)| v.clone()).filter(|v| !matches!(v, Permit { .. })).collect();
    let held = denials.iter().find(|v| matches!(v, Hold { .. }));
    match held {
        Some(hold) if ask.require.any => hold.clone(),
        _ => worst(denials),
    }
}

/// Permitted, and the route reaches somebody: is it time?
fn step_8(ask: &Ask<'_>, parts: &[Part<'_>], permit: Verdict) -> Verdict {
    let Some(channel) = &ask.require.channel else { return permit };
    let holds = ask.route.hold.iter().any(|listed| listed == "contact_window");
    let mut verdicts = vec![permit.clone()];
    for part in parts {
        let Part::State(state) = part else { continue };
        verdicts.push(match window::opening(ask.policy, state, channel, ask.now) {
            Opening::Now => continue,
            Opening::NoZone => Drop("unknown_time_zone"),
            Opening::At(until) if holds => Hold { reason: "outside_contact_window", until },
            Opening::At(_) | Opening::Never => Drop("outside_contact_window"),
        });
    }
    match worst(verdicts) {
        Permit { .. } => permit,
        closed => closed,
    }
}
