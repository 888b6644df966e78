//! `consentry check`: find every problem of a configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Output;
use crate::config::{self, Given, Problems, Ready, Secrets};
use crate::kafka::acl::{self, Acl, Traffic};
use crate::kafka::inspect::{self, Report, Role, Wanted};
use crate::kafka::settings::TopicSettings;
use crate::pipeline::settings::Delivery;

/// How long each question to the cluster may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Find every problem of a configuration, each with file, line, column and remedy.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configurations; `-` is standard input.
    #[arg(value_name = "CONFIG", required = true)]
    configs: Vec<PathBuf>,
    /// Also ask the cluster: whether it answers, whether the topics are there, whether the consent topic
    /// is compacted. Prints the rights that are needed.
    #[arg(long)]
    online: bool,
    /// How to tell.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

const EXAMPLES: &str = "Examples:
  consentry check consentry.yaml
  consentry check --online consentry.yaml
  consentry check --output json config/*.yaml | jq '.files[].problems'

A secret that is not on this machine is only a warning here; `consentry run` needs it.
Exit: 0 fine, 3 only --online found something, 78 bad configuration.";

/// One file and what was found.
struct Checked<'a> {
    path: &'a Path,
    ready: Result<Ready, Problems>,
    online: Option<(Report, Vec<Acl>)>,
}

/// Checks.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let checked: Vec<Checked<'_>> = args.configs.iter().map(|path| check(path, args.online)).collect();
    match args.output {
        Output::Text => checked.iter().try_for_each(tell)?,
        Output::Json => super::say(&format!("{:#}\n", document(&checked)))?,
    }
    if checked.iter().any(|one| one.ready.is_err()) {
        return Ok(ExitCode::from(super::BAD_CONFIGURATION));
    }
    let found = checked.iter().filter_map(|one| one.online.as_ref());
    let fine = found.into_iter().all(|(report, _)| report.findings.is_empty());
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(super::FOUND) })
}

fn check(path: &Path, online: bool) -> Checked<'_> {
    let ready = config::load(path, Given { secrets: Secrets::Skip, instance: None });
    let online = ready.as_ref().ok().filter(|_| online).map(ask);
    Checked { path, ready, online }
}

/// Asks the cluster, and adds up the rights that are needed.
fn ask(ready: &Ready) -> (Report, Vec<Acl>) {
    let mut wanted = vec![Wanted { topic: ready.follower.topic.clone(), role: Role::Consent, create: false }];
    let mut add = |topic: &str, role, create| {
        let one = Wanted { topic: topic.to_owned(), role, create };
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    };
    if let Some(due) = &ready.due {
        add(&due.topic.name, Role::Due, due.topic.create);
    }
    for pipeline in &ready.pipelines {
        pipeline.topics.iter().for_each(|topic| add(topic, Role::Source, false));
        pipeline.sinks.iter().for_each(|sink| add(&sink.name, Role::Sink, sink.create));
        add(&pipeline.quarantine.name, Role::Quarantine, pipeline.quarantine.create);
        pipeline.holds().for_each(|(source, hold)| add(&hold, Role::Hold(source.to_owned()), true));
    }
    let target = |topic: &TopicSettings| (topic.name.clone(), topic.create);
    let traffic = ready.pipelines.iter().map(|pipeline| Traffic {
        group: pipeline.group.clone(),
        sources: pipeline.topics.clone(),
        holds: pipeline.holds().map(|(_, hold)| hold).collect(),
        targets: pipeline.sinks.iter().chain([&pipeline.quarantine]).map(target).collect(),
    });
    let transactions = ready.line.delivery == Delivery::ExactlyOnce;
    let traffic: Vec<Traffic> = traffic.collect();
    let due = ready.due.as_ref().map(|due| (due.group.as_str(), due.topic.name.as_str(), due.topic.create));
    let mut acls = acl::needed(&ready.instance, transactions, &ready.follower.topic, due, &traffic);
    if ready.admin.about_persons {
        acls.insert(1, acl::to_write_consent(&ready.follower.topic));
    }
    let mut report = inspect::inspect(&ready.cluster, &wanted, PATIENCE);
    if ready.follower.share.is_part() {
        report.match_partitions();
    }
    report.match_due();
    (report, acls)
}

fn route_count(ready: &Ready) -> usize {
    ready.pipelines.iter().map(|pipeline| pipeline.rules.routes.len()).sum()
}

/// For people: problems on standard error, a line for a good file on standard output.
fn tell(one: &Checked<'_>) -> anyhow::Result<()> {
    let ready = match &one.ready {
        Ok(ready) => ready,
        Err(problems) => {
            super::note(&format!("{problems}\n\n"));
            return Ok(());
        }
    };
    super::note(&ready.warnings.as_warnings().to_string());
    if let Some((report, acls)) = &one.online {
        super::say(&online_text(report, acls))?;
        for finding in &report.findings {
            super::note(&format!("found: {}\n  = help: {}\n\n", finding.message, finding.help));
        }
    }
    let (pipelines, routes) = (ready.pipelines.len(), route_count(ready));
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let file = one.path.display().to_string();
    let file = config::visible(&file);
    let verdict = if is_fine(one) { "ok" } else { "found problems" };
    super::say(&format!(
        "{verdict}: {file}: {}, {}, policy {}\n",
        count(pipelines, "pipeline"),
        count(routes, "route"),
        ready.policy_hash
    ))
}

/// The topics that were seen and the rights that are needed, as two tables.
fn online_text(report: &Report, acls: &[Acl]) -> String {
    let mut lines = vec![format!("{:<11} {:<40} partitions", "topic for", "name")];
    for seen in &report.topics {
        let partitions = match (seen.partitions, seen.wanted.create) {
            (Some(count), _) => count.to_string(),
            (None, true) => "to be made".to_owned(),
            (None, false) => "not there".to_owned(),
        };
        lines.push(format!("{:<11} {:<40} {partitions}", seen.wanted.role.word(), seen.wanted.topic));
    }
    lines.push("\nrights that are needed where the cluster is secured:".to_owned());
    lines.extend(acls.iter().map(Acl::to_string));
    lines.push("\n".to_owned());
    lines.join("\n")
}

/// For programs.
fn document(checked: &[Checked<'_>]) -> Json {
    let files: Vec<Json> = checked.iter().map(file_json).collect();
    json!({ "ok": checked.iter().all(is_fine), "files": files })
}

fn is_fine(one: &Checked<'_>) -> bool {
    one.ready.is_ok() && one.online.as_ref().is_none_or(|(report, _)| report.findings.is_empty())
}

fn file_json(one: &Checked<'_>) -> Json {
    let file = one.path.display().to_string();
    let ready = match &one.ready {
        Err(problems) => return json!({ "file": file, "ok": false, "problems": problems.json() }),
        Ok(ready) => ready,
    };
    let mut json = json!({
        "file": file,
        "ok": is_fine(one),
        "pipelines": ready.pipelines.len(),
        "routes": route_count(ready),
        "policy": ready.policy_hash,
        "problems": [],
        "warnings": ready.warnings.json(),
    });
    if let (Some((report, acls)), Some(object)) = (&one.online, json.as_object_mut()) {
        object.insert("online".to_owned(), online_json(report, acls));
    }
    json
}

fn online_json(report: &Report, acls: &[Acl]) -> Json {
    let topics = report.topics.iter().map(|seen| {
        let role = seen.wanted.role.word();
        json!({ "topic": seen.wanted.topic, "role": role, "partitions": seen.partitions })
    });
    let findings =
        report.findings.iter().map(|found| json!({ "message": found.message, "help": found.help }));
    let acls = acls.iter().map(|acl| {
        let pattern = if acl.prefixed { "prefixed" } else { "literal" };
        json!({ "resource": acl.resource, "name": acl.name, "pattern": pattern,
                "operations": acl.operations, "why": acl.why })
    });
    json!({
        "topics": topics.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "acls": acls.collect::<Vec<_>>(),
    })
}
