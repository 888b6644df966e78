//! `consentry consent unsubscribe-token`: the headers of a mail that can be unsubscribed from with one click.

use std::process::ExitCode;

use serde_json::json;

use super::{Common, Ended, Output, subject, usage};
use crate::steward::{Scope, Unsubscription};
use crate::time::{Clock, Timestamp};

/// Print the headers with which a mail can be unsubscribed from in one click (RFC 8058).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  consentry consent unsubscribe-token email:ann@example.org --purpose newsletter --channel email \\
    --url https://consent.example.org --config consentry.yaml

The token names the person and is signed under `admin.unsubscribe_key`: whoever has the mail can
withdraw this purpose and channel with it, as often as they like, and nothing else. No broker is
asked. Let what stands in front of the admin listener pass `/api/v1/unsubscribe/` on, and sign
both headers with DKIM, without which mail programs do not offer the button.")]
pub struct Args {
    /// `type:value`.
    subject: String,
    /// The purpose that is withdrawn.
    #[arg(long)]
    purpose: String,
    /// The channel that is withdrawn.
    #[arg(long, default_value = "email")]
    channel: String,
    /// Where the admin listener can be reached from everywhere: an `https` address.
    #[arg(long, value_name = "URL")]
    url: String,
    /// When the token becomes void, as RFC 3339. Default: never.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Prints.
pub fn run(args: &Args) -> Ended {
    let subject = subject(&args.subject)?;
    let base = args.url.trim_end_matches('/');
    let local = base.starts_with("http://127.0.0.1") || base.starts_with("http://localhost");
    if !(base.starts_with("https://") || local) || base.contains(['>', ' ', '?', '#']) {
        return Err(usage("`--url` is an `https` address without a query: mail programs take no other"));
    }
    let (purpose, channel) = (args.purpose.trim().to_owned(), args.channel.trim().to_owned());
    if purpose.is_empty() || channel.is_empty() {
        return Err(usage("name a purpose and a channel: a token never withdraws everything"));
    }
    let until = match &args.expires {
        None => None,
        Some(text) => match Timestamp::parse(text) {
            Some(at) if at > Clock::default().now() => Some(at),
            Some(_) | None => return Err(usage("`--expires` is an RFC 3339 time to come")),
        },
    };
    let ready = args.common.load()?;
    let Some(key) = &ready.admin.unsubscribe_key else {
        super::super::note(&ready.warnings.as_warnings().to_string());
        super::super::note(
            "consentry: `admin.unsubscribe_key` cannot be read: write `admin: {unsubscribe_key: {file: PATH}}`\n",
        );
        return Ok(ExitCode::from(super::super::BAD_CONFIGURATION));
    };
    let scope = Scope { purpose, channel, recipient: String::new() };
    let token = key.sign(&Unsubscription { subject, scope, until });
    let link = format!("<{base}/api/v1/unsubscribe/{token}>");
    let post = "List-Unsubscribe=One-Click";
    match args.common.output {
        Output::Text => {
            super::super::say(&format!("List-Unsubscribe: {link}\nList-Unsubscribe-Post: {post}\n"))?
        }
        Output::Json => {
            let document = json!({ "token": token, "List-Unsubscribe": link, "List-Unsubscribe-Post": post });
            super::super::say(&format!("{document:#}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
