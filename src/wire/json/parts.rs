//! The parts of a container whose text has been checked before.
//!
//! `None` from any step: it is another kind of value, or whoever looked at a part wants no more.

use std::borrow::Cow;

use super::cursor::Cursor;

/// Gives the name and the text of each member of an object.
pub fn members<'v>(object: &'v str, mut each: impl FnMut(Cow<'v, str>, &'v str) -> Option<()>) -> Option<()> {
    parts(object, b'{', b'}', |cursor| {
        let name = cursor.name()?;
        let value = value(cursor)?;
        each(name, value)
    })
}

/// Gives the text of each element of an array.
pub fn elements<'v>(array: &'v str, mut each: impl FnMut(&'v str) -> Option<()>) -> Option<()> {
    parts(array, b'[', b']', |cursor| {
        let value = value(cursor)?;
        each(value)
    })
}

fn parts<'v>(
    container: &'v str,
    open: u8,
    close: u8,
    mut each: impl FnMut(&mut Cursor<'v>) -> Option<()>,
) -> Option<()> {
    let mut cursor = Cursor::new(container);
    if cursor.peek()? != open {
        return None;
    }
    let mut more = cursor.open(close)?;
    while more {
        each(&mut cursor)?;
        more = cursor.goes_on(close)?;
    }
    cursor.end()
}

fn value<'v>(cursor: &mut Cursor<'v>) -> Option<&'v str> {
    cursor.peek()?;
    let begun = cursor.at();
    cursor.pass()?;
    Some(cursor.since(begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_given_as_it_is_written() {
        let mut seen = Vec::new();
        let read = members(r#"{ "a" : [1, 2] ,"\u0062":"x"}"#, |name, value| {
            seen.push((name.into_owned(), value));
            Some(())
        });
        assert_eq!((read, seen), (Some(()), vec![("a".to_owned(), "[1, 2]"), ("b".to_owned(), "\"x\"")]));
        let mut seen = Vec::new();
        let read = elements(r#"[ {"a":1} , 2]"#, |value| {
            seen.push(value);
            Some(())
        });
        assert_eq!((read, seen), (Some(()), vec![r#"{"a":1}"#, "2"]));
        assert_eq!((members("{}", |_, _| None), elements("[]", |_| None)), (Some(()), Some(())));
    }

    #[test]
    fn another_kind_of_value_has_no_parts() {
        for other in ["[]", "\"{}\"", "1", "null", ""] {
            assert_eq!(members(other, |_, _| Some(())), None, "{other}");
        }
        assert_eq!(elements("{}", |_| Some(())), None);
        assert_eq!(elements("[1]", |_| None), None, "nobody wants more");
    }
}
