//! Privacy strings and what a policy maps them to: mostly strings that say yes, some that say no, some that are
//! damaged in a letter or two.

use super::dice::{Dice, PURPOSES};
use crate::oracle::time::Millis;
use serde_json::{Map, Value, json};

const VENDORS: [u64; 3] = [7, 123, 755];
const RECIPIENTS: [&str; 5] =
    ["first_party", "processor:*", "third_party:*", "third_party:adco", "processor:mail"];
/// Name, number, the first six bits, fields before the opt-outs, whether it has an opt-out from sharing, and from
/// targeted advertising, and fields behind them.
const SECTIONS: [(&str, usize, usize, usize, bool, bool, usize); 7] = [
    ("usnat", 7, 1, 6, true, true, 18),
    ("usnat", 7, 2, 6, true, true, 23),
    ("usca", 8, 1, 3, true, false, 15),
    ("usva", 9, 1, 3, false, true, 12),
    ("usia", 18, 1, 4, false, true, 12),
    ("usmd", 24, 1, 5, false, true, 1),
    ("usri", 27, 1, 5, false, true, 2),
];

/// `policy.signals`.
pub fn mapping(dice: &mut Dice) -> Value {
    let mut mapping = json!({});
    if dice.often(70) {
        mapping["tcf"] = tcf(dice);
    }
    if dice.often(70) || mapping.get("tcf").is_none() {
        let mut sections = Map::new();
        if dice.often(40) {
            sections.insert("tcfeuv2".to_owned(), tcf(dice));
        }
        for (name, _, _, _, sharing, advertising, _) in SECTIONS {
            if sections.is_empty() || dice.often(30) {
                sections.insert(name.to_owned(), section(dice, sharing, advertising));
            }
        }
        mapping["gpp"] = sections.into();
    }
    mapping
}

fn tcf(dice: &mut Dice) -> Value {
    let mut purposes = Map::new();
    for purpose in PURPOSES {
        if purposes.is_empty() || dice.often(50) {
            let numbers: Vec<usize> = (0..=dice.below(2)).map(|_| 1 + dice.below(11)).collect();
            purposes.insert(purpose.to_owned(), json!(numbers));
        }
    }
    let mut rule = json!({"vendor": dice.pick(&VENDORS), "purposes": purposes});
    if dice.often(50) {
        rule["recipient"] = dice.pick(&RECIPIENTS).into();
    }
    if dice.often(85) {
        rule["grants"] = dice.often(90).into();
    }
    rule
}

fn section(dice: &mut Dice, sharing: bool, advertising: bool) -> Value {
    let mut section = Map::new();
    for (name, there) in [("sale", true), ("sharing", sharing), ("targeted_advertising", advertising)] {
        if there && (section.is_empty() || dice.often(60)) {
            let mut recipients = dice.some(&RECIPIENTS, 40);
            recipients.push("third_party:other");
            let purposes = vec![dice.pick(&PURPOSES)];
            let refused = match dice.below(4) {
                0 => json!(recipients),
                1 => json!({"recipients": recipients}),
                2 => json!({"purposes": purposes}),
                _ => json!({"recipients": recipients, "purposes": purposes}),
            };
            section.insert(name.to_owned(), refused);
        }
    }
    section.into()
}

/// `signals.tcf` and `signals.gpp` of a record.
pub fn strings(dice: &mut Dice, now: Millis) -> [Value; 2] {
    let (tc, gpp) = (tc_string(dice, now), gpp_string(dice, now));
    [tc, gpp].map(|text| match dice.below(10) {
        0 => Value::Null,
        1 => "".into(),
        2 => damaged(dice, &text).into(),
        _ => text.into(),
    })
}

fn damaged(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(2) {
        let at = dice.below(letters.len());
        match dice.below(4) {
            0 => letters.truncate(at + 1),
            1 => letters.insert(at, dice.pick(&['A', '.', '~', '_', 'é'])),
            _ => letters[at] = dice.pick(&['A', 'B', 'g', 'w', '_', '=', ' ']),
        }
    }
    letters.into_iter().collect()
}

fn letters(bits: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let padded = format!("{bits}{}", "0".repeat(bits.len().next_multiple_of(6) - bits.len()));
    let six = |at: usize| usize::from_str_radix(&padded[at..at + 6], 2).unwrap();
    (0..padded.len()).step_by(6).map(|at| alphabet[six(at)] as char).collect()
}

fn flags(dice: &mut Dice, count: usize, percent: u32) -> String {
    (0..count).map(|_| if dice.often(percent) { '1' } else { '0' }).collect()
}

