//! What a name may look like.

use super::super::problem::Problems;
use super::super::spot::Spot;

/// The longest name of ours that becomes part of a Kafka name.
const MAX_NAME: usize = 200;

/// The longest topic name (`org.apache.kafka.common.internals.Topic`).
pub(super) const MAX_TOPIC: usize = 249;

/// The longest group name we accept.
const MAX_GROUP: usize = 255;

/// What is wrong with an instance's, a pipeline's or a route's name, which become part of group names,
/// transactional ids and metric labels.
pub(super) fn plain(name: &str) -> Option<String> {
    fault(name, MAX_NAME)
}

/// Checks a topic's name.
pub(super) fn topic(name: &str, spot: Spot<'_>, problems: &mut Problems) {
    let fault = match name {
        "." | ".." => Some(format!("may not be `{name}`")),
        _ => fault(name, MAX_TOPIC),
    };
    if let Some(fault) = fault {
        let help = "Kafka's topics are named by letters, digits, `.`, `_` and `-`; patterns are not read";
        problems.add(spot.at(), format!("a topic's name {fault}"), help);
    }
}

/// Checks a consumer group's name, which Kafka hardly restricts.
pub(super) fn group(name: &str, spot: Spot<'_>, problems: &mut Problems) {
    let odd = name.chars().any(|letter| letter.is_whitespace() || letter.is_control());
    if name.is_empty() || name.len() > MAX_GROUP || odd {
        let help = format!("take 1 to {MAX_GROUP} characters without white space");
        problems.add(spot.at(), "this is no name for a consumer group", help);
    }
}

/// Checks a word that is compared with words of the consent record: never empty, never the wildcard.
pub(super) fn word(word: &str, what: &str, spot: Spot<'_>, problems: &mut Problems) {
    let fault = if word.trim().is_empty() {
        "may not be empty"
    } else if word == "*" {
        "may not be `*`, which stands for any of them in a consent record"
    } else if word.trim() != word {
        "may not begin or end with white space"
    } else if word.chars().any(char::is_control) {
        "may not hold control characters"
    } else {
        return;
    };
    problems.add(spot.at(), format!("a {what} {fault}"), format!("name one {what}"));
}

/// Complains about a name that an earlier sibling has.
pub(super) fn unique<'a>(
    named: impl IntoIterator<Item = (&'a str, Spot<'a>)>,
    what: &str,
    problems: &mut Problems,
) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for (name, spot) in named {
        match seen.iter().find(|(other, _)| *other == name) {
            Some((_, line)) => {
                let help = format!("it is on line {line} already; give it another name or take it out");
                problems.add(spot.at(), format!("duplicate {what} `{name}`"), help);
            }
            None => seen.push((name, spot.at().line)),
        }
    }
}

fn fault(name: &str, most: usize) -> Option<String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        Some("may not be empty".to_owned())
    } else if name.len() > most {
        Some(format!("may have {most} characters at most"))
    } else {
        let odd = name.chars().find(|letter| !legal(*letter))?;
        Some(format!("may hold letters, digits, `.`, `_` and `-` only, not `{}`", odd.escape_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_what_kafka_takes() {
        assert_eq!(plain("gate-1.eu_west"), None);
        assert!(plain("").is_some());
        assert!(plain("a b").is_some());
        assert!(plain("é").is_some());
        assert!(plain(&"a".repeat(201)).is_some());
    }
}
