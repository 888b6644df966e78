//! Which records concern a route: a CEL expression over `value`, `headers`, `key` and `topic`.
//!
//! An expression is part of the configuration and trusted; the record is not. So that no record can make
//! one expensive, an expression may walk a list once but not nest walks, a regular expression must be
//! written out, and a walk over a record fails where the members of its largest list, object or set of
//! headers, times its bytes, are over [`MAX_WORK`]. An object with one name twice reads differently to
//! different readers, and is not there for an expression; a value with a number out of range or a string
//! that is no text is not there at all, and an expression over it fails. A failure is no answer: the record
//! is quarantined for that route.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

use crate::record::Record;

/// The most characters of an expression.
const MAX_SOURCE: usize = 4096;
/// The most work a walk may be: what it walks over × bytes of the record.
pub const MAX_WORK: usize = 100_000_000;
const VARIABLES: [&str; 4] = ["value", "headers", "key", "topic"];

/// A compiled expression.
#[derive(Debug)]
pub struct When {
    program: Program,
    walks: bool,
    reads_value: bool,
}

/// Why an expression cannot be used.
#[derive(Debug, Error)]
pub enum WhenError {
    /// It does not parse.
    #[error("not a CEL expression: {0}")]
    Syntax(String),
    /// It is longer than 4,096 characters.
    #[error("an expression has at most 4096 characters")]
    TooLong,
    /// It names something that is not there.
    #[error("unknown variable `{0}`: an expression sees `value`, `headers`, `key` and `topic`")]
    UnknownVariable(String),
    /// It calls something that is not there.
    #[error("unknown function `{0}`: CEL's standard functions can be used")]
    UnknownFunction(String),
    /// A regular expression that does not compile.
    #[error("`{0}` is no regular expression")]
    BadPattern(String),
    /// A walk within a walk.
    #[error(
        "`all`, `exists`, `exists_one`, `map` and `filter` cannot be nested: a record could make it slow"
    )]
    Nested,
    /// A regular expression that is not a literal.
    #[error("the pattern of `matches` must be written out in the expression")]
    OpenPattern,
    /// It reads nothing of the record and is no boolean.
    #[error("it is the same for every record, and neither true nor false")]
    NoBoolean,
    /// It reads nothing of the record and fails.
    #[error("it fails on every record: {0}")]
    Fails(ExecutionError),
}

impl When {
    /// Compiles an expression.
    pub fn compile(source: &str) -> Result<Self, WhenError> {
        if source.chars().count() > MAX_SOURCE {
            return Err(WhenError::TooLong);
        }
        let program = Program::compile(source).map_err(|errors| {
            let text = errors.to_string();
            WhenError::Syntax(text.lines().next().unwrap_or_default().to_owned())
        })?;
        let walks = walk_depth(program.expression())?;
        let mut bound = Vec::new();
        bound_names(program.expression(), &mut bound);
        let references = program.references();
        let known = |name: &str| VARIABLES.contains(&name) || bound.iter().any(|own| own == name);
        if let Some(name) = references.variables().into_iter().find(|name| !known(name)) {
            return Err(WhenError::UnknownVariable(name.to_owned()));
        }
        if let Some(name) = references.functions().into_iter().find(|name| !is_function(name)) {
            return Err(WhenError::UnknownFunction(name.to_owned()));
        }
        let reads_value = references.variables().contains(&"value");
        let reads_nothing = !VARIABLES.iter().any(|name| references.variables().contains(name));
        drop(references);
        if reads_nothing {
            match program.execute(&standard()) {
                Ok(Value::Bool(_)) => {}
                Ok(_) => return Err(WhenError::NoBoolean),
                Err(error) => return Err(WhenError::Fails(error)),
            }
        }
        Ok(Self { program, walks: walks > 0, reads_value })
    }

    /// Whether the record concerns the route; `None`: the expression failed or is no boolean.
    pub fn holds(&self, seen: &Seen) -> Option<bool> {
        if (self.walks && seen.work > MAX_WORK) || (self.reads_value && seen.unreadable) {
            return None;
        }
        let mut context = standard();
        for (name, value) in VARIABLES.iter().zip([&seen.value, &seen.headers, &seen.key, &seen.topic]) {
            context.add_variable_from_value(*name, value.clone());
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Some(holds),
            Ok(_) | Err(_) => None,
        }
    }
}

/// CEL's standard functions, and no variable.
fn standard() -> Context<'static, 'static> {
    static STANDARD: OnceLock<Arc<Env>> = OnceLock::new();
    Context::with_env(Arc::clone(STANDARD.get_or_init(|| Arc::new(Env::stdlib()))))
}

/// Whether a function of this name can be called, with whatever arguments. Operators have names that no
/// identifier has.
fn is_function(name: &str) -> bool {
    let word = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = word && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let call = |source: String| Program::compile(&source).map(|program| program.execute(&standard()));
    let is_there = |source| !matches!(call(source), Ok(Err(ExecutionError::UndeclaredReference(_))));
    !plain || is_there(format!("{name}()")) || is_there(format!("''.{name}('')"))
}

