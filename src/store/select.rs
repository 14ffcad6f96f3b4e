//! From what a person types to a run.

use super::{Result, RunId, StoreError};
use std::path::Path;

/// The one id of the sorted `ids` that `name` means.
pub(super) fn pick(name: &str, ids: &[RunId], root: &Path) -> Result<RunId> {
    if name == "last"
        && let Some(last) = ids.last()
    {
        return Ok(last.clone());
    }
    let wanted = name.to_ascii_lowercase();
    // The short form, and any longer end of the id, is random: a good name.
    let fits = |id: &&RunId| {
        id.as_str().starts_with(&wanted)
            || id.short().starts_with(&wanted)
            || wanted.len() > id.short().len() && id.as_str().ends_with(&wanted)
    };
    let exact = |id: &&RunId| id.as_str() == wanted || id.short() == wanted;
    let mut found: Vec<RunId> = ids.iter().filter(exact).cloned().collect();
    if found.is_empty() && !wanted.is_empty() {
        found = ids.iter().filter(fits).cloned().collect();
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(StoreError::NoSuchRun {
            name: name.to_owned(),
            root: root.to_owned(),
            candidates: nearest(&wanted, ids),
        }),
        _ => Err(StoreError::AmbiguousRun {
            name: name.to_owned(),
            candidates: found,
        }),
    }
}

/// The one that was probably meant, else the newest few.
fn nearest(wanted: &str, ids: &[RunId]) -> Vec<RunId> {
    let close = ids
        .iter()
        .map(|id| {
            let whole = strsim::damerau_levenshtein(wanted, id.as_str());
            (
                whole.min(strsim::damerau_levenshtein(wanted, id.short())),
                id,
            )
        })
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance);
    match close {
        Some((_, id)) => vec![id.clone()],
        None => ids.iter().rev().take(3).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<RunId> {
        [
            "01932f6e-8a4b-7c1d-9e2f-3a4b5c6d7e8f",
            "01932f6e-8a4b-7c1e-9e2f-3a4b9c6d7e8f",
            "01932f6f-0000-7000-8000-0123456789ab",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec()
    }

    fn picked(name: &str) -> String {
        match pick(name, &ids(), Path::new("/s/.explr")) {
            Ok(id) => id.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_run_is_found_by_every_unique_form() {
        let ids = ids();
        for name in [
            ids[0].as_str(),
            "5c6d7e8f",
            "01932f6e-8a4b-7c1d",
            "5c6",
            "5C6D",
            "3a4b5c6d7e8f",
        ] {
            assert_eq!(picked(name), ids[0].as_str(), "{name}");
        }
        assert_eq!(picked("last"), ids[2].as_str());
        assert_eq!(picked("01932f6f"), ids[2].as_str());
    }

    #[test]
    fn what_is_not_found_is_explained() {
        insta::assert_snapshot!(picked("01932f6e"), @"`01932f6e` could be any of 01932f6e-8a4b-7c1d-9e2f-3a4b5c6d7e8f, 01932f6e-8a4b-7c1e-9e2f-3a4b9c6d7e8f: give more characters");
        insta::assert_snapshot!(picked("5c6d7e8e"), @"no run `5c6d7e8e` in /s/.explr: did you mean 5c6d7e8f?");
        insta::assert_snapshot!(picked("zzz"), @"no run `zzz` in /s/.explr: the nearest are 456789ab, 9c6d7e8f, 5c6d7e8f (`explr runs list` shows all)");
        insta::assert_snapshot!(picked("../.."), @"no run `../..` in /s/.explr: the nearest are 456789ab, 9c6d7e8f, 5c6d7e8f (`explr runs list` shows all)");
        insta::assert_snapshot!(pick("last", &[], Path::new("/s")).unwrap_err(), @"no run `last` in /s: it has no runs yet");
    }
}
