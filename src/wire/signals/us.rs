//! The sections for the United States: what the person opted out of.
//!
//! IAB Tech Lab's Global Privacy Platform, "Sections", the national one and one a state:
//! <https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform/tree/main/Sections>. After six bits for the version
//! every field of a core segment has two, with 1 for opted out and 2 for not; 3 is no value of the standard.
//!
//! Looked at: the opt-outs from sale, from sharing and from targeted advertising, and the segment that passes
//! Global Privacy Control on. Not looked at: notices, sensitive and children's data, and the modes of the MSPA.

use super::bits::Bits;

/// How a section is laid out.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, as in the configuration and in the standard's API.
    pub name: &'static str,
    /// Its number in the header.
    pub number: u32,
    /// How many fields version 1 has, and version 2; none: there is no such version.
    fields: [usize; 2],
    /// Whether the first six bits tell the version of the MSPA instead, which moves no field.
    is_unversioned: bool,
    /// Where the opt-outs stand among the fields, in the order of [`OptOut`].
    opt_outs: [Option<usize>; 3],
    /// Whether a segment may pass Global Privacy Control on.
    has_gpc: bool,
}

/// What a person can opt out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOut {
    /// The sale of their data.
    Sale,
    /// Its sharing for advertising across contexts.
    Sharing,
    /// Its use for targeted advertising.
    TargetedAdvertising,
}

impl OptOut {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::Sale, Self::Sharing, Self::TargetedAdvertising];

    /// As in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Sharing => "sharing",
            Self::TargetedAdvertising => "targeted_advertising",
        }
    }
}

/// What one section says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Opted out, in the order of [`OptOut`].
    opted_out: [bool; 3],
    /// Global Privacy Control was on.
    pub gpc: bool,
}

impl Said {
    /// Whether the person opted out of this.
    pub fn opted_out(&self, of: OptOut) -> bool {
        let [sale, sharing, targeted_advertising] = self.opted_out;
        match of {
            OptOut::Sale => sale,
            OptOut::Sharing => sharing,
            OptOut::TargetedAdvertising => targeted_advertising,
        }
    }
}

impl Section {
    /// The section of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SECTIONS.iter().find(|section| section.name == name)
    }

    /// Whether the section has a field for this.
    pub fn knows(&self, of: OptOut) -> bool {
        OptOut::ALL.iter().zip(self.opt_outs).any(|(own, field)| *own == of && field.is_some())
    }

    /// Reads what stands in a string under this section's number; `None` where it does not decode.
    pub fn read(&self, text: &str) -> Option<Said> {
        const OPTED_OUT: u64 = 1;
        const NO_VALUE: u64 = 3;
        let mut segments = text.split('.');
        let mut bits = Bits::of(segments.next()?);
        let version = bits.take(6)?;
        let [first, second] = self.fields;
        let count = match version {
            _ if self.is_unversioned => first,
            1 => first,
            2 => second,
            _ => 0,
        };
        let mut said = Said::default();
        for index in 0..count {
            let value = bits.take(2).filter(|value| *value != NO_VALUE)?;
            for (field, opted_out) in self.opt_outs.iter().zip(&mut said.opted_out) {
                *opted_out |= *field == Some(index) && value == OPTED_OUT;
            }
        }
        let mut gpc = None;
        for segment in segments {
            let mut bits = Bits::of(segment);
            if self.has_gpc {
                const GPC: u64 = 1;
                let is_gpc = gpc.is_none() && bits.take(2)? == GPC;
                gpc = Some(is_gpc.then(|| bits.bit())??);
            }
            bits.rest_is_letters().then_some(())?;
        }
        said.gpc = gpc.unwrap_or_default();
        (count > 0 && bits.rest_is_letters()).then_some(said)
    }
}

