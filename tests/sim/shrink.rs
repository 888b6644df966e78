//! The shortest script that still fails: halves, quarters and so on are taken out as long as it does.

use super::{lies::Lie, run, script::Script};

/// Runs at most.
const RUNS: usize = 400;

/// Takes out of a failing script whatever it fails without.
pub fn shrink(seed: u64, mut script: Script, lie: Option<Lie>, failed: &str) -> Script {
    let mut runs = 0;
    let mut size = script.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < script.steps.len() && runs < RUNS {
            let mut less = script.clone();
            let end = (at + size).min(less.steps.len());
            less.steps.drain(at..end);
            runs += 1;
            if run(seed, &less, lie, false).failure.is_some_and(|failure| kind(&failure) == kind(failed)) {
                script = less;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    script
}

/// What kind of failure it is: its first words, without numbers.
fn kind(failure: &str) -> Vec<&str> {
    let words = failure.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(5).collect()
}
