//! "Did you mean …?"

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = word.chars().count().div_ceil(3).max(1);
    let measured = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    measured.filter(|(far, _)| *far <= reach).min().map(|(_, candidate)| candidate)
}

/// A sentence that offers the nearest candidate, or all of them where none is near.
pub(super) fn offer<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    if all.is_empty() { String::new() } else { format!("known: {}", all.join(", ")) }
}

/// Edits (insert, delete, replace) between two words, without regard to case. Levenshtein 1966.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, one) in from.to_lowercase().chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let above = *cell;
            let replaced = diagonal + usize::from(one != *other);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("Abc", "abc"), 0);
    }

    #[test]
    fn offers_what_is_near_and_else_all() {
        assert_eq!(offer("newsleter", ["analytics", "newsletter"]), "did you mean `newsletter`?");
        assert_eq!(offer("zzz", ["analytics", "newsletter"]), "known: `analytics`, `newsletter`");
        assert_eq!(offer("zzz", []), "");
    }
}
