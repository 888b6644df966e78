//! Consent stamped into the event when it was captured: a condition beside the stored consent.
//!
//! A consent management platform can write what the person had chosen into each event. A route that requires
//! such a stamp forwards only what the stored consent *and* the stamp permit; so a stamp can take away and never
//! add. It is read only where the stored consent permits or holds, and what it does not give is dropped, held or
//! not: waiting does not mend what was refused when the event was captured.
//!
//! Of a purpose's categories each must be given, unless the stamp itself says that one is enough. As everywhere,
//! refusals are read broadly (without case and surrounding white space; a refused `*` refuses every category;
//! given and refused is refused) and permissions narrowly (exactly as written). A category that the stamp does not
//! name is not given: `stamp_missing`, because nobody refused it and a mapping that is wrong must show as one.
//!
//! Where any purpose is enough, only those that the stamp gives count: the route is decided as if it required
//! these alone, so that level, header and deadline come from purposes that both permit.
//!
//! How a stamp is encoded is for `wire` to know. What the combinations come to is in `config/stamps.md`.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::ask::{Ask, Decided};
use super::grant::fold;
use super::reason::Reason;

/// What an event says of consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'v> {
    /// Nothing.
    Missing,
    /// Something that is no stamp.
    Invalid,
    /// This.
    Stamp(Stamp<'v>),
}

/// The answers stamped into an event, by the platform's categories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp<'v> {
    answers: SmallVec<[(Cow<'v, str>, Answer); 4]>,
    one_is_enough: bool,
}

/// What the person had chosen for a category. One that was not asked for has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Given,
    /// No, not any more, or something that is not understood.
    Refused,
}

/// A category of the platform, as a route names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    written: String,
    folded: String,
}

impl Category {
    /// The category with this name.
    pub fn new(name: &str) -> Self {
        Self { written: name.to_owned(), folded: fold(name) }
    }

    fn is_given_by(&self, name: &str) -> bool {
        self.written == name
    }

    fn is_refused_by(&self, name: &str) -> bool {
        match name.trim() {
            "*" => true,
            name if name.is_ascii() => name.eq_ignore_ascii_case(&self.folded),
            name => fold(name) == self.folded,
        }
    }
}

impl<'v> Stamp<'v> {
    /// Adds the answer for a category.
    pub fn says(&mut self, category: Cow<'v, str>, answer: Answer) {
        self.answers.push((category, answer));
    }

    /// From now on one category of a purpose is enough.
    pub const fn one_is_enough(&mut self) {
        self.one_is_enough = true;
    }

    /// Which of the purposes with these categories are given (bit n for the n-th), and why the first that is not
    /// given is not.
    fn gives(&self, purposes: &[Vec<Category>]) -> (u64, Option<Reason>) {
        let (mut given, mut lacking) = (0, None);
        for (index, categories) in purposes.iter().enumerate() {
            match self.lacks(categories) {
                None => given |= 1 << index,
                Some(reason) => lacking = lacking.or(Some(reason)),
            }
        }
        (given, lacking)
    }

    /// Why a purpose with these categories is not given.
    fn lacks(&self, categories: &[Category]) -> Option<Reason> {
        let any = |wanted: Answer, is: &dyn Fn(&str) -> bool| {
            self.answers.iter().any(|(name, answer)| *answer == wanted && is(name))
        };
        let refused = |category: &Category| any(Answer::Refused, &|name| category.is_refused_by(name));
        let given = |category: &Category| {
            any(Answer::Given, &|name| category.is_given_by(name)) && !refused(category)
        };
        let enough = match self.one_is_enough {
            true => categories.iter().any(given),
            false => !categories.is_empty() && categories.iter().all(given),
        };
        let reason = if categories.iter().any(refused) { Reason::StampRefused } else { Reason::StampMissing };
        (!enough).then_some(reason)
    }
}

