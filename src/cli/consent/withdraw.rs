//! `consentry consent withdraw`: the quick way out.

use super::{Ended, Writing, subject};
use crate::steward::{Edit, Scope};

/// Withdraw everything, or one purpose, channel or recipient; all other grants stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  consentry consent withdraw user_id:u-17 --config consentry.yaml
  consentry consent withdraw user_id:u-17 --purpose newsletter --channel email -c consentry.yaml
  consentry consent withdraw user_id:u-17 --recipient third_party:adco --config consentry.yaml

It always can be done. Withdrawing everything ends no contract, legal obligation or vital
interest; withdrawing a purpose by name ends it on every basis. Where what stands cannot be
read, a fresh record is written that withdraws everything. Two writers may race: see `consentry
consent --help`.")]
pub struct Args {
    /// `type:value`.
    subject: String,
    #[command(flatten)]
    writing: Writing,
    /// Only this purpose.
    #[arg(long)]
    purpose: Option<String>,
    /// Only this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only this recipient.
    #[arg(long)]
    recipient: Option<String>,
}

/// Withdraws.
pub fn run(args: &Args) -> Ended {
    let (subject, ready) = (subject(&args.subject)?, args.writing.common.load()?);
    let scope = Scope {
        purpose: args.purpose.clone().unwrap_or_default(),
        channel: args.channel.clone().unwrap_or_default(),
        recipient: args.recipient.clone().unwrap_or_default(),
    };
    args.writing.change("withdraw", &subject, &ready, &Edit::Withdraw(scope))
}