/// Every section that is known.
pub static SECTIONS: [Section; 21] = [
    Section { fields: [27, 32], opt_outs: [Some(6), Some(7), Some(8)], ..section("usnat", 7) },
    Section { fields: [20, 0], opt_outs: [Some(3), Some(4), None], ..section("usca", 8) },
    Section { has_gpc: false, ..state("usva", 9, 17, 3) },
    state("usco", 10, 16, 3),
    Section { has_gpc: false, ..state("usut", 11, 18, 4) },
    state("usct", 12, 19, 3),
    Section { has_gpc: false, ..state("usfl", 13, 20, 3) },
    state("usmt", 14, 20, 3),
    state("usor", 15, 23, 3),
    state("ustx", 16, 18, 3),
    state("usde", 17, 23, 3),
    state("usia", 18, 18, 4),
    state("usne", 19, 18, 3),
    state("usnh", 20, 20, 3),
    state("usnj", 21, 24, 3),
    state("ustn", 22, 18, 3),
    state("usmn", 23, 18, 3),
    Section { is_unversioned: true, ..state("usmd", 24, 8, 5) },
    Section { is_unversioned: true, has_gpc: false, ..state("usin", 25, 9, 5) },
    Section { is_unversioned: true, has_gpc: false, ..state("usky", 26, 9, 5) },
    Section { is_unversioned: true, has_gpc: false, ..state("usri", 27, 9, 5) },
];

const fn section(name: &'static str, number: u32) -> Section {
    Section { name, number, fields: [0, 0], is_unversioned: false, opt_outs: [None; 3], has_gpc: true }
}

/// A state's section with so many fields, of which so many come before the opt-out from sale; that from
/// targeted advertising follows it.
const fn state(name: &'static str, number: u32, fields: usize, before: usize) -> Section {
    let opt_outs = [Some(before), None, Some(before + 1)];
    Section { fields: [fields, 0], opt_outs, ..section(name, number) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::letters;
    use super::*;

    fn read(name: &str, text: &str) -> Option<(String, bool)> {
        let said = Section::named(name).unwrap().read(text)?;
        let out: Vec<_> =
            OptOut::ALL.into_iter().filter(|of| said.opted_out(*of)).map(OptOut::name).collect();
        Some((out.join(" "), said.gpc))
    }

    /// Strings that the reference implementation makes (IAB Tech Lab, `iabgpp-es`), and those of its standard.
    #[test]
    fn strings_of_the_reference_implementation() {
        let all = Some(("sale sharing targeted_advertising".to_owned(), true));
        assert_eq!(read("usnat", "CVVVkkkkkpFY.YA"), all);
        assert_eq!(read("usnat", "BVVVVVVVVWA.YA"), all);
        let none = Some((String::new(), false));
        for text in ["CAAAAAAAAABA.QA", "CAAAAAAAAABA", "BAAAVVVVUQA.QA", "CAAAVVVVVVRA.QA"] {
            assert_eq!(read("usnat", text), none, "{text}");
        }
        assert_eq!(read("usmd", "BVVU.YA"), Some(("sale targeted_advertising".to_owned(), true)));
        assert_eq!(read("usmd", "BQAA.QA"), none);
        assert_eq!(read("usin", "BVVV.kkk"), Some(("sale targeted_advertising".to_owned(), false)));
        assert_eq!(read("usin", "BQAA.AAA"), none);
    }

    #[test]
    fn each_opt_out_stands_where_the_standard_has_it() {
        for section in &SECTIONS {
            let [fields, _] = section.fields;
            for index in 0..fields {
                // Version 1, and all fields 2 but one.
                let mut bits = "000001".to_owned() + &"10".repeat(fields);
                bits.replace_range(6 + 2 * index..8 + 2 * index, "01");
                let said = section.read(&letters(&bits)).unwrap();
                for (of, field) in OptOut::ALL.into_iter().zip(section.opt_outs) {
                    assert_eq!(said.opted_out(of), field == Some(index), "{} {index}", section.name);
                }
                bits.replace_range(6 + 2 * index..8 + 2 * index, "11");
                assert_eq!(section.read(&letters(&bits)), None, "3 is no value");
            }
            let short = letters(&("000001".to_owned() + &"10".repeat(fields - 3)));
            assert_eq!(section.read(&short), None, "{} cut off", section.name);
        }
    }

    #[test]
    fn what_does_not_decode() {
        for bad in
            ["", ".", "B", "AVVVVVVVVWA", "DVVVVVVVVWA", "BVVVVVVVVW=", "BVVVVVVVVWA ", "BVVVVVVVVWA.YA.YA"]
        {
            assert_eq!(read("usnat", bad), None, "{bad}");
        }
        for segment in ["", "A", "g", "wA", "Y="] {
            assert_eq!(read("usnat", &format!("BVVVVVVVVWA.{segment}")), None, "{segment}");
        }
        assert_eq!(read("usca", "CVVVVVVVVWA"), None, "a version of later");
    }
}
