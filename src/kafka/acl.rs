//! Which rights a process needs on a secured cluster.
//!
//! Computed from names alone, so that `consentry check` can print the list for whoever grants them.

use std::fmt;

/// A right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `topic`, `group`, `transactional-id`.
    pub resource: &'static str,
    /// Its name, or what names begin with.
    pub name: String,
    /// Whether `name` is only the beginning.
    pub prefixed: bool,
    /// What must be allowed.
    pub operations: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

/// What a pipeline reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The consumer group.
    pub group: String,
    /// The source topics.
    pub sources: Vec<String>,
    /// What it writes to: sinks and quarantine, and whether each is made where it is missing.
    pub targets: Vec<(String, bool)>,
    /// The topics in which records wait.
    pub holds: Vec<String>,
}

/// Where it is told that consents end: the group, the topic, and whether that is made where it is missing.
pub type Due<'a> = (&'a str, &'a str, bool);

/// The rights of a process: each once, topics first.
pub fn needed(
    instance: &str,
    transactions: bool,
    consent: &str,
    due: Option<Due<'_>>,
    pipelines: &[Traffic],
) -> Vec<Acl> {
    let mut acls: Vec<Acl> = Vec::new();
    let mut add = |resource, name: &str, operations, why| {
        let acl = Acl { resource, name: name.to_owned(), prefixed: false, operations, why };
        if !acls.contains(&acl) {
            acls.push(acl);
        }
    };
    add("topic", consent, &["Read", "Describe", "DescribeConfigs"], "consent");
    match due {
        Some((_, topic, true)) => {
            add("topic", topic, &["Read", "Write", "Describe", "DescribeConfigs", "Create"], "due, made");
        }
        Some((_, topic, false)) => {
            add("topic", topic, &["Read", "Write", "Describe", "DescribeConfigs"], "due");
        }
        None => {}
    }
    for pipeline in pipelines {
        for source in &pipeline.sources {
            add("topic", source, &["Read", "Describe"], "source");
        }
        for (target, create) in &pipeline.targets {
            match create {
                true => add("topic", target, &["Write", "Describe", "Create"], "sink or quarantine, made"),
                false => add("topic", target, &["Write", "Describe"], "sink or quarantine"),
            }
        }
        for hold in &pipeline.holds {
            let operations = &["Read", "Write", "Describe", "DescribeConfigs", "Create", "Alter"];
            add("topic", hold, operations, "records wait in it; made and widened");
        }
    }
    for pipeline in pipelines {
        add("group", &pipeline.group, &["Read", "Describe"], "offsets and assignment");
    }
    if let Some((group, ..)) = due {
        add("group", group, &["Read", "Describe"], "offsets and assignment");
    }
    if transactions || due.is_some() {
        let name = format!("consentry/{instance}/");
        let operations = &["Write", "Describe"];
        let why = "transactions";
        acls.push(Acl { resource: "transactional-id", name, prefixed: true, operations, why });
    }
    acls
}

/// The right to write consent, for a process that changes it for persons.
pub fn to_write_consent(topic: &str) -> Acl {
    let (name, why) = (topic.to_owned(), "consent, changed over HTTP");
    Acl { resource: "topic", name, prefixed: false, operations: &["Write"], why }
}

/// One line for people.
impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.prefixed { "*" } else { "" };
        let operations = self.operations.join(", ");
        write!(
            f,
            "{:<17} {:<40} {operations:<32} {}",
            self.resource,
            format!("{}{star}", self.name),
            self.why
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_once_and_no_more_than_is_used() {
        let pipeline = Traffic {
            group: "g".to_owned(),
            sources: vec!["in".to_owned(), "in".to_owned()],
            targets: vec![("out".to_owned(), false), ("quarantine".to_owned(), true)],
            holds: vec!["hold.in".to_owned()],
        };
        let acls = needed("gate-1", true, "consent", None, std::slice::from_ref(&pipeline));
        let names: Vec<_> = acls.iter().map(|acl| acl.name.as_str()).collect();
        assert_eq!(names, ["consent", "in", "out", "quarantine", "hold.in", "g", "consentry/gate-1/"]);
        assert_eq!(acls[3].operations, ["Write", "Describe", "Create"]);
        assert!(acls[6].prefixed);
        assert_eq!(needed("gate-1", false, "consent", None, std::slice::from_ref(&pipeline)).len(), 6);
        let acls = needed("gate-1", false, "consent", Some(("d", "due", false)), &[pipeline]);
        let names: Vec<_> = acls.iter().map(|acl| acl.name.as_str()).collect();
        let topics = ["consent", "due", "in", "out", "quarantine", "hold.in"];
        assert_eq!(names, [&topics[..], &["g", "d", "consentry/gate-1/"]].concat());
    }
}
