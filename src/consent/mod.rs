//! What a person has said, and whether a record may go on.
//!
//! The heart of the house. `decide` is a pure, total function of a route's requirement, the subject's
//! state, the event's time and now. This room never reads a clock, never does I/O, never logs, knows no
//! encoding and no configuration file. [`Permitted`] and [`Cleared`] can be made here alone, and a sink
//! takes nothing else: a record that was not decided does not compile its way out.

mod ask;
mod deadlines;
mod decide;
mod grant;
mod identity;
mod matching;
mod permit;
mod purpose;
mod reason;
mod stamp;
mod subject;
mod vocabulary;
pub mod window;

pub use ask::{Decided, Moment, Terms};
pub use deadlines::Deadlines;
pub use decide::decide;
pub use grant::{Basis, Grant, Shape, Status, fold};
pub use identity::{Found, Identities, Voice};
pub use matching::{Hold, Match, Matcher, Purpose, Requirement};
pub use permit::{Batch, Cleared, Each, Grounds, Judged, Kept, Permitted, Question, judge, judge_each};
pub use reason::{End, Reason};
pub use stamp::{Answer, Category, Said, Stamp};
pub use subject::{MAX_SUBJECT_BYTES, normalize, split_key};
pub use vocabulary::{ContactWindow, Full, Vocabulary, ZoneId};
