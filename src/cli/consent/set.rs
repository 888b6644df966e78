//! `consentry consent set`: write one grant, or a whole record.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Early, Ended, Writing, subject, usage};
use crate::config::Ready;
use crate::consent::{Basis, Status};
use crate::steward::{Edit, Grant, Record, Subject};
use crate::time::Timestamp;

/// The longest record that is read from a file, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Write one grant and leave the others as they are, or write a whole record from a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  consentry consent set user_id:u-17 --purpose newsletter --channel email --config consentry.yaml
  consentry consent set user_id:u-17 --purpose newsletter --channel email --status confirmed \\
    -c consentry.yaml
  consentry consent set user_id:u-17 --purpose orders --basis contract \\
    --valid-until 2027-05-01T00:00:00Z -c consentry.yaml
  consentry consent set user_id:u-17 --file record.json --config consentry.yaml

A yes to what is permitted already renews it: `given_at` stays and `confirmed_at` is now. After
a refusal or a withdrawal it is a new opt-in. It ends the person's own refusals that reach it
(`refused`, `withdrawn`), also a general one; whatever else these reached is written out as
withdrawn, so that nothing else comes back. A refusal of another kind, such as `objected`, stays
until that very line is set. Fields that are not known here are kept. Two writers may race: see
`consentry consent --help`. With `format: protobuf` fields that this version's schema lacks are
lost.")]
pub struct Args {
    /// `type:value`.
    subject: String,
    #[command(flatten)]
    writing: Writing,
    /// The purpose; `*` is every one.
    #[arg(long, required_unless_present = "file")]
    purpose: Option<String>,
    /// How the person is reached; `*` is every way. Default: the person is not contacted.
    #[arg(long)]
    channel: Option<String>,
    /// `first_party`, `processor:NAME` or `third_party:NAME`. Default: `first_party`.
    #[arg(long)]
    recipient: Option<String>,
    /// What the person answered.
    #[arg(long, default_value = "given", value_parser = ["requested", "given", "confirmed", "refused", "withdrawn",
        "revoked", "objected", "invalidated"])]
    status: String,
    /// The legal basis.
    #[arg(long, default_value = "consent", value_parser = ["consent", "contract", "legal_obligation", "vital_interest",
        "public_task", "legitimate_interest"])]
    basis: String,
    /// When it expires, as RFC 3339. A renewal without it leaves the date as it was.
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// How close the person lets this purpose come: a word of the policy's `levels`.
    #[arg(long)]
    level: Option<String>,
    /// Which notice the person saw.
    #[arg(long)]
    notice: Option<String>,
    /// Where the answer was given.
    #[arg(long)]
    source: Option<String>,
    /// Where what stands cannot be read, begin with an empty record.
    #[arg(long)]
    replace: bool,
    /// A whole record in JSON, which replaces what stands; its `version` and `updated_at` are written anew. `-` reads
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["purpose", "channel", "recipient", "status", "basis",
        "valid_until", "level", "notice", "source", "replace"])]
    file: Option<PathBuf>,
}

/// Writes it.
pub fn run(args: &Args) -> Ended {
    let (subject, ready) = (subject(&args.subject)?, args.writing.common.load()?);
    let edit = match &args.file {
        Some(file) => whole(file, &subject, &ready)?,
        None => args.grant(&ready)?,
    };
    args.writing.change("set", &subject, &ready, &edit)
}

fn whole(file: &Path, subject: &Subject, ready: &Ready) -> Result<Edit, Early> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_BYTES)
            .read_to_end(&mut body)
            .context("cannot read standard input")?;
    } else {
        let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        open.take(MAX_BYTES)
            .read_to_end(&mut body)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    let record = Record::given(&body, subject, ready.cache.max_grants);
    let record = record
        .map_err(|why| usage(&format!("the file holds no consent record of this subject, in JSON: {why}")))?;
    Ok(Edit::Replace(record))
}

impl Args {
    fn grant(&self, ready: &Ready) -> Result<Edit, Early> {
        let word = |word: &Option<String>| word.as_deref().unwrap_or_default().trim().to_owned();
        let purpose = word(&self.purpose);
        if purpose.is_empty() {
            return Err(usage("`--purpose` is empty: name one, or write `'*'` for every one"));
        }
        if purpose != "*" && !ready.policy.purposes.iter().any(|known| known.name == purpose) {
            super::super::note(
                "consentry: the policy names no such purpose: it is written, and no route asks for it\n",
            );
        }
        let valid_until = match &self.valid_until {
            None => None,
            Some(text) => match Timestamp::parse(text) {
                Some(at) => Some(at),
                None => {
                    return Err(usage("`--valid-until` is an RFC 3339 time, such as 2027-05-01T00:00:00Z"));
                }
            },
        };
        let more = [("level", &self.level), ("notice", &self.notice), ("source", &self.source)];
        let more = more.into_iter().filter_map(|(name, word)| Some((name, word.clone()?))).collect();
        let grant = Grant {
            purpose,
            channel: word(&self.channel),
            recipient: word(&self.recipient),
            status: Status::read(&self.status),
            basis: Basis::read(&self.basis),
            valid_until,
            more,
        };
        Ok(Edit::Set { grant, anew: self.replace })
    }
}
