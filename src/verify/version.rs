use std::fmt;

/// A version as far as it is compared: `2.10.0` of `2.10.0+cu128`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// The first version in a text, such as `rustc 1.95.0 (59807616e)`. What
    /// is left out is zero.
    pub(super) fn find(text: &str) -> Option<Self> {
        let word = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
        let mut parts = word[..end.unwrap_or(word.len())].split('.');
        let mut part = || match parts.next() {
            None | Some("") => Some(0),
            Some(digits) => digits.parse().ok(),
        };
        Some(Self(part()?, part()?, part()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("2.10.0+cu128", Some(Version(2, 10, 0))),
            (
                "cargo 1.95.0 (f2d3ce0bd 2026-03-21)",
                Some(Version(1, 95, 0)),
            ),
            ("570.195.03", Some(Version(570, 195, 3))),
            ("12.8", Some(Version(12, 8, 0))),
            ("3.11rc1", Some(Version(3, 11, 0))),
            ("none", None),
            ("99999999999", None),
        ] {
            assert_eq!(Version::find(text), version, "{text}");
        }
        assert!(Version(3, 9, 4) < Version(3, 10, 0));
    }
}
