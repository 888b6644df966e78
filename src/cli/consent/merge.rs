//! `consentry consent merge`: two names of one person made one.

use super::{Ended, READ_WITHIN, Writing, report, subject, usage};
use crate::app::steward_settings;
use crate::steward::{Steward, Written};

/// Add what is known of one subject to another of the same person, and erase the first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  consentry consent merge anonymous_id:a-9 user_id:u-17 --config consentry.yaml

The grants of both stand. Refusals win: where one of them refuses, a yes of the other to the
same purpose, channel and recipient is left out, whenever it was said. `restricted` and Global
Privacy Control hold if either says so; of contact windows, time zone and all else, what INTO
lacks is taken from FROM. FROM is erased once INTO is acknowledged; until then both stand.
Either must be readable, and FROM known. Two writers may race: see `consentry consent --help`.")]
pub struct Args {
    /// `type:value` of the one that is erased afterwards.
    from: String,
    /// `type:value` of the one that stays.
    into: String,
    #[command(flatten)]
    writing: Writing,
}

/// Merges.
pub fn run(args: &Args) -> Ended {
    let (from, into) = (subject(&args.from)?, subject(&args.into)?);
    if from == into {
        return Err(usage("both are the same subject"));
    }
    let ready = args.writing.common.load()?;
    let mut waits = args.writing.waits(&ready)?;
    let steward = Steward::new(steward_settings(&ready));
    let found = steward.find(&from, None, READ_WITHIN)?;
    let other = steward.find(&into, None, READ_WITHIN)?;
    let mut after = |written: &[Written], began| waits.wait(written, began);
    let (merged, erased) = steward.merge((&from, found), (&into, other), READ_WITHIN, &mut after)?;
    report::tell(args.writing.common.output, "merge", &[(&into, &merged), (&from, &erased)], waits.waited())
}
