//! What of a file a terminal is shown: a part of one line, and nothing that the terminal would obey.
//!
//! A file may come from somebody else. Control characters in it (and those that turn the direction of
//! reading) are written as escapes, so that what is seen is what is there; a line of any length takes no
//! more than a line of the screen.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// The most columns of a line that are shown.
const WINDOW: usize = 100;
/// Of these, before the place that is marked.
const BEFORE: usize = 40;

/// The text with each control character written as an escape, such as `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(shown).collect())
}

/// Whether a terminal would do something other than show the character.
fn is_obeyed(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(letter: char) -> String {
    if is_obeyed(letter) { letter.escape_unicode().to_string() } else { letter.to_string() }
}

/// The part of a line around a place, and what stands under it: `column` (from 1) and `width` in
/// characters.
pub(super) fn snippet(line: &str, column: usize, width: usize) -> (String, String) {
    let line = line.trim_end().replace('\t', " ");
    let pieces: Vec<(String, usize)> = line.chars().map(piece).collect();
    let first = column.saturating_sub(1).min(pieces.len());
    let (before, rest) = pieces.split_at_checked(first).unwrap_or_default();
    let all: usize = pieces.iter().map(|(_, columns)| columns).sum();
    let whole = all <= WINDOW;
    let cut = if whole { 0 } else { before.len() - fitting(before.iter().rev(), BEFORE) };
    let before = before.get(cut..).unwrap_or_default();
    let room = WINDOW - BEFORE;
    let kept = if whole { rest.len() } else { fitting(rest.iter(), room) };
    let after = rest.get(..kept).unwrap_or_default();
    let (head, tail) = (if cut > 0 { "…" } else { "" }, if kept < rest.len() { "…" } else { "" });
    let text = |pieces: &[(String, usize)]| pieces.iter().map(|(text, _)| text.as_str()).collect::<String>();
    let columns = |pieces: &[(String, usize)]| pieces.iter().map(|(_, columns)| columns).sum::<usize>();
    let marked = after.get(..width.min(after.len())).unwrap_or_default();
    let indent = head.chars().count() + columns(before);
    let carets = format!("{:indent$}{}", "", "^".repeat(columns(marked).max(1)));
    (format!("{head}{}{}{tail}", text(before), text(after)), carets)
}

/// How a character is shown, and how many columns that takes.
fn piece(letter: char) -> (String, usize) {
    let shown = shown(letter);
    let columns = shown.chars().filter_map(UnicodeWidthChar::width).sum();
    (shown, columns)
}

/// How many of the pieces fit into so many columns.
fn fitting<'a>(pieces: impl Iterator<Item = &'a (String, usize)>, room: usize) -> usize {
    let mut used = 0;
    pieces
        .take_while(|(_, columns)| {
            used += columns;
            used <= room
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(visible("a\u{1b}[2J\u{7}b\r\u{202e}é"), "a\\u{1b}[2J\\u{7}b\\u{d}\\u{202e}é");
        assert!(matches!(visible("plain – é"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_short_line_is_shown_whole() {
        assert_eq!(snippet("a:\tbad", 4, 3), ("a: bad".to_owned(), "   ^^^".to_owned()));
        assert_eq!(snippet("a:", 9, 3), ("a:".to_owned(), "  ^".to_owned()), "past its end");
        assert_eq!(snippet("a: \u{1b}x bad", 7, 3).1, format!("{}^^^", " ".repeat(11)), "an escape is wider");
        assert_eq!(snippet("種類: bad", 5, 3).1, "      ^^^", "two columns each");
    }

    #[test]
    fn a_long_line_is_cut_to_what_is_around_the_place() {
        let line = format!("{}bad{}", "x".repeat(500), "y".repeat(500));
        let (text, carets) = snippet(&line, 501, 3);
        assert_eq!(text, format!("…{}bad{}…", "x".repeat(40), "y".repeat(57)));
        assert_eq!(carets, format!("{}^^^", " ".repeat(41)));
        let (text, carets) = snippet(&line, 1, 1000);
        assert_eq!((text.chars().count(), carets.chars().count()), (61, 60));
        let (text, _) = snippet(&line, 1003, 1);
        assert!(text.starts_with("…y") && text.ends_with('y'), "{text}");
    }
}