fn tc_string(dice: &mut Dice, now: Millis) -> String {
    let updated = (now - Millis::from(dice.within(-100_000..=20 * 86_400_000))).max(0) / 100;
    let mut bits = format!("{:06b}{updated:036b}{updated:036b}{:054b}{:06b}", 2, 977, 4);
    bits += if dice.often(97) { "1" } else { "0" };
    bits += &"0".repeat(1 + 12);
    bits += &flags(dice, 24, 96);
    bits += &flags(dice, 24 + 1 + 12, 50);
    bits += &vendors(dice, 95);
    bits += &vendors(dice, 50);
    let restrictions = if dice.often(15) { 1 + dice.below(3) } else { 0 };
    bits += &format!("{restrictions:012b}");
    for _ in 0..restrictions {
        bits += &format!("{:06b}{:02b}{}", 1 + dice.below(11), dice.below(4), ranges(dice, 40));
    }
    let mut text = letters(&bits);
    for (kind, percent) in [("001", 25), ("010", 5), ("011", 10)] {
        if dice.often(percent) {
            text += &format!(".{}", letters(&format!("{kind}{}", vendors(dice, 95))));
        }
    }
    text
}

/// A set of vendors in either encoding; those that are asked about are in it so often.
fn vendors(dice: &mut Dice, percent: u32) -> String {
    if dice.often(50) {
        let max = dice.pick(&[755_u64, 760, 755, 123]);
        return format!("{max:016b}1{}", ranges(dice, percent));
    }
    let is_in: Vec<u64> = dice.some(&VENDORS, percent);
    let max = is_in.iter().max().copied().unwrap_or(0);
    let bits: String = (1..=max).map(|id| if is_in.contains(&id) { '1' } else { '0' }).collect();
    format!("{max:016b}0{bits}")
}

fn ranges(dice: &mut Dice, percent: u32) -> String {
    let is_in = dice.some(&VENDORS, percent);
    let mut bits = format!("{:012b}", is_in.len());
    for id in is_in {
        let (before, behind) = (dice.below(3) as u64, dice.below(3) as u64);
        bits += &if dice.often(50) {
            format!("0{id:016b}")
        } else {
            format!("1{:016b}{:016b}", id - before, id + behind)
        };
    }
    bits
}

fn gpp_string(dice: &mut Dice, now: Millis) -> String {
    let mut parts = Vec::new();
    if dice.often(50) {
        parts.push((2, tc_string(dice, now)));
    }
    if dice.often(20) {
        parts.push((6, "1YNN".to_owned()));
    }
    for (_, number, version, before, sharing, advertising, behind) in SECTIONS {
        if dice.often(35) && parts.last().is_none_or(|(last, _)| *last < number) {
            let opt_outs = 1 + usize::from(sharing) + usize::from(advertising);
            let mut bits = format!("{version:06b}{}", "01".repeat(before));
            for _ in 0..opt_outs {
                bits += dice.pick(&["10", "10", "10", "00", "01"]);
            }
            bits += &"00".repeat(behind);
            let mut text = letters(&bits);
            if dice.often(25) {
                text += dice.pick(&[".QA", ".YA", ".Q"]);
            }
            parts.push((number, text));
        }
    }
    if dice.often(15) {
        parts.push((40, "of later".to_owned()));
    }
    let texts: String = parts.iter().map(|(_, text)| format!("~{text}")).collect();
    let numbers: Vec<usize> = parts.iter().map(|(number, _)| *number).collect();
    format!("{}{texts}", header(&numbers))
}

/// Each run of numbers as one item.
fn header(numbers: &[usize]) -> String {
    let runs: Vec<&[usize]> = numbers.chunk_by(|one, next| one + 1 == *next).collect();
    let (mut bits, mut last) = (format!("{:06b}{:06b}{:012b}", 3, 1, runs.len()), 0);
    for run in runs {
        let (first, end) = (run[0], run[run.len() - 1]);
        bits += if first == end { "0" } else { "1" };
        bits += &fibonacci(first - last);
        if first != end {
            bits += &fibonacci(end - first);
        }
        last = end;
    }
    letters(&bits)
}

fn fibonacci(number: usize) -> String {
    let mut places = vec![1, 2];
    while places[places.len() - 1] <= number {
        places.push(places[places.len() - 1] + places[places.len() - 2]);
    }
    let (mut rest, mut bits) = (number, String::new());
    for place in places.iter().rev() {
        bits.insert(0, if *place <= rest { '1' } else { '0' });
        rest -= if *place <= rest { *place } else { 0 };
    }
    format!("{}1", bits.trim_end_matches('0'))
}
