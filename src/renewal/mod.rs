//! Whom to ask again, before what they permitted comes to its end.
//!
//! A permitting grant ends when it expires (`valid_until`) or when it needs renewal (the purpose's `max_age` after
//! the latest of `given_at` and `confirmed_at`). `ask_again_before` earlier, the owner of the relationship is told,
//! once a grant, so that there is time to ask. What is told is a [`Message`]; `due` writes it.
//!
//! **Whom not.** A person who refuses is left alone: while a refusing grant applies, read as broadly as the decision
//! reads it (semantics, section 3, step 2: `*`, Global Privacy Control, a recipient's class), while processing is
//! restricted, and while the record does not decode. A grant for any channel or any recipient is silenced by a refusal
//! of any one of them. And **whoever did refuse** is left alone for `do_not_ask_again_for` from the last record that
//! said so, by its Kafka timestamp or the refusing grant's own times, whichever is later: a renewal that falls into
//! that time is not asked for, or asked for when it is over, if the grant has not ended by then. That can be known
//! only of records that are still on the topic or came while somebody was following it: once Kafka has compacted
//! the refusal away under a newer record, and everything was read anew, nobody knows of it.
//!
//! **What is not asked.** A purpose that the policy does not name; a grant that another one of the same person
//! covers for longer (the same purpose, channel, recipient and basis, or wildcards of them); one that does not
//! permit because a second confirmation is missing; and nothing once the end has passed: then it is no renewal any
//! more, and without consent it may not even be lawful to write to the person. So what came due while nobody was
//! running is told late, but never after its end.
//!
//! **Once a grant.** What was told is read back from where it was told: each message about a person repeats what
//! was told of that person before and has not ended (`earlier`), so that the last one alone, which is all that
//! compaction leaves, says everything. The same grant with the same end is never told again; one that was renewed
//! has another end. A policy with another `max_age` has other ends too.
//!
//! **Memory.** For each person with a grant that has an end, some 380 bytes; for each who refused within
//! `do_not_ask_again_for`, or of whom something was told, some 250 (measured over a million each, keys of 24 bytes).
//! Nothing for anybody else. `limits.max_subjects` bounds how many.
//!
//! This room never reads a clock, never does I/O, and knows one partition at a time: a key on several partitions
//! is for `due` to see.

mod ends;
mod index;
mod message;
pub mod settings;

pub use ends::{Asking, Due, Why};
pub use index::{Ask, Asked, Index, Said};
pub use message::{Message, Told, Topic, Unreadable};

#[cfg(test)]
mod tests;
