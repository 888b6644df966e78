//! The decision: one route, one record, every identity it names.
//!
//! Pure and total. A permit is built up, step by step, in the order of the documentation; whatever is
//! missing on the way is a denial. The steps for one purpose and one voice are in `purpose`.

use super::ask::{Ask, Decided, Moment, Terms};
use super::identity::{Found, Identities, Voice};
use super::matching::Matcher;
use super::purpose;
use super::reason::Reason;
use super::stamp::{Said, stamped};
use super::vocabulary::Vocabulary;
use super::window::{Opening, Window, opening};

/// Decides whether a record about `identities` meets the requirement of `matcher`, which has learned
/// every shape that they use. `stamp` says what the event itself holds of consent; it is asked only where the
/// requirement wants a stamp and the stored consent permits or holds.
pub fn decide<'a>(
    matcher: &'a Matcher,
    words: &'a Vocabulary,
    terms: &'a Terms,
    moment: Moment,
    identities: &'a Identities,
    stamp: &'a dyn Fn() -> Said<'a>,
) -> Decided {
    let ask = Ask { matcher, words, terms, moment, identities, stamp, purposes: u64::MAX };
    match ask.stored() {
        stored @ (Decided::Permit { .. } | Decided::Hold { .. }) => stamped(&ask, stored),
        Decided::Drop(reason) => Decided::Drop(reason),
    }
}

impl<'a> Ask<'a> {
    /// Steps 1 to 8: what the stored consent says.
    pub fn stored(&self) -> Decided {
        let Some((must, may_refuse)) = self.split() else { return Decided::Drop(Reason::UnknownSubject) };
        if let Some(reason) = may_refuse.iter().find_map(|found| self.unfit(found)) {
            return Decided::Drop(reason);
        }
        match self.over_purposes(must, may_refuse) {
            Decided::Permit { level, purposes } => self.at_this_hour(must, level, purposes),
            decided @ (Decided::Hold { .. } | Decided::Drop(_)) => decided,
        }
    }

    /// The identities that must permit, and those that can only refuse.
    fn split(&self) -> Option<(&'a [Found], &'a [Found])> {
        let all = self.identities.found();
        let must = if self.terms.match_all { all.len() } else { 1 };
        all.split_at_checked(must).filter(|(must, _)| !must.is_empty())
    }

    /// Step 1, for what is known: why nothing may be forwarded about this identity at all.
    fn unfit(&self, found: &Found) -> Option<Reason> {
        match found {
            Found::Unknown => None,
            Found::Conflicted => Some(Reason::Conflicted),
            Found::Voices(_) => self.identities.voices(found).iter().find_map(unfit_voice),
        }
    }

    /// Step 7: the purposes together.
    fn over_purposes(&self, must: &[Found], may_refuse: &[Found]) -> Decided {
        let all = self.requirement().all;
        let mut together: Option<Decided> = None;
        for index in 0..self.requirement().purposes.len() {
            if self.purposes & 1 << index == 0 {
                continue;
            }
            let one = match self.over_identities(index, must, may_refuse) {
                Decided::Permit { level, .. } => Decided::Permit { level, purposes: 1 << index },
                decided @ (Decided::Hold { .. } | Decided::Drop(_)) => decided,
            };
            together =
                Some(together.map_or(one, |other| if all { worse(other, one) } else { better(other, one) }));
        }
        together.unwrap_or(Decided::Drop(Reason::NoConsent))
    }

    /// The worst that the identities say of one purpose.
    fn over_identities(&self, index: usize, must: &[Found], may_refuse: &[Found]) -> Decided {
        let permits = must.iter().map(|found| self.identity(index, found));
        let refusals = may_refuse.iter().filter_map(|found| self.refused(index, found));
        let worst = permits.chain(refusals.map(Decided::Drop)).reduce(worse);
        worst.unwrap_or(Decided::Drop(Reason::UnknownSubject))
    }

    /// Steps 1 to 6 for an identity that must permit: the worst of its voices.
    fn identity(&self, index: usize, found: &Found) -> Decided {
        match found {
            Found::Unknown => self.or_hold(Reason::UnknownSubject),
            Found::Conflicted => Decided::Drop(Reason::Conflicted),
            Found::Voices(_) => {
                let voices = self.identities.voices(found).iter();
                let verdict = |voice: &Voice| match unfit_voice(voice) {
                    Some(reason) => Decided::Drop(reason),
                    None => purpose::verdict(self, index, voice),
                };
                voices.map(verdict).reduce(worse).unwrap_or(Decided::Drop(Reason::UnknownSubject))
            }
        }
    }

