//! `consentry consent`: one person's consent, read and changed where it is kept.
//!
//! Each command reads the topic for its subject, changes what it must and nothing else, and says when the change was
//! acknowledged and when it was in force. The subject is printed on standard output alone, where it was asked for.

mod erase;
mod get;
mod merge;
mod report;
mod set;
mod token;
mod wait;
mod withdraw;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::Output;
use crate::app::steward_settings;
use crate::config::{self, Given, Ready, Secrets};
use crate::steward::{Edit, Steward, Subject};

/// How long the topic may be read: a topic of a hundred million records takes minutes.
const READ_WITHIN: Duration = Duration::from_secs(900);

/// Read and change one person's consent. SUBJECT is `type:value`, such as `email:ann@example.org`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  consentry consent get email:ann@example.org --config consentry.yaml
  consentry consent withdraw user_id:u-17 --purpose newsletter --config consentry.yaml
  consentry consent set user_id:u-17 --purpose newsletter --channel email --config consentry.yaml
  consentry consent erase user_id:u-17 --config consentry.yaml

Each reads the whole consent topic for the subject, because nobody else knows which partitions
hold its key. Two writers may race: after writing, the topic is read again. A withdrawal or a
grant is made again on top of what somebody wrote in between; an erasure erases it too, and a
whole record replaces it. That is said (exit 3), also where theirs stands above and was left.
Exit: 0 fine, 1 refused or failed, 2 usage, 3 somebody else changed it meanwhile, 78 bad
configuration.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Get(get::Args),
    Set(set::Args),
    Withdraw(withdraw::Args),
    Erase(erase::Args),
    Merge(merge::Args),
    UnsubscribeToken(token::Args),
}

/// What every command is given.
#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration of the process that is to heed it; `-` reads standard input.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// How to tell.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What every command that writes is given.
#[derive(Debug, clap::Args)]
struct Writing {
    #[command(flatten)]
    common: Common,
    /// Wait until the instance at this address has the change in force; several may be given. Default: the
    /// configuration's `admin.listen`, if it answers.
    #[arg(long, value_name = "URL")]
    wait: Vec<String>,
    /// Wait for no instance.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// Why a command ends early: it has been said.
enum Early {
    Exit(u8),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Early {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Ended = Result<ExitCode, Early>;

/// Does it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ended = match &args.command {
        Command::Get(args) => get::run(args),
        Command::Set(args) => set::run(args),
        Command::Withdraw(args) => withdraw::run(args),
        Command::Erase(args) => erase::run(args),
        Command::Merge(args) => merge::run(args),
        Command::UnsubscribeToken(args) => token::run(args),
    };
    match ended {
        Ok(code) => Ok(code),
        Err(Early::Exit(code)) => Ok(ExitCode::from(code)),
        Err(Early::Failed(error)) => Err(error),
    }
}

/// Something asked for cannot be understood.
fn usage(why: &str) -> Early {
    super::note(&format!("consentry: {why}\n"));
    Early::Exit(super::USAGE)
}

fn subject(text: &str) -> Result<Subject, Early> {
    Subject::parse(text).ok_or_else(|| usage("a subject is `type:value`, such as `email:ann@example.org`"))
}

impl Common {
    /// The configuration. Of its secrets only those that reach the brokers are needed here.
    fn load(&self) -> Result<Ready, Early> {
        let ready = config::load(&self.config, Given { secrets: Secrets::Skip, instance: None });
        let ready = ready.map_err(|problems| {
            super::note(&format!("{problems}\n"));
            Early::Exit(super::BAD_CONFIGURATION)
        })?;
        for missing in ready.warnings.iter().filter(|warning| !warning.quoted) {
            super::note(&format!("consentry: {}\n", missing.message));
        }
        Ok(ready)
    }
}

impl Writing {
    /// Makes one change and tells what became of it.
    fn change(&self, command: &'static str, subject: &Subject, ready: &Ready, edit: &Edit) -> Ended {
        let mut waits = self.waits(ready)?;
        let steward = Steward::new(steward_settings(ready));
        let found = steward.find(subject, None, READ_WITHIN)?;
        let done = steward
            .change(subject, found, edit, READ_WITHIN, &mut |written, began| waits.wait(written, began))?;
        report::tell(self.common.output, command, &[(subject, &done)], waits.waited())
    }

    /// Who is to have a change in force.
    fn waits(&self, ready: &Ready) -> Result<wait::Waits, Early> {
        let listen = Some(ready.admin.listen).filter(|_| !self.no_wait);
        wait::Waits::new(&self.wait, listen)
    }
}
