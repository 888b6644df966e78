//! One purpose, one voice: steps 2 to 6 of the decision.

use super::ask::{Ask, Decided};
use super::grant::Grant;
use super::identity::Voice;
use super::matching::{Match, Purpose};
use super::reason::Reason;

/// What refuses a purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// One of them is more than taking back consent in general.
    pub hard: bool,
    /// The reason of them all; `None`: nothing refuses.
    pub reason: Option<Reason>,
}

/// Step 2: collects what refuses the purpose with this index.
pub fn refusals(ask: &Ask<'_>, purpose: usize, voice: &Voice) -> Refusals {
    let mut all = Refusals::default();
    if voice.gpc && ask.terms.honour_gpc && ask.requirement().is_third_party() {
        all.reason = Some(Reason::OptedOutSignal);
    }
    for grant in ask.identities.grants(voice) {
        match ask.matcher.at(grant.shape, purpose) {
            Some(Match::Refuses { soft, reason }) => {
                all.hard |= !soft;
                all.reason = Some(all.reason.map_or(reason, |other| graver(other, reason)));
            }
            // A shape that is not learned cannot be here; if it were, it must not open a way.
            None => all = Refusals { hard: true, reason: Some(Reason::Invalidated) },
            Some(
                Match::Nothing
                | Match::Permits { .. }
                | Match::Requested
                | Match::OtherChannel
                | Match::OtherRecipient,
            ) => {}
        }
    }
    all
}

fn graver(left: Reason, right: Reason) -> Reason {
    let gravest_first = [
        Reason::OptedOutSignal,
        Reason::Revoked,
        Reason::Withdrawn,
        Reason::Objected,
        Reason::Refused,
        Reason::Invalidated,
    ];
    gravest_first.into_iter().find(|reason| [left, right].contains(reason)).unwrap_or(left)
}

/// Steps 2 to 6: whether this voice permits the purpose with this index.
pub fn verdict(ask: &Ask<'_>, index: usize, voice: &Voice) -> Decided {
    let Some(purpose) = ask.requirement().purposes.get(index) else {
        return Decided::Drop(Reason::NoConsent);
    };
    let refusals = refusals(ask, index, voice);
    match refusals.reason {
        Some(reason) if refusals.hard => Decided::Drop(reason),
        Some(reason) => match best(ask, index, purpose, voice, true) {
            Some(Ok(level)) => Decided::Permit { level, purposes: 0 },
            Some(Err(_)) | None => Decided::Drop(reason),
        },
        None => match best(ask, index, purpose, voice, false) {
            Some(Ok(level)) => Decided::Permit { level, purposes: 0 },
            Some(Err(reason)) => ask.or_hold(reason),
            None => ask.or_hold(nothing_applies(ask, index, voice)),
        },
    }
}

/// Step 4: the level of the best permit, or the reason of the best that fails. `None`: none applies.
fn best(
    ask: &Ask<'_>,
    index: usize,
    purpose: &Purpose,
    voice: &Voice,
    essential_only: bool,
) -> Option<Result<u8, Reason>> {
    let mut permit: Option<(bool, u8)> = None;
    let mut failed: Option<Reason> = None;
    for grant in ask.identities.grants(voice) {
        let Some(Match::Permits { named, essential, unconfirmed, level }) =
            ask.matcher.at(grant.shape, index)
        else {
            continue;
        };
        if essential_only && !essential {
            continue;
        }
        match failure(ask, purpose, grant, unconfirmed) {
            None => permit = permit.max(Some((named, level))),
            Some(reason) => failed = Some(failed.map_or(reason, |other| likelier(other, reason))),
        }
    }
    permit.map(|(_, level)| Ok(level)).or(failed.map(Err))
}

/// Step 4, a to e: why a permitting grant that applies does not permit now.
fn failure(ask: &Ask<'_>, purpose: &Purpose, grant: &Grant, unconfirmed: bool) -> Option<Reason> {
    let (now, skew) = (ask.moment.now, ask.terms.clock_skew_ms);
    let latest = grant.given_at.max(grant.confirmed_at);
    if grant.valid_until.is_some_and(|until| until <= now) {
        return Some(Reason::Expired);
    }
    if latest.is_some_and(|latest| latest > now.plus(skew)) {
        return Some(Reason::BeforeConsent);
    }
    if let Some(max_age_ms) = purpose.max_age_ms
        && latest.is_none_or(|latest| latest.plus(max_age_ms) <= now)
    {
        return Some(Reason::NeedsRenewal);
    }
    if unconfirmed {
        return Some(Reason::Unconfirmed);
    }
    let before = |occurred: crate::time::Timestamp| {
        grant.given_at.or(grant.confirmed_at).is_some_and(|consented| occurred < consented.plus(-skew))
    };
    let too_early = ask.requirement().both && ask.moment.occurred_at.is_none_or(before);
    too_early.then_some(Reason::BeforeConsent)
}

/// Of two reasons why a grant fails, the one that is closest to a permit.
fn likelier(left: Reason, right: Reason) -> Reason {
    [Reason::Unconfirmed, Reason::NeedsRenewal, Reason::Expired, Reason::BeforeConsent]
        .into_iter()
        .find(|reason| [left, right].contains(reason))
        .unwrap_or(left)
}

/// Step 5: the nearest thing to a grant.
fn nothing_applies(ask: &Ask<'_>, index: usize, voice: &Voice) -> Reason {
    let has = |wanted: Match| {
        let grants = ask.identities.grants(voice).iter();
        grants.filter_map(|grant| ask.matcher.at(grant.shape, index)).any(|found| found == wanted)
    };
    if has(Match::Requested) {
        Reason::Unanswered
    } else if has(Match::OtherChannel) {
        Reason::ChannelNotPermitted
    } else if has(Match::OtherRecipient) {
        Reason::RecipientNotPermitted
    } else {
        Reason::NoConsent
    }
}
