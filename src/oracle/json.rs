//! JSON as it was written.
//!
//! `serde_json::Value` forgets what the decision asks about: two equal names in one object, the source
//! text of a number, how deep a value nests before a parser gives up. So the oracle reads JSON by the
//! grammar of RFC 8259, letter by letter, and keeps the text of every scalar. It never repairs anything.

use serde_json::Value;

/// One JSON value with the source text of its scalars and names.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The source text of the number.
    Number(String),
    /// The source with its quotes, and the characters it stands for.
    Text(String, String),
    /// In order.
    Array(Vec<Node>),
    /// In the order written, equal names included.
    Object(Vec<Member>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub source: String,
    pub name: String,
    pub node: Node,
}

/// The whole text as one value; `None` where it is not exactly that.
pub fn parse(text: &str) -> Option<Node> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value()?;
    reader.space();
    (reader.at == text.len()).then_some(node)
}

/// Whether two values are the same but for white space and for how their strings are escaped.
pub fn same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Text(_, one), Node::Text(_, other)) => one == other,
        (Node::Array(one), Node::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Node::Object(one), Node::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.name == other.name && same(&one.node, &other.node))
        }
        (one, other) => one == other,
    }
}

/// A string as a value, written the way any JSON writer writes it.
pub fn text(chars: &str) -> Node {
    // A string can always be written.
    Node::Text(serde_json::to_string(chars).unwrap_or_default(), chars.to_owned())
}

impl Node {
    /// Levels of nesting; the outermost array or object is level 1.
    pub fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|m| m.node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Two equal names, after unescaping, in this very object.
    pub fn repeats_a_name(&self) -> bool {
        let Self::Object(members) = self else { return false };
        members.iter().enumerate().any(|(i, m)| members.iter().take(i).any(|earlier| earlier.name == m.name))
    }

    /// Two equal names in this object or any below.
    pub fn repeats_a_name_anywhere(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().any(Self::repeats_a_name_anywhere),
            Self::Object(members) => {
                self.repeats_a_name() || members.iter().any(|m| m.node.repeats_a_name_anywhere())
            }
            _ => false,
        }
    }

    /// The first member of this name.
    pub fn member(&self, name: &str) -> Option<&Node> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|m| m.name == name).map(|m| &m.node)
    }

    /// What one segment of a JSON Pointer (RFC 6901) leads to.
    pub fn step(&self, segment: &str) -> Option<&Node> {
        match self {
            Self::Object(_) => self.member(segment),
            Self::Array(items) => {
                items.iter().enumerate().find(|(i, _)| i.to_string() == segment).map(|(_, n)| n)
            }
            _ => None,
        }
    }

    /// What a whole JSON Pointer leads to.
    pub fn find(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(self, |node, segment| node.step(segment))
    }

    /// The source without the white space between its parts.
    pub fn compact(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(yes) => yes.to_string(),
            Self::Number(source) | Self::Text(source, _) => source.clone(),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let members: Vec<String> =
                    members.iter().map(|m| format!("{}:{}", m.source, m.node.compact())).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    /// As `serde_json` would have read it; of equal names the last one stays. `None` where a number is out of its
    /// range.
    pub fn to_value(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(yes) => Value::Bool(*yes),
            Self::Number(source) => serde_json::from_str(source).ok()?,
            Self::Text(_, chars) => Value::String(chars.clone()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect::<Option<_>>()?),
            Self::Object(members) => {
                let member = |m: &Member| Some((m.name.clone(), m.node.to_value()?));
                Value::Object(members.iter().map(member).collect::<Option<_>>()?)
            }
        })
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self) -> Option<Node> {
        self.space();
        match self.peek()? {
            b'n' => self.take("null").map(|()| Node::Null),
            b't' => self.take("true").map(|()| Node::Bool(true)),
            b'f' => self.take("false").map(|()| Node::Bool(false)),
            b'"' => self.string().map(|(source, chars)| Node::Text(source, chars)),
            b'[' => self.array(),
            b'{' => self.object(),
            _ => self.number(),
        }
    }

    fn array(&mut self) -> Option<Node> {
        self.take("[")?;
        let mut items = Vec::new();
        self.space();
        if self.take("]").is_some() {
            return Some(Node::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            if self.take("]").is_some() {
                return Some(Node::Array(items));
            }
            self.take(",")?;
        }
    }

    fn object(&mut self) -> Option<Node> {
        self.take("{")?;
        let mut members = Vec::new();
        self.space();
        if self.take("}").is_some() {
            return Some(Node::Object(members));
        }
        loop {
            self.space();
            let (source, name) = self.string()?;
            self.space();
            self.take(":")?;
            let node = self.value()?;
            members.push(Member { source, name, node });
            self.space();
            if self.take("}").is_some() {
                return Some(Node::Object(members));
            }
            self.take(",")?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Node> {
        let start = self.at;
        let _ = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            self.digits()?;
        }
        Some(Node::Number(self.text.get(start..self.at)?.to_owned()))
    }

    fn string(&mut self) -> Option<(String, String)> {
        let start = self.at;
        self.take("\"")?;
        let mut chars = String::new();
        loop {
            let next = self.text.get(self.at..)?.chars().next()?;
            self.at += next.len_utf8();
            match next {
                '"' => return Some((self.text.get(start..self.at)?.to_owned(), chars)),
                '\\' => chars.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                _ => chars.push(next),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return char::from_u32(high);
                }
                self.take("\\u")?;
                let low = self.hex4()?;
                let low = (0xdc00..0xe000).contains(&low).then(|| low - 0xdc00)?;
                return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low);
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