/// What is left of a verdict of the stored consent, which permits or holds, where the route requires a stamp.
pub(super) fn stamped(ask: &Ask<'_>, stored: Decided) -> Decided {
    let Some(purposes) = &ask.requirement().stamp else { return stored };
    let stamp = match (ask.stamp)() {
        Said::Missing => return Decided::Drop(Reason::StampMissing),
        Said::Invalid => return Decided::Drop(Reason::StampInvalid),
        Said::Stamp(stamp) => stamp,
    };
    match stamp.gives(purposes) {
        (_, None) => stored,
        (0, Some(reason)) => Decided::Drop(reason),
        (_, Some(reason)) if ask.requirement().all => Decided::Drop(reason),
        (given, Some(reason)) => match (Ask { purposes: given, ..*ask }).stored() {
            Decided::Drop(_) => Decided::Drop(reason),
            both @ (Decided::Permit { .. } | Decided::Hold { .. }) => both,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(answers: &[(&'static str, Answer)]) -> Stamp<'static> {
        let mut stamp = Stamp::default();
        for (name, answer) in answers {
            stamp.says((*name).into(), *answer);
        }
        stamp
    }

    fn lacks(answers: &[(&'static str, Answer)], categories: &[&str]) -> Option<Reason> {
        let categories: Vec<_> = categories.iter().map(|name| Category::new(name)).collect();
        stamp(answers).lacks(&categories)
    }

    use Answer::{Given, Refused};

    #[test]
    fn each_category_must_be_given() {
        assert_eq!(lacks(&[("a", Given), ("b", Given)], &["a", "b"]), None);
        assert_eq!(lacks(&[("a", Given)], &["a", "b"]), Some(Reason::StampMissing));
        assert_eq!(
            lacks(&[("b", Refused)], &["a", "b"]),
            Some(Reason::StampRefused),
            "a refusal is named first"
        );
        assert_eq!(lacks(&[], &["a"]), Some(Reason::StampMissing));
        assert_eq!(lacks(&[("a", Given)], &[]), Some(Reason::StampMissing), "nothing required gives nothing");
    }

    #[test]
    fn permissions_are_read_narrowly_and_refusals_broadly() {
        for given in ["Ads", "ads ", "*", "ad"] {
            assert_eq!(lacks(&[(given, Given)], &["ads"]), Some(Reason::StampMissing), "{given}");
        }
        for refused in ["ads", "ADS", " Ads\u{a0}", "*", " * "] {
            let both = [("ads", Given), (refused, Refused)];
            assert_eq!(lacks(&both, &["ads"]), Some(Reason::StampRefused), "{refused}");
        }
        assert_eq!(
            lacks(&[("straße", Given), ("STRASSE", Refused)], &["straße"]),
            Some(Reason::StampRefused)
        );
        assert_eq!(lacks(&[("ads", Given), ("adds", Refused)], &["ads"]), None);
    }

    #[test]
    fn one_is_enough_where_the_stamp_says_so() {
        let categories = ["a", "b"].map(Category::new);
        let lacks = |answers: &[(&'static str, Answer)]| {
            let mut stamp = stamp(answers);
            stamp.one_is_enough();
            stamp.lacks(&categories)
        };
        assert_eq!(lacks(&[("a", Refused), ("b", Given)]), None);
        assert_eq!(lacks(&[("a", Given), ("a", Refused)]), Some(Reason::StampRefused));
        assert_eq!(lacks(&[("c", Given)]), Some(Reason::StampMissing));
    }

    #[test]
    fn the_first_purpose_that_is_not_given_says_why() {
        let purposes: Vec<_> = ["a", "b", "c"].iter().map(|name| vec![Category::new(name)]).collect();
        let gives = |answers: &[(&'static str, Answer)]| stamp(answers).gives(&purposes);
        assert_eq!(gives(&[("a", Given), ("b", Given), ("c", Given)]), (0b111, None));
        assert_eq!(gives(&[("a", Given), ("c", Refused)]), (0b001, Some(Reason::StampMissing)));
        assert_eq!(gives(&[("a", Refused), ("c", Given)]), (0b100, Some(Reason::StampRefused)));
    }
}
