//! `consentry consent erase`: forget a person.

use super::{Ended, Writing, subject};
use crate::steward::Edit;

/// Erase a person's consent record: a tombstone on every partition that holds the key. Unknown from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  consentry consent erase user_id:u-17 --config consentry.yaml

What was said is gone, refusals too. Where somebody writes the person's record at the same time,
that is erased as well. Where nothing is known, nothing is written.")]
pub struct Args {
    /// `type:value`.
    subject: String,
    #[command(flatten)]
    writing: Writing,
}

/// Erases.
pub fn run(args: &Args) -> Ended {
    let (subject, ready) = (subject(&args.subject)?, args.writing.common.load()?);
    args.writing.change("erase", &subject, &ready, &Edit::Erase)
}
