use super::*;

/// Bits as the letters of a string, filled up with zeros.
pub fn letters(bits: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let padded = bits.to_owned() + &"0".repeat(bits.len().next_multiple_of(6) - bits.len());
    let sixes = padded.as_bytes().chunks(6).map(|six| std::str::from_utf8(six).unwrap());
    sixes.map(|six| alphabet[usize::from_str_radix(six, 2).unwrap()] as char).collect()
}

/// Purposes 1, 3 to 6, and vendors 11, 28, 29 are consented to.
const TC: &str = "CPTtLAAPTtLAAAKAAAENAAFgALwAAEAAAAAAAOgAgABgAAAA.IAoAAgABgAAEAQAAEAAA.d4AACEAAAAAA";
/// Everything is opted out of, and Global Privacy Control is on.
const USNAT: &str = "DBABLA~BVVVVVVVVWA.YA";

fn tcf(grants: bool) -> TcfRule {
    let purposes = vec![("ads".to_owned(), vec![3, 4]), ("analytics".to_owned(), vec![8])];
    TcfRule { vendor: 11, recipient: "third_party:adco".to_owned(), purposes, grants }
}

fn usnat() -> SectionRule {
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(p, r)| ((*p).to_owned(), (*r).to_owned())).collect();
    let opt_outs = vec![
        (OptOut::Sale, pairs(&[("ads", "third_party:*"), ("analytics", "third_party:*")])),
        (OptOut::TargetedAdvertising, pairs(&[("ads", ""), ("ads", "third_party:*")])),
    ];
    SectionRule { section: Section::named("usnat").unwrap(), opt_outs }
}

fn signals(tcf: Option<TcfRule>, gpp: Option<GppRule>) -> Signals {
    Signals { tcf, gpp, honour_gpc: true }
}

/// The grants as text, and which strings do not decode.
fn said(signals: &Signals, tcf: &str, gpp: &str) -> (String, bool, bool) {
    let (grants, unreadable) = signals.grants(tcf, gpp);
    let line = |grant: &GrantLine| {
        let Shape { purpose, channel, recipient, level, status, basis } = &grant.shape;
        assert_eq!((&**channel, &**level, *basis), ("", "", Basis::Consent));
        assert_eq!((grant.confirmed_at, grant.valid_until), (None, None));
        let at = grant.given_at.map(|at| format!(" {at}")).unwrap_or_default();
        format!("{} {purpose} {recipient}{at}", status.word())
    };
    (grants.iter().map(line).collect::<Vec<_>>().join(", "), unreadable.tcf, unreadable.gpp)
}

#[test]
fn a_tc_string_refuses_and_grants_where_that_is_asked() {
    let refused = "refused analytics third_party:adco";
    assert_eq!(said(&signals(Some(tcf(false)), None), TC, ""), (refused.to_owned(), false, false));
    let both = format!("{refused}, given ads third_party:adco 2022-02-01T00:00:00Z");
    assert_eq!(said(&signals(Some(tcf(true)), None), TC, ""), (both.clone(), false, false));
    // The same in a GPP string.
    let gpp = GppRule { tcf: Some(tcf(true)), sections: Vec::new() };
    let inside = signals(None, Some(gpp));
    assert_eq!(said(&inside, "", &format!("DBABMA~{TC}")), (both, false, false));
    assert_eq!(said(&inside, TC, ""), (String::new(), false, false), "the other string is not mapped");
}

