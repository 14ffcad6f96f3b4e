//! Which names metrics, params, tags and artifacts may have.
//!
//! The rules are MLflow's, checked here so that a wrong name fails in the
//! line that uses it. One bad name would make the server refuse a whole
//! batch, long after the fact.

use crate::LogError;

/// Longest name that MLflow takes, in characters.
const MAX_KEY: usize = 250;

/// Checks the name of a metric, param or tag.
pub(crate) fn check_key(kind: &'static str, key: &str) -> Result<(), LogError> {
    let refuse = |problem| {
        Err(LogError::Name {
            kind,
            name: key.to_owned(),
            problem,
        })
    };
    if key.is_empty() {
        return refuse("it is empty");
    }
    if key.len() > MAX_KEY && key.chars().count() > MAX_KEY {
        return refuse("it is longer than 250 characters");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-. :/".contains(&byte);
    // Letters and digits of any script are allowed; the common case is bytes.
    let plain = key.bytes().all(allowed)
        || key
            .chars()
            .all(|c| c.is_alphanumeric() || (c.is_ascii() && allowed(c as u8)));
    if !plain {
        return refuse("only letters, digits, `_`, `-`, `.`, `:`, `/` and spaces are allowed");
    }
    if !is_normal_path(key) {
        return refuse("read as a path it has an empty part, `.` or `..`");
    }
    Ok(())
}

/// Checks where an artifact is to stand, relative to the artifact folder.
pub(crate) fn check_artifact(path: &str) -> Result<(), LogError> {
    let refuse = |problem| {
        Err(LogError::Name {
            kind: "artifact",
            name: path.to_owned(),
            problem,
        })
    };
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.starts_with('/') {
        return refuse("it is absolute; give a path relative to the run's artifacts");
    }
    if !is_normal_path(path) {
        return refuse("it has an empty part, `.` or `..`");
    }
    if path.chars().any(|c| c.is_control() || r"\#%".contains(c)) {
        return refuse(r"control characters, `\`, `#` and `%` are not allowed");
    }
    if path.split('/').any(|part| part.len() > 255) {
        return refuse("a part of it is longer than 255 bytes");
    }
    Ok(())
}

fn is_normal_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::{check_artifact, check_key};

    #[test]
    fn names_that_mlflow_takes_are_taken() {
        for key in [
            "loss",
            "train/loss",
            "top-1 acc",
            "f1:macro",
            "a.b_c",
            "genauigkeit_ä",
        ] {
            check_key("metric", key).unwrap();
        }
        check_key("metric", &"ä".repeat(250)).unwrap();
    }

    #[test]
    fn names_that_mlflow_refuses_are_refused_with_the_reason() {
        for (key, reason) in [
            ("", "empty"),
            ("/loss", "path"),
            ("a//b", "path"),
            ("a/", "path"),
            ("../a", "path"),
            (".", "path"),
            ("a=b", "only letters"),
            ("loss\n", "only letters"),
            ("50%", "only letters"),
            (&"x".repeat(251), "250"),
        ] {
            let message = check_key("metric", key).unwrap_err().to_string();
            assert!(message.contains(reason), "{key:?}: {message}");
        }
    }

    #[test]
    fn artifacts_stay_in_their_folder() {
        for path in ["a.png", "model/data/model.pth", "..a/b..", "é.txt"] {
            check_artifact(path).unwrap();
        }
        for path in [
            "", "/etc/x", "../x", "a/../b", "a//b", "a/", "./a", r"a\b", "a#b", "%2e%2e", "a\0b",
        ] {
            assert!(check_artifact(path).is_err(), "{path:?}");
        }
    }
}
