//! Who a record is about: `type:value`, in one form however it is written.

use std::borrow::Cow;

/// A subject's value in an event is at most this long after trimming, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 512;

/// The one form of a value: trimmed of Unicode white space, and lower-cased for `email`.
pub fn normalize<'a>(kind: &str, value: &'a str) -> Cow<'a, str> {
    let value = value.trim();
    let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if kind != "email" || value.bytes().all(plain) {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(value.to_lowercase())
    }
}

/// Splits a consent message's key into type and raw value. `None` where nobody can say whom it protects:
/// not UTF-8, no colon, or nothing before or after it.
pub fn split_key(key: &[u8]) -> Option<(&str, &str)> {
    let (kind, value) = std::str::from_utf8(key).ok()?.split_once(':')?;
    (!kind.trim().is_empty() && !value.trim().is_empty()).then_some((kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_the_case_of_email_do_not_matter() {
        assert_eq!(normalize("user_id", " \u{2003}U-17\t"), "U-17");
        assert_eq!(normalize("email", " Ann@Example.ORG"), "ann@example.org");
        assert_eq!(normalize("email", "ÄNN@example.org"), "änn@example.org");
        assert!(matches!(normalize("email", "ann@example.org"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_key_without_a_readable_subject_has_none() {
        assert_eq!(split_key(b"user_id:u-17"), Some(("user_id", "u-17")));
        assert_eq!(split_key(b"urn:a:b"), Some(("urn", "a:b")));
        for bad in [&b""[..], b"user_id", b":u-17", b"user_id:", b"user_id: ", b"user_id:\xff"] {
            assert_eq!(split_key(bad), None);
        }
    }
}