/// Whether a literal is a regular expression that compiles.
fn is_pattern(literal: &LiteralValue) -> bool {
    let LiteralValue::String(pattern) = literal else { return false };
    let mut context = standard();
    context.add_variable_from_value("pattern", pattern.inner().to_owned());
    let program = Program::compile("''.matches(pattern)");
    matches!(program.map(|program| program.execute(&context)), Ok(Ok(_)))
}

/// A record as expressions see it.
#[derive(Debug)]
pub struct Seen {
    value: Value,
    headers: Value,
    key: Value,
    topic: Value,
    work: usize,
    /// An expression that reads the value fails.
    unreadable: bool,
}

impl Seen {
    /// Shows a record whose value is this JSON text, or null for a deletion. Of a header that is there
    /// several times the last one counts; what is not UTF-8 is bytes.
    pub fn new(record: &Record<'_>, text: Option<&str>) -> Self {
        let longest = Cell::new(record.headers.len());
        let parse = |text| Json(&longest).deserialize(&mut serde_json::Deserializer::from_str(text));
        let parsed = text.map(|text| parse(text).ok().flatten());
        let unreadable = matches!(parsed, Some(None));
        let value = parsed.flatten().unwrap_or(Value::Null);
        let bytes = |bytes: Option<&[u8]>| match bytes.map(std::str::from_utf8) {
            None => Value::Null,
            Some(Ok(text)) => Value::from(text),
            Some(Err(_)) => Value::Bytes(Arc::new(bytes.unwrap_or_default().to_vec())),
        };
        let headers: HashMap<Key, Value> =
            record.headers.iter().map(|(name, value)| (Key::from(*name), bytes(*value))).collect();
        Self {
            value,
            headers: Value::from(headers),
            key: bytes(record.key),
            topic: Value::from(record.topic),
            work: longest.get().saturating_mul(record.size()),
            unreadable,
        }
    }
}

/// How deep walks are nested: 0 or 1.
fn walk_depth(expression: &IdedExpr) -> Result<u8, WhenError> {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| {
        let depths: Result<Vec<_>, _> = parts.map(walk_depth).collect();
        Ok(depths?.into_iter().max().unwrap_or(0))
    };
    match &expression.expr {
        Expr::Comprehension(walk) => {
            let within = [&walk.accu_init, &walk.loop_cond, &walk.loop_step, &walk.result];
            if deepest(&mut within.into_iter())? > 0 {
                return Err(WhenError::Nested);
            }
            Ok(walk_depth(&walk.iter_range)?.max(1))
        }
        Expr::Call(call) => {
            let pattern = call.args.last().map(|pattern| &pattern.expr);
            match pattern {
                _ if call.func_name != "matches" => {}
                Some(Expr::Literal(literal)) if is_pattern(literal) => {}
                Some(Expr::Literal(literal)) => return Err(WhenError::BadPattern(format!("{literal:?}"))),
                Some(_) | None => return Err(WhenError::OpenPattern),
            }
            deepest(&mut call.target.iter().map(|target| &**target).chain(&call.args))
        }
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Select(select) => walk_depth(&select.operand),
        Expr::Map(map) => deepest(&mut entries(&map.entries).into_iter()),
        Expr::Struct(made) => deepest(&mut entries(&made.entries).into_iter()),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(0),
    }
}

fn entries(all: &[cel::common::ast::IdedEntryExpr]) -> Vec<&IdedExpr> {
    use cel::common::ast::EntryExpr;
    all.iter()
        .flat_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        })
        .collect()
}

