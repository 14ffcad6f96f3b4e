use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Identity of a run: a UUID of version 7, which sorts by time of creation.
///
/// Only the canonical text is accepted, so an id is always safe as the name of
/// a folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// The text is not a run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: ids look like 01932f6e-8a4b-7c1d-9e2f-3a4b5c6d7e8f")]
pub struct ParseRunIdError(pub String);

/// Characters of the short form.
const SHORT: usize = 8;

impl RunId {
    /// A new id. Ids of one process sort in the order they were made.
    #[expect(clippy::new_without_default, reason = "every call gives another id")]
    pub fn new() -> Self {
        Self(Uuid::now_v7().hyphenated().to_string())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last eight digits. They are random, unlike the first ones, which
    /// runs of the same minute share.
    pub fn short(&self) -> &str {
        &self.0[self.0.len() - SHORT..]
    }

    /// When the id was made, in Unix milliseconds.
    pub fn created_ms(&self) -> u64 {
        Uuid::parse_str(&self.0)
            .ok()
            .and_then(|uuid| uuid.get_timestamp())
            .map_or(0, |time| {
                let (seconds, nanos) = time.to_unix();
                seconds * 1000 + u64::from(nanos) / 1_000_000
            })
    }
}

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = |uuid: &Uuid| uuid.hyphenated().to_string() == text;
        match Uuid::parse_str(text) {
            Ok(uuid) if uuid.get_version_num() == 7 && canonical(&uuid) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ParseRunIdError(text.to_owned())),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::RunId;

    #[test]
    fn ids_sort_by_time_and_know_it() {
        let ids: Vec<RunId> = (0..1000).map(|_| RunId::new()).collect();
        assert!(ids.is_sorted());
        assert!(crate::store::now_ms().abs_diff(ids[0].created_ms()) < 60_000);
    }

    #[test]
    fn only_canonical_ids_are_accepted() {
        let id = RunId::new();
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        for wrong in [
            "",
            "..",
            "../../etc",
            "a/b",
            &id.as_str().to_uppercase(),
            &id.as_str().replace('-', ""),
            &format!("{{{id}}}"),
            "01932f6e-8a4b-4c1d-9e2f-3a4b5c6d7e8f",
        ] {
            assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
        }
    }
}
