//! The rules of the house, as tests: floors, crates per floor, sizes, headers, exemptions with a reason.
//!
//! Source is read as tokens, so a path is seen wherever it stands (a `use`, a type, a macro's argument)
//! and a comment or a string never is. What is under `#[cfg(test)]` may use what it likes. Each rule has a
//! test that it catches a planted violation.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Rooms by floor: a room uses lower floors only, never another room of its own.
const FLOORS: [&[&str]; 12] = [
    &["time", "oracle"],
    &["record", "consent"],
    &["policy", "wire"],
    &["transform", "cache", "hold", "quarantine", "renewal", "audit"],
    &["telemetry", "source"],
    &["kafka", "registry"],
    &["sink"],
    &["follower", "pipeline", "steward", "due"],
    &["admin"],
    &["config"],
    &["app", "broker"],
    &["cli"],
];

/// The highest floor that only computes.
const PURE: usize = 3;

/// What a floor that only computes may not name: clients, clocks, logs, threads, the machine.
const IMPURE: [&str; 13] = [
    "tokio",
    "rdkafka",
    "tracing",
    "metrics",
    "axum",
    "reqwest",
    "clap",
    "anyhow",
    "std::env",
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
];

/// Plain values in modules that otherwise touch the world.
const VALUES: [&str; 3] = ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

