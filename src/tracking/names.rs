//! Keys that MLflow takes.
//!
//! One key that it refuses costs the whole batch, so keys are made to fit
//! before they are sent. A change is remembered, so that no two keys become
//! one, and the same key never becomes two.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// Longest key, in characters.
const LONGEST: usize = 250;
/// How many unchanged keys are remembered, to keep changed ones off them.
const REMEMBERED: usize = 10_000;

/// The keys of one kind (metrics, parameters or tags) of one run.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// What was changed: from the key of the journal to that of MLflow.
    changed: BTreeMap<String, String>,
    /// Keys of MLflow that changed ones took.
    taken: HashSet<String>,
    /// Keys that were sent as they are.
    plain: HashSet<String>,
}

impl Names {
    pub(super) fn new(changed: BTreeMap<String, String>) -> Self {
        Self {
            taken: changed.values().cloned().collect(),
            changed,
            plain: HashSet::new(),
        }
    }

    /// What was changed so far, by key of the journal.
    pub(super) fn changed(&self) -> &BTreeMap<String, String> {
        &self.changed
    }

    /// The key under which MLflow knows `key`.
    pub(super) fn map<'a>(&mut self, key: &'a str) -> Cow<'a, str> {
        if self.plain.contains(key) {
            return Cow::Borrowed(key);
        }
        if let Some(known) = self.changed.get(key) {
            return Cow::Owned(known.clone());
        }
        if fits(key) && !self.taken.contains(key) {
            if self.plain.len() < REMEMBERED {
                self.plain.insert(key.to_owned());
            }
            return Cow::Borrowed(key);
        }
        let mut name = make_fit(key);
        if self.taken.contains(&name) || self.plain.contains(&name) {
            name = with_hash(&name, key);
        }
        self.taken.insert(name.clone());
        self.changed.insert(key.to_owned(), name.clone());
        Cow::Owned(name)
    }
}

fn fits(key: &str) -> bool {
    key.chars().all(allowed)
        && key.chars().nth(LONGEST).is_none()
        && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn allowed(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':')
}

fn make_fit(key: &str) -> String {
    let clean: String = key
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    let parts: Vec<_> = clean
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| match part {
            "." => "_",
            ".." => "__",
            part => part,
        })
        .collect();
    let name = parts.join("/");
    if name.is_empty() {
        "_".to_owned()
    } else if name.chars().nth(LONGEST).is_some() {
        with_hash(&name, key)
    } else {
        name
    }
}

/// The name made different from those of other keys, and short enough.
fn with_hash(name: &str, key: &str) -> String {
    let hash: String = Sha256::digest(key)
        .iter()
        .take(4)
        .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
    let start: String = name.chars().take(LONGEST - 1 - hash.len()).collect();
    format!("{}-{hash}", start.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Names, fits};
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut names = Names::default();
        for key in ["loss", "system/gpu_0_power", "val loss: é", "a.b-c_d/e"] {
            assert_eq!(names.map(key), key);
        }
        assert!(names.changed().is_empty());
    }

    #[test]
    fn what_does_not_fit_stays_readable() {
        let mut names = Names::default();
        assert_eq!(names.map("acc@5"), "acc_5");
        assert_eq!(names.map("/train//loss/"), "train/loss");
        assert_eq!(names.map("../x"), "__/x");
        assert_eq!(names.map(""), "_");
    }

    #[test]
    fn two_keys_never_become_one() {
        let mut names = Names::default();
        let keys = ["a_b", "a=b", "a%b", "a*b", "c=d", "c_d"];
        let mapped: HashSet<_> = keys.iter().map(|key| names.map(key).into_owned()).collect();
        assert_eq!(mapped.len(), keys.len(), "{mapped:?}");
        let mut later = Names::new(names.changed().clone());
        for key in keys {
            assert_eq!(later.map(key), names.map(key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_made_to_fit(key in "\\PC{0,300}") {
            let mut names = Names::default();
            let name = names.map(&key).into_owned();
            prop_assert!(fits(&name), "{name:?}");
            prop_assert!(name.chars().count() <= LONGEST);
            prop_assert_eq!(names.map(&key), name);
        }
    }
}