#[test]
fn what_does_not_decode_refuses_all_that_it_governs() {
    let all = "refused ads third_party:adco, refused analytics third_party:adco".to_owned();
    for bad in [" ", "x", "DBABM", &TC[1..], &format!("{TC}="), "\u{e9}", "\0"] {
        assert_eq!(said(&signals(Some(tcf(true)), None), bad, ""), (all.clone(), true, false), "{bad}");
    }
    let gpp = GppRule { tcf: Some(tcf(true)), sections: vec![usnat()] };
    let both = signals(Some(tcf(true)), Some(gpp));
    let out = "refused ads third_party:*, refused ads third_party:adco, refused analytics third_party:*, \
               refused analytics third_party:adco";
    let all = format!("refused ads , {out}");
    assert_eq!(said(&both, "", "DBABLA"), (all.clone(), false, true));
    assert_eq!(said(&both, "x", "x"), (all, true, true));
    // A section that does not decode refuses what it governs; those beside it say what they say.
    let beside = said(&both, "", &format!("DBACMM~{TC}~nothing"));
    assert_eq!(beside.0.matches("refused").count(), 4);
    assert!(beside.0.ends_with("given ads third_party:adco 2022-02-01T00:00:00Z") && beside.2, "{beside:?}");
}

#[test]
fn an_opt_out_refuses_and_nothing_in_its_place_permits() {
    let usnat = signals(None, Some(GppRule { tcf: None, sections: vec![usnat()] }));
    let all = "refused ads , refused ads third_party:*, refused analytics third_party:*";
    assert_eq!(said(&usnat, "", USNAT), (all.to_owned(), false, false));
    assert_eq!(said(&usnat, "", "DBABLA~CAAAAAAAAABA.QA"), (String::new(), false, false));
    let gpc = "DBABLA~CAAAAAAAAABA.YA";
    assert_eq!(said(&usnat, "", gpc), (all.to_owned(), false, false));
    assert_eq!(said(&Signals { honour_gpc: false, ..usnat.clone() }, "", gpc).0, "");
    // A section that is not there says nothing, nor does one that is not mapped.
    for other in ["DBAA", "DBABBg~BVVVVVVY", "DBABTA~1YYY", &format!("DBABMA~{TC}")] {
        assert_eq!(said(&usnat, "", other), (String::new(), false, false), "{other}");
    }
}

#[test]
fn nothing_is_said_where_nothing_is_mapped_or_there() {
    let mapped = signals(Some(tcf(true)), Some(GppRule { tcf: Some(tcf(true)), sections: vec![usnat()] }));
    assert_eq!(said(&mapped, "", ""), (String::new(), false, false));
    assert_eq!(said(&Signals::default(), "x", "x"), (String::new(), false, false));
}

/// No string stops the reading, and none permits that is not one of the few that say so.
#[test]
fn no_string_does_harm() {
    let rule = |grants| GppRule { tcf: Some(tcf(grants)), sections: vec![usnat()] };
    let granting = signals(Some(tcf(true)), Some(rule(true)));
    let refusing = signals(Some(tcf(false)), Some(rule(false)));
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet: Vec<char> = "ABCDXYZabcxyz0189-_.~=+/ \u{e9}".chars().collect();
    let seeds =
        [TC.to_owned(), format!("DBABMA~{TC}"), USNAT.to_owned(), String::new(), "DBADMZg~~~".to_owned()];
    for round in 0..200_000 {
        let mut letters: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..=letters.len());
            match random.u8(0..4) {
                0 => letters.truncate(at),
                1 => letters.insert(at, alphabet[random.usize(0..alphabet.len())]),
                2 if at < letters.len() => letters[at] = alphabet[random.usize(0..alphabet.len())],
                _ => letters
                    .extend((0..random.usize(0..40)).map(|_| alphabet[random.usize(0..alphabet.len())])),
            }
        }
        let text: String = letters.into_iter().collect();
        let permits = |grant: &GrantLine| grant.shape.status != Status::Refused;
        let (grants, _) = refusing.grants(&text, &text);
        assert!(!grants.iter().any(permits), "{text}");
        for (tcf, gpp) in [(&*text, ""), ("", &*text)] {
            let (grants, unreadable) = granting.grants(tcf, gpp);
            let ends = if tcf.is_empty() { unreadable.gpp } else { unreadable.tcf };
            let given = grants.iter().filter(|grant| permits(grant)).count();
            assert!(given <= 2 && grants.len() <= 7, "{text}");
            if ends && !tcf.is_empty() {
                assert_eq!((given, grants.len()), (0, 2), "{text}");
            }
        }
    }
}