/// Crates that stay in their rooms.
const KEPT: [(&str, &[&str]); 5] = [
    ("rdkafka", &["kafka", "steward", "broker", "due", "cli"]),
    ("axum", &["admin"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("anyhow", &["cli"]),
];

/// Rooms that nobody but these may use: what is there to disagree must not become a part of what it is held against.
const APART: [(&str, &[&str]); 1] = [("oracle", &["audit"])];

/// Lines of a file before its tests.
const MAX_FILE: usize = 400;
/// Lines of a function.
const MAX_FUNCTION: usize = 60;
/// Lines of the file to read first.
const MAX_LINE: usize = 200;
/// Lines of the README.
const MAX_README: usize = 200;
/// Lines of the file in the middle.
const MAX_MEDIAN: usize = 160;

/// What may stand at the top, besides dotfiles and what a build makes.
const TOP: [&str; 15] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "proto",
    "config",
    "tests",
    "deploy",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "rust-toolchain.toml",
    "clippy.toml",
    "rustfmt.toml",
    "target",
];

/// Lints without which the other rules mean little.
const LINTS: [&str; 9] = [
    "unsafe_code = \"forbid\"",
    "missing_docs = \"warn\"",
    "unwrap_used = \"warn\"",
    "expect_used = \"warn\"",
    "panic = \"warn\"",
    "indexing_slicing = \"warn\"",
    "unreachable = \"warn\"",
    "todo = \"warn\"",
    "allow_attributes_without_reason = \"warn\"",
];

/// A file under `src`, its path from there.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The module's path: `cache/mod.rs` → `cache`; `cache/packed.rs` → `cache`, `packed`.
    fn module(&self) -> Vec<&str> {
        let steps = self.path.trim_end_matches(".rs").split('/');
        steps.filter(|step| !matches!(*step, "mod" | "lib")).collect()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The tokens, without what is under `#[cfg(test)]`.
    fn tokens(&self) -> Vec<TokenTree> {
        let stream: TokenStream = self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path));
        without_tests(stream)
    }

    /// Lines before `#[cfg(test)]` at the foot.
    fn lines(&self) -> usize {
        let mut lines = self.text.lines();
        lines.position(|line| line == "#[cfg(test)]").unwrap_or(self.text.lines().count())
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let root = top().join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.retain(|source| !source.is_test());
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Applies a rule to every source and fails with all that it finds.
fn hold(rule: fn(&Source) -> Vec<String>) {
    let found: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

// ---- tokens ----

fn is_punct(token: Option<&TokenTree>, want: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == want)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// Drops each item that `#[cfg(test)]` stands before: up to its `;` or its braces.
fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = is_punct(tokens.get(at), '#').then(|| tokens.get(at + 1)).flatten();
        if attribute.is_some_and(|token| token.to_string().replace(' ', "") == "[cfg(test)]") {
            at += 2;
            while at < tokens.len() {
                let braces =
                    matches!(&tokens[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                let done = braces || is_punct(tokens.get(at), ';');
                at += 1;
                if done {
                    break;
                }
            }
            continue;
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

/// Every path of two segments or more, `use` trees spread out.
fn paths(tokens: &[TokenTree]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let follows_path =
            at > 0 && is_punct(tokens.get(at - 1), ':') && at > 1 && is_punct(tokens.get(at - 2), ':');
        let follows_dot = at > 0 && is_punct(tokens.get(at - 1), '.');
        match &tokens[at] {
            TokenTree::Ident(_) if !follows_path && !follows_dot => {
                spread(tokens, at, &[], &mut found);
            }
            // A group after `::` is part of a `use` tree and has been spread already.
            TokenTree::Group(group) if !follows_path => {
                found.extend(paths(&without_tests(group.stream())));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path that begins at `at`, after the segments `before`.
fn spread(tokens: &[TokenTree], at: usize, before: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = before.to_vec();
    let mut at = at;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|token| is_punct(Some(token), ',')) {
                    spread(part, 0, &path, found);
                }
                return;
            }
            _ => break,
        }
        if !(is_punct(tokens.get(at + 1), ':') && is_punct(tokens.get(at + 2), ':')) {
            break;
        }
        at += 3;
    }
    if path.len() > 1 {
        found.push(path);
    }
}

/// The room that a path of ours leads to, seen from a module.
fn room(path: &[String], module: &[&str]) -> Option<String> {
    let first = path.first()?.as_str();
    let ups = path.iter().take_while(|step| *step == "super").count();
    match first {
        "crate" => path.get(1).cloned(),
        "super" if ups >= module.len() => path.get(ups).cloned(),
        _ => None,
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

// ---- rules ----

fn floors(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = match module.first() {
        None | Some(&"main") => return Vec::new(),
        Some(own) => *own,
    };
    let Some(own_floor) = floor(own) else {
        return vec![format!("{}: room `{own}` has no floor: give it one in tests/tidy.rs", source.path)];
    };
    let others = paths(&source.tokens()).into_iter().filter_map(|path| room(&path, &module));
    let mut others: Vec<String> = others.filter(|other| other != own).collect();
    others.sort();
    others.dedup();
    let upward = |other: &String| match floor(other) {
        Some(other_floor) => other_floor >= own_floor,
        None => false,
    };
    let complain = |other: &String| format!("{}: floor {own_floor} may not use `{other}`", source.path);
    others.iter().filter(|other| upward(other)).map(complain).collect()
}

fn apart(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = module.first().copied().unwrap_or("lib");
    let paths = paths(&source.tokens());
    let rooms: Vec<String> = paths.iter().filter_map(|path| room(path, &module)).collect();
    let mut found = Vec::new();
    for (kept, users) in APART {
        if own != kept && !users.contains(&own) && rooms.iter().any(|room| room == kept) {
            found.push(format!("{}: `{kept}` is for {} alone", source.path, users.join(", ")));
        }
    }
    found
}

fn crates(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = module.first().copied().unwrap_or("lib");
    let paths = paths(&source.tokens());
    let names = |path: &Vec<String>, name: &str| {
        path.join("::") == name || path.join("::").starts_with(&format!("{name}::"))
    };
    let mut found = Vec::new();
    if floor(own).is_some_and(|floor| floor <= PURE) {
        let value = |path: &Vec<String>| VALUES.iter().any(|value| names(path, value));
        let used = |name: &str| paths.iter().any(|path| names(path, name) && !value(path));
        let impure = IMPURE.iter().filter(|name| used(name));
        found.extend(impure.map(|name| format!("{}: `{name}` on a floor that only computes", source.path)));
    }
    for (name, rooms) in KEPT {
        if !rooms.contains(&own) && paths.iter().any(|path| names(path, name)) {
            found.push(format!("{}: `{name}` is for {} alone", source.path, rooms.join(", ")));
        }
    }
    let imports_config = paths.iter().any(|path| room(path, &module).is_some_and(|room| room == "config"));
    if imports_config && !matches!(own, "config" | "app" | "cli" | "broker") {
        found.push(format!("{}: no room imports `config`: define `Settings` that it fills", source.path));
    }
    found
}

fn sizes(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let most = if source.path == "pipeline/mod.rs" { MAX_LINE } else { MAX_FILE };
    if source.lines() > most {
        found.push(format!("{}: {} lines before its tests, over {most}", source.path, source.lines()));
    }
    let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let mut long = LongFunctions::default();
    long.visit_file(&file);
    let complain =
        |(name, lines)| format!("{}: `{name}` has {lines} lines, over {MAX_FUNCTION}", source.path);
    found.extend(long.0.into_iter().map(complain));
    found
}

#[derive(Default)]
struct LongFunctions(Vec<(String, usize)>);

impl LongFunctions {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        if lines > MAX_FUNCTION {
            self.0.push((signature.ident.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

fn headers(source: &Source) -> Vec<String> {
    let good = source.text.starts_with("//! ");
    if good { Vec::new() } else { vec![format!("{}: begin with a `//!` header", source.path)] }
}

/// No `unsafe`, and no exemption from a lint without its reason.
fn exemptions(source: &Source) -> Vec<String> {
    fn look(tokens: &[TokenTree], path: &str, found: &mut Vec<String>) {
        for (at, token) in tokens.iter().enumerate() {
            if ident(Some(token)).is_some_and(|word| word == "unsafe") {
                found.push(format!("{path}: `unsafe`"));
            }
            let TokenTree::Group(group) = token else { continue };
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            let attribute = is_punct(before, '#') || is_punct(before, '!');
            let exempts =
                ident(inner.first()).is_some_and(|word| matches!(word.as_str(), "allow" | "expect"));
            let bare = exempts && !group.to_string().contains("reason =");
            if attribute && group.delimiter() == Delimiter::Bracket && bare {
                found.push(format!("{path}: `#{group}` without a reason"));
            }
            look(&inner, path, found);
        }
    }
    let stream: TokenStream = source.text.parse().unwrap();
    let mut found = Vec::new();
    look(&stream.into_iter().collect::<Vec<_>>(), &source.path, &mut found);
    found
}

/// The reasons that no row of a table in `readme` names.
fn untold<'a>(readme: &str, reasons: &[&'a str]) -> Vec<&'a str> {
    let told = |reason: &str| {
        readme.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{reason}`")))
    };
    reasons.iter().copied().filter(|reason| !told(reason)).collect()
}

fn strangers<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    names.into_iter().filter(|name| !name.starts_with('.') && !TOP.contains(name)).collect()
}

fn median(mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}

// ---- the house ----

#[test]
fn a_module_uses_only_lower_floors() {
    hold(floors);
}

#[test]
fn the_second_implementation_stays_apart() {
    hold(apart);
    let own = sources().into_iter().filter(|source| source.module().first() == Some(&"oracle"));
    let others = own.flat_map(|source| {
        let module = source.module();
        let used = paths(&source.tokens()).into_iter().filter_map(|path| room(&path, &module));
        used.filter(|room| room != "oracle").collect::<Vec<_>>()
    });
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new(), "the oracle uses nothing of the crate");
}

#[test]
fn crates_stay_in_their_rooms() {
    hold(crates);
}

#[test]
fn files_and_functions_are_small() {
    hold(sizes);
    let middle = median(sources().iter().map(Source::lines).collect());
    assert!(middle <= MAX_MEDIAN, "the median file has {middle} lines, over {MAX_MEDIAN}");
}

#[test]
fn every_file_says_what_it_is_for() {
    hold(headers);
}

#[test]
fn every_exemption_has_its_reason() {
    hold(exemptions);
}

#[test]
fn the_lints_are_on() {
    let manifest = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
    for lint in LINTS {
        assert!(manifest.contains(lint), "Cargo.toml lacks `{lint}`");
    }
}

#[test]
fn the_top_holds_only_what_it_should() {
    let entries = std::fs::read_dir(top()).unwrap();
    let names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(strangers(names.iter().map(String::as_str)), Vec::<&str>::new());
}

#[test]
fn the_readme_is_short_and_explains_every_reason() {
    // Until there is a README there is nothing to hold it to.
    let Ok(readme) = std::fs::read_to_string(top().join("README.md")) else { return };
    assert!(readme.lines().count() <= MAX_README, "README.md is over {MAX_README} lines");
    let reasons: Vec<&str> = consentry::consent::Reason::ALL.iter().map(|reason| reason.word()).collect();
    assert_eq!(untold(&readme, &reasons), Vec::<&str>::new(), "reasons that the README's table lacks");
}

// ---- planted violations ----

fn planted(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn a_planted_look_upward_is_caught() {
    let caught = |path, text| planted(floors, path, text);
    assert_eq!(caught("consent/decide.rs", "use crate::policy::rules::Rules;"), 1);
    assert_eq!(caught("consent/decide.rs", "use crate::{time::Timestamp, policy::{rules, when}};"), 1);
    assert_eq!(caught("consent/decide.rs", "use super::super::cache::Cache;"), 1);
    assert_eq!(caught("consent/mod.rs", "use super::cache::Cache;"), 1);
    assert_eq!(caught("consent/decide.rs", "fn f() { let x = crate::cache::Cache::new(); }"), 1);
    assert_eq!(caught("consent/decide.rs", "fn f() { println!(\"{}\", crate::cache::SIZE); }"), 1);
    assert_eq!(caught("consent/decide.rs", "use crate::record::Record;"), 1, "its own floor");
    assert_eq!(caught("attic/mod.rs", ""), 1, "a room without a floor");
    assert_eq!(caught("oracle/decide.rs", "use crate::consent::Reason;"), 1);
    assert_eq!(caught("oracle/decide.rs", "use crate::time::Timestamp;"), 1, "not even that");
    assert_eq!(caught("consent/decide.rs", "use crate::time::Timestamp; use super::grant::Grant;"), 0);
    assert_eq!(caught("consent/a/b.rs", "use super::super::grant::Grant;"), 0);
    assert_eq!(
        caught("consent/mod.rs", "#[cfg(test)] mod tests { use crate::cache::Cache; } // crate::app::x"),
        0
    );
}

#[test]
fn a_planted_use_of_the_second_implementation_is_caught() {
    let caught = |path, text| planted(apart, path, text);
    assert_eq!(caught("pipeline/judge.rs", "use crate::oracle::judge;"), 1);
    assert_eq!(caught("cli/explain.rs", "fn f() { crate::oracle::time::rfc3339(\"x\"); }"), 1);
    assert_eq!(caught("oracle/lines.rs", "use super::judge; use crate::oracle::time;"), 0);
    assert_eq!(caught("audit/mod.rs", "use crate::oracle;"), 0);
}

#[test]
fn a_planted_crate_is_caught() {
    let caught = |path, text| planted(crates, path, text);
    assert_eq!(caught("wire/json.rs", "use std::{fmt, fs};"), 1);
    assert_eq!(caught("wire/json.rs", "use std::net::{IpAddr, TcpStream};"), 1);
    assert_eq!(caught("wire/json.rs", "use std::net::{IpAddr, Ipv4Addr};"), 0);
    assert_eq!(caught("wire/json.rs", "fn f() { std::thread::yield_now() }"), 1);
    assert_eq!(caught("cache/mod.rs", "fn f() { tracing::info!(\"x\") }"), 1);
    assert_eq!(caught("admin/mod.rs", "use rdkafka::Message;"), 1);
    assert_eq!(caught("pipeline/fetch.rs", "use rdkafka::Message;"), 1);
    assert_eq!(caught("telemetry/mod.rs", "use axum::Router;"), 1);
    assert_eq!(caught("app/mod.rs", "use anyhow::Context;"), 1);
    assert_eq!(caught("pipeline/mod.rs", "use crate::config::Ready;"), 1);
    assert_eq!(caught("kafka/mod.rs", "use rdkafka::Message; use std::net::IpAddr;"), 0);
    assert_eq!(caught("wire/json.rs", "fn f(metrics: u8) -> u8 { metrics } /* tokio::spawn */"), 0);
    assert_eq!(caught("cli/mod.rs", "use crate::config; use clap::Parser; use anyhow::Context;"), 0);
}

#[test]
fn planted_length_is_caught() {
    let lines = |count: usize| "\n".repeat(count);
    assert_eq!(planted(sizes, "wire/json.rs", &lines(401)), 1);
    assert_eq!(planted(sizes, "wire/json.rs", &lines(400)), 0);
    assert_eq!(
        planted(sizes, "wire/json.rs", &format!("//! x\n#[cfg(test)]\nmod tests {{ {} }}", lines(500))),
        0
    );
    assert_eq!(planted(sizes, "pipeline/mod.rs", &lines(201)), 1);
    assert_eq!(planted(sizes, "wire/json.rs", &format!("fn f() {{{}}}", lines(60))), 1);
    assert_eq!(planted(sizes, "wire/json.rs", &format!("impl A {{ fn f() {{{}}} }}", lines(60))), 1);
    assert_eq!(planted(sizes, "wire/json.rs", &format!("fn f() {{{}}}", lines(59))), 0);
    assert_eq!(median(vec![1, 500, 3]), 3);
}

#[test]
fn a_missing_header_or_reason_is_caught() {
    assert_eq!(planted(headers, "wire/json.rs", "use std::fmt;"), 1);
    assert_eq!(planted(headers, "wire/json.rs", "//! JSON.\n"), 0);
    assert_eq!(planted(exemptions, "a.rs", "#[allow(dead_code)] fn f() {}"), 1);
    assert_eq!(planted(exemptions, "a.rs", "#![expect(dead_code)]"), 1);
    assert_eq!(planted(exemptions, "a.rs", "mod m { #[allow(dead_code)] fn f() {} }"), 1);
    assert_eq!(planted(exemptions, "a.rs", "#[allow(dead_code, reason = \"why\")] fn f() {}"), 0);
    assert_eq!(planted(exemptions, "a.rs", "fn f() { unsafe { g() } }"), 1);
    assert_eq!(planted(exemptions, "a.rs", "// unsafe\nfn f() { g(\"unsafe\") }"), 0);
}

#[test]
fn a_stranger_at_the_top_and_an_untold_reason_are_caught() {
    assert_eq!(strangers(["src", "docs", ".github", "scripts"]), ["docs", "scripts"]);
    let readme = "`expired` in prose\n| `permitted` | the person permits it |\n";
    assert_eq!(untold(readme, &["permitted", "expired"]), ["expired"]);
}