    /// Step 2 for an identity that can only refuse.
    fn refused(&self, index: usize, found: &Found) -> Option<Reason> {
        let essential = self.requirement().is_essential();
        self.identities.voices(found).iter().find_map(|voice| {
            let refusals = purpose::refusals(self, index, voice);
            refusals.reason.filter(|_| refusals.hard || !essential)
        })
    }

    /// Step 8: the contact windows of every voice that had to permit, the worst first.
    fn at_this_hour(&self, must: &[Found], level: u8, purposes: u64) -> Decided {
        let permit = Decided::Permit { level, purposes };
        let Some(channel) = self.requirement().channel.as_deref() else { return permit };
        let voices = must.iter().flat_map(|found| self.identities.voices(found));
        voices.map(|voice| self.voice_at_this_hour(voice, channel, permit)).fold(permit, worse)
    }

    fn voice_at_this_hour(&self, voice: &Voice, channel: &str, permit: Decided) -> Decided {
        let Some(windows) = self.windows(voice, channel) else { return permit };
        let own = voice.zone.and_then(|zone| self.words.zone_at(zone));
        let zones: Vec<_> = own.map_or_else(|| self.terms.assume_zones.iter().collect(), |zone| vec![zone]);
        if zones.is_empty() {
            return Decided::Drop(Reason::UnknownTimeZone);
        }
        match opening(&windows, &zones, self.moment.now) {
            Opening::Open => permit,
            Opening::At(until) if self.requirement().hold.contact_window => {
                Decided::Hold { reason: Reason::OutsideContactWindow, until }
            }
            Opening::At(_) | Opening::Never => Decided::Drop(Reason::OutsideContactWindow),
        }
    }

    /// The windows that apply: the subject's own for the channel, else its own for any, else the policy's.
    fn windows(&self, voice: &Voice, channel: &str) -> Option<Vec<Window>> {
        let own = self.identities.windows(voice);
        let folded = if own.is_empty() { String::new() } else { super::grant::fold(channel) };
        let chosen = |any: bool| {
            let applies = |number| if any { number == 0 } else { self.words.channel_is(number, &folded) };
            let mut windows = own.iter().filter(|window| applies(window.channel)).peekable();
            windows.peek().is_some().then(|| windows.filter_map(|window| window.window).collect())
        };
        chosen(false).or_else(|| chosen(true)).or_else(|| self.requirement().windows.clone())
    }
}

fn unfit_voice(voice: &Voice) -> Option<Reason> {
    match (voice.invalid, voice.restricted) {
        (true, _) => Some(Reason::InvalidConsent),
        (false, true) => Some(Reason::Restricted),
        (false, false) => None,
    }
}

/// The worse of two, the first among equals; the lower level of two permits.
fn worse(first: Decided, second: Decided) -> Decided {
    use Decided::{Drop, Hold, Permit};
    match (first, second) {
        (Permit { .. }, Permit { .. }) => both_permit(first, second),
        (Drop(_), _) | (Hold { .. }, Permit { .. } | Hold { .. }) => first,
        (Permit { .. } | Hold { .. }, Drop(_)) | (Permit { .. }, Hold { .. }) => second,
    }
}

/// The better of two, the first among equals; the lower level of two permits.
fn better(first: Decided, second: Decided) -> Decided {
    use Decided::{Drop, Hold, Permit};
    match (first, second) {
        (Permit { .. }, Permit { .. }) => both_permit(first, second),
        (Permit { .. }, _) | (Hold { .. }, Hold { .. } | Drop(_)) | (Drop(_), Drop(_)) => first,
        (Hold { .. } | Drop(_), Permit { .. }) | (Drop(_), Hold { .. }) => second,
    }
}

fn both_permit(first: Decided, second: Decided) -> Decided {
    match (first, second) {
        (Decided::Permit { level: a, purposes: p }, Decided::Permit { level: b, purposes: q }) => {
            Decided::Permit { level: a.min(b), purposes: p | q }
        }
        (Decided::Permit { .. } | Decided::Hold { .. } | Decided::Drop(_), _) => second,
    }
}
