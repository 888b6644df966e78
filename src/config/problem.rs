//! What is wrong with a configuration, and how it is told.
//!
//! A person who mends a file wants every fault at once, each with its place and its remedy. So a check
//! never stops at the first: it adds to `Problems` and goes on with a stand-in. The look is rustc's,
//! because people know where to look in it. A line that may hold a secret is never quoted.

use std::fmt;

use serde::Serialize;

use super::snippet::{snippet, visible};

/// A place in a file: where it begins and how many characters it marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 where the whole file is meant.
    pub column: usize,
    /// Characters marked.
    pub width: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: At,
    /// What is wrong: lower case, names in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the line may be quoted. False where a secret may stand in it.
    pub quoted: bool,
}

/// Every fault of one file, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    file: String,
    text: String,
    list: Vec<Problem>,
}

/// The JSON form of a problem.
#[derive(Debug, Serialize)]
pub struct ProblemJson<'a> {
    /// The file's name as it was given.
    pub file: &'a str,
    /// From 1; absent where the whole file is meant.
    pub line: Option<usize>,
    /// From 1, in characters; absent where the whole file is meant.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: &'a str,
    /// What to do about it.
    pub help: Option<&'a str>,
}

impl Problems {
    /// No problem yet in `file`, which holds `text`.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), list: Vec::new() }
    }

    /// One problem of a whole file.
    pub fn whole(file: &str, message: String, help: &str) -> Self {
        let mut problems = Self::new(file, "");
        problems.add(At::default(), message, help);
        problems
    }

    /// Adds a problem; an empty `help` is none. The same problem is told once.
    pub fn add(&mut self, at: At, message: impl Into<String>, help: impl Into<String>) {
        self.add_as(false, at, message, help);
    }

    /// Adds a problem whose line is not quoted, because a secret may stand in it.
    pub fn add_secret(&mut self, at: At, message: impl Into<String>, help: impl Into<String>) {
        self.add_as(true, at, message, help);
    }

    /// Adds a problem of a line in which a secret may stand, or not.
    pub(super) fn add_as(
        &mut self,
        secret: bool,
        at: At,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        let help = Some(help).filter(|help| !help.is_empty());
        let problem = Problem { at, message, help, quoted: !secret };
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Each, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Puts them in the order of the file; what is about the whole file comes first.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|problem| (problem.at.line, problem.at.column));
    }

    /// Each told as a warning, without a count.
    pub fn as_warnings(&self) -> impl fmt::Display + '_ {
        Warnings(self)
    }

    /// For programs.
    pub fn json(&self) -> Vec<ProblemJson<'_>> {
        let some = |number: usize| Some(number).filter(|number| *number > 0);
        let form = |problem: &'_ Problem| (some(problem.at.line), some(problem.at.column));
        let one = |problem| {
            let (line, column) = form(problem);
            let Problem { message, help, .. } = problem;
            ProblemJson { file: &self.file, line, column, message, help: help.as_deref() }
        };
        self.list.iter().map(one).collect()
    }

    /// Writes one problem under `title` (`error`, `warning`).
    fn write(&self, f: &mut fmt::Formatter<'_>, title: &str, problem: &Problem) -> fmt::Result {
        let At { line, column, width } = problem.at;
        let file = visible(&self.file);
        writeln!(f, "{title}: {}", visible(&problem.message))?;
        let gutter = line.to_string().len();
        if line == 0 {
            writeln!(f, "{:gutter$}--> {file}", "")?;
        } else {
            writeln!(f, "{:gutter$}--> {file}:{line}:{column}", "")?;
        }
        let quote = self.text.lines().nth(line.wrapping_sub(1));
        if let Some(quote) = quote.filter(|quote| problem.quoted && !names_secret(quote)) {
            let (quote, carets) = snippet(quote, column, width);
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{line} | {quote}")?;
            writeln!(f, "{:gutter$} | {carets}", "")?;
        }
        match &problem.help {
            Some(help) => writeln!(f, "{:gutter$} = help: {}", "", visible(help)),
            None => Ok(()),
        }
    }
}

/// Whether a secret may stand in a line, whatever the problem with it is.
fn names_secret(line: &str) -> bool {
    ["password", "secret", "ssl.key.pem", "pseudonym_key", "unsubscribe_key", "token:"]
        .iter()
        .any(|name| line.contains(name))
}

/// The same, told as warnings.
struct Warnings<'a>(&'a Problems);

impl fmt::Display for Warnings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.list.iter().try_for_each(|problem| {
            self.0.write(f, "warning", problem)?;
            writeln!(f)
        })
    }
}

/// For people.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            self.write(f, "error", problem)?;
            writeln!(f)?;
        }
        let count = self.list.len();
        write!(f, "{count} problem{} in {}", if count == 1 { "" } else { "s" }, visible(&self.file))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_rustc() {
        let mut problems = Problems::new("c.yaml", "a: 1\nbb: {c: oops}\n");
        problems.add(At { line: 2, column: 9, width: 4 }, "unknown word `oops`", "did you mean `oo`?");
        let want = "error: unknown word `oops`\n --> c.yaml:2:9\n  |\n2 | bb: {c: oops}\n  |         ^^^^\n  \
                    = help: did you mean `oo`?\n\n1 problem in c.yaml";
        assert_eq!(problems.to_string(), want);
    }

    #[test]
    fn nothing_is_written_that_a_terminal_would_obey() {
        let mut problems = Problems::new("c\u{1b}.yaml", "a: \u{1b}[2J\u{7}x\n");
        problems.add(At { line: 1, column: 4, width: 5 }, "unknown `\u{1b}[2J\n`", "write `\u{7}`");
        let shown = problems.to_string();
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown}");
        assert!(shown.starts_with("error: unknown `\\u{1b}[2J\\u{a}`\n"), "{shown}");
        let json = serde_json::to_value(problems.json()).unwrap();
        assert_eq!(json[0]["message"], "unknown `\u{1b}[2J\n`");
    }

    #[test]
    fn a_secret_is_not_quoted() {
        let mut problems = Problems::new("c.yaml", "key: hunter2\n");
        problems.add_secret(At { line: 1, column: 6, width: 7 }, "inline", "use a file");
        assert!(!problems.to_string().contains("hunter2"));
    }

    #[test]
    fn the_json_form_leaves_out_what_is_unknown() {
        let problems = Problems::whole("c.yaml", "no such file".to_owned(), "");
        let json = serde_json::to_value(problems.json()).unwrap();
        assert_eq!(json[0]["line"], serde_json::Value::Null);
        assert_eq!(json[0]["message"], "no such file");
    }
}
