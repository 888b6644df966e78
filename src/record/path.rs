//! JSON Pointers (RFC 6901), in which a segment `*` stands for every element of an array or member of an
//! object.

use thiserror::Error;

/// No value is nested more deeply, whatever `max_depth` says; each segment takes stack.
const MAX_SEGMENTS: usize = 127;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A member's name, or an element's index.
    Name(String),
    /// Every member or element.
    Every,
}

/// Where in a value something stands. The empty path is the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

/// Why a pointer cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("a JSON Pointer begins with `/`: write `/{0}`")]
    NoSlash(String),
    /// It goes deeper than any value may.
    #[error("a path has at most {MAX_SEGMENTS} segments")]
    TooLong,
    /// A tilde that escapes nothing.
    #[error("`~` must be written `~0`, and `/` within a name `~1`")]
    BadEscape,
}

impl Path {
    /// Reads a pointer as written.
    pub fn parse(pointer: &str) -> Result<Self, PathError> {
        if pointer.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = pointer.strip_prefix('/') else {
            return Err(PathError::NoSlash(pointer.to_owned()));
        };
        if rest.split('/').count() > MAX_SEGMENTS {
            return Err(PathError::TooLong);
        }
        rest.split('/').map(segment).collect::<Result<_, _>>().map(Self)
    }

    /// The steps, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// What `below` stands for in every element of the array at this path.
    pub fn each(&self, below: &Self) -> Result<Self, PathError> {
        let segments: Vec<_> = self.0.iter().chain([&Segment::Every]).chain(&below.0).cloned().collect();
        if segments.len() > MAX_SEGMENTS { Err(PathError::TooLong) } else { Ok(Self(segments)) }
    }

    /// Whether something may stand at one of the two and at or under the other.
    pub fn meets(&self, other: &Self) -> bool {
        let same = |(one, other): (&Segment, &Segment)| {
            one == other || *one == Segment::Every || *other == Segment::Every
        };
        self.0.iter().zip(&other.0).all(same)
    }

    /// Whether it may stand for several places.
    pub fn has_every(&self) -> bool {
        self.0.contains(&Segment::Every)
    }
}

fn segment(text: &str) -> Result<Segment, PathError> {
    if text == "*" {
        return Ok(Segment::Every);
    }
    let bad = text.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    if bad {
        return Err(PathError::BadEscape);
    }
    Ok(Segment::Name(text.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_escapes_and_stars() {
        let path = Path::parse("/a~1b/*/~01//0").unwrap();
        let name = |text: &str| Segment::Name(text.to_owned());
        assert_eq!(path.segments(), [name("a/b"), Segment::Every, name("~1"), name(""), name("0")]);
        assert!(path.has_every());
        assert!(Path::parse("").unwrap().segments().is_empty());
    }

    #[test]
    fn says_how_to_write_it() {
        assert_eq!(Path::parse("user/id"), Err(PathError::NoSlash("user/id".to_owned())));
        assert_eq!(Path::parse("/a~2"), Err(PathError::BadEscape));
        assert_eq!(Path::parse("/a~"), Err(PathError::BadEscape));
        assert!(Path::parse(&"/a".repeat(127)).is_ok());
        assert_eq!(Path::parse(&"/a".repeat(128)), Err(PathError::TooLong));
    }

    #[test]
    fn goes_on_in_each_element() {
        let path = |text: &str| Path::parse(text).unwrap();
        assert_eq!(path("/people").each(&path("/user/id")), Ok(path("/people/*/user/id")));
        assert_eq!(path("").each(&path("")), Ok(path("/*")));
        assert!(path(&"/a".repeat(63)).each(&path(&"/a".repeat(63))).is_ok());
        assert_eq!(path(&"/a".repeat(63)).each(&path(&"/a".repeat(64))), Err(PathError::TooLong));
    }

    #[test]
    fn two_paths_meet_where_one_leads_through_the_other() {
        let meet = |one: &str, other: &str| {
            let (one, other) = (Path::parse(one).unwrap(), Path::parse(other).unwrap());
            assert_eq!(one.meets(&other), other.meets(&one));
            one.meets(&other)
        };
        for (one, other) in [("/a", "/a"), ("/a", "/a/b/c"), ("", "/a"), ("/*/b", "/a"), ("/*/b", "/a/*/c")] {
            assert!(meet(one, other), "{one} {other}");
        }
        for (one, other) in [("/a", "/b"), ("/a/b", "/a/c/d"), ("/*/b", "/a/c"), ("/a", "/aa")] {
            assert!(!meet(one, other), "{one} {other}");
        }
    }
}