/// The names that walks bind.
fn bound_names(expression: &IdedExpr, names: &mut Vec<String>) {
    match &expression.expr {
        Expr::Comprehension(walk) => {
            names.extend([walk.iter_var.clone(), walk.accu_var.clone()]);
            names.extend(walk.iter_var2.clone());
            for part in [&walk.iter_range, &walk.accu_init, &walk.loop_cond, &walk.loop_step, &walk.result] {
                bound_names(part, names);
            }
        }
        Expr::Call(call) => {
            for part in call.target.iter().map(|target| &**target).chain(&call.args) {
                bound_names(part, names);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|part| bound_names(part, names)),
        Expr::Select(select) => bound_names(&select.operand, names),
        Expr::Map(map) => entries(&map.entries).into_iter().for_each(|part| bound_names(part, names)),
        Expr::Struct(made) => entries(&made.entries).into_iter().for_each(|part| bound_names(part, names)),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// JSON as a CEL value: integers stay integers. `None` for an object with one name twice: its parent does
/// without it. Notes how many members the largest list or object has.
#[derive(Clone, Copy)]
struct Json<'n>(&'n Cell<usize>);

impl Json<'_> {
    fn note(self, members: usize) {
        self.0.set(self.0.get().max(members));
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<Value>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(Some(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Option<Value>, E> {
        Ok(Some(Value::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Int(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Option<Value>, E> {
        Ok(Some(i64::try_from(value).map_or(Value::UInt(value), Value::Int)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Float(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Option<Value>, E> {
        Ok(Some(Value::from(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Option<Value>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = all.next_element_seed(self)? {
            list.push(value.unwrap_or(Value::Null));
        }
        self.note(list.len());
        Ok(Some(Value::List(Arc::new(list))))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Option<Value>, A::Error> {
        let (mut map, mut names) = (HashMap::<Key, Value>::new(), HashSet::new());
        let mut unique = true;
        while let Some(name) = all.next_key::<String>()? {
            let value = all.next_value_seed(self)?;
            unique &= names.insert(name.clone());
            map.extend(value.map(|value| (Key::from(name), value)));
        }
        self.note(names.len());
        Ok(unique.then(|| Value::from(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(source: &str, value: &str) -> Option<bool> {
        let headers = smallvec::smallvec![("type", Some(&b"x"[..]))];
        let value = Some(value);
        let bytes = value.map(str::as_bytes);
        let record = Record { key: Some(b"k"), value: bytes, topic: "shop", headers, ..Record::default() };
        When::compile(source).unwrap().holds(&Seen::new(&record, value))
    }

    #[test]
    fn sees_value_headers_key_and_topic() {
        assert_eq!(ask("value.type != 'heartbeat'", r#"{"type":"order"}"#), Some(true));
        assert_eq!(ask("value.n > 3 && value.f < 2.5", r#"{"n":4,"f":2.25}"#), Some(true));
        assert_eq!(ask("headers.type == 'x' && key == 'k' && topic == 'shop'", "{}"), Some(true));
        assert_eq!(ask("has(value.a) && value.a.exists(x, x == 2)", r#"{"a":[1,2]}"#), Some(true));
    }

    #[test]
    fn what_fails_or_is_no_boolean_is_no_answer() {
        assert_eq!(ask("value.missing == 1", "{}"), None);
        assert_eq!(ask("value.n", r#"{"n":1}"#), None);
        assert_eq!(ask("value.a == 1", r#"{"a":1,"n":1e999}"#), None);
        assert_eq!(ask("topic == 'shop'", r#"{"a":1,"n":1e999}"#), Some(true));
        assert_eq!(ask("value.m.t == 'ok'", r#"{"m":{"t":"no","t":"ok"}}"#), None, "readers disagree");
        assert_eq!(
            ask("value.t == 'ok'", r#"{"m":{"t":1,"t":2},"t":"ok"}"#),
            Some(true),
            "it is not looked at"
        );
        assert_eq!(ask("value.t == 'ok'", r#"{"t":"no","t":"ok"}"#), None);
        assert_eq!(ask("value.n + 'x' == 'x'", r#"{"n":1}"#), None);
    }

    #[test]
    fn what_reads_nothing_of_a_record_is_tried_at_once() {
        for fine in ["true", "false", "1 + 1 == 2", "[1, 2].exists(x, x == 2)", "'abc'.matches('^a')"] {
            assert!(When::compile(fine).is_ok(), "{fine}");
        }
        for no_boolean in ["1 + 1", "'yes'", "null", "[true]"] {
            assert!(matches!(When::compile(no_boolean), Err(WhenError::NoBoolean)), "{no_boolean}");
        }
        for fails in ["1 / 0 == 1", "[1][3] == 1", "'a' + 1 == 'a1'"] {
            assert!(matches!(When::compile(fails), Err(WhenError::Fails(_))), "{fails}");
        }
    }

    #[test]
    fn refuses_what_a_record_could_make_slow() {
        let refused = |source: &str| When::compile(source).unwrap_err().to_string();
        assert!(refused("value.a.all(x, value.b.exists(y, y == x))").contains("nested"));
        assert!(refused("value.a.matches(value.b)").contains("written out"));
        assert!(refused("user.id == 1").contains("unknown variable `user`"));
        assert!(refused("value.a ==").contains("not a CEL expression"));
        assert!(refused("foo(value)").contains("unknown function `foo`"));
        assert!(refused("value.a.startWith('x')").contains("unknown function `startWith`"));
        assert!(refused("value.a.matches('(')").contains("no regular expression"));
        for fine in [
            "value.a.startsWith('x') && value.a.endsWith('x') && value.a.contains('x')",
            "size(value.a) > 0 && value.a.size() > 0 && value.a.matches('^a+$')",
            "string(value.n) == '1' && int(value.s) == 1 && double(value.s) > 0.5 && has(value.n)",
            "value.n in [1, 2] && !(value.n == 3) && (value.n > 1 ? true : false) && -value.n < 0",
        ] {
            assert!(When::compile(fine).is_ok(), "{fine}: {:?}", When::compile(fine).err());
        }
        assert!(refused(&"1+".repeat(3000)).contains("4096"));
        let big = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(30_000));
        assert_eq!(ask("value.a.all(x, x == 1)", &big), None, "too much work");
        assert_eq!(ask("value.a[0] == 1", &big), Some(true), "no walk");
        let text = format!(r#"{{"a":[1,2],"s":"{}"}}"#, ",".repeat(200_000));
        assert_eq!(ask("value.a.exists(x, x == 2)", &text), Some(true), "commas in a text are no members");
    }
}
