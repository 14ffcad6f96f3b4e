//! Hyperparameters, read by name with errors that help.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt::Write;

/// Why a hyperparameter could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// There is none of this name.
    #[error("there is no hyperparameter `{path}`{hint}")]
    Missing {
        /// The name that was asked for.
        path: String,
        /// A near miss and what there is.
        hint: String,
    },
    /// Its value is of another type.
    #[error("the hyperparameter `{path}` must be {expected}, but it is {found}")]
    Type {
        /// Its name.
        path: String,
        /// What was asked for.
        expected: &'static str,
        /// Its type and value.
        found: String,
    },
    /// The hyperparameters do not fit the struct of
    /// [`TrainingContext::params`](crate::TrainingContext::params).
    #[error("the hyperparameters do not fit: {place}{reason}")]
    Struct {
        /// `at ...: `, or empty when it is about the whole.
        place: String,
        /// What serde says.
        reason: String,
    },
}

/// The value at a dotted path such as `optimizer.lr` or `layers.0`. A key
/// that itself holds dots is found too.
pub(crate) fn find<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| {
        let rest = &path[at + 1..];
        match map.get(&path[..at])? {
            Value::Object(inner) => find(inner, rest),
            Value::Array(items) => find_in_list(items, rest),
            _ => None,
        }
    })
}

fn find_in_list<'a>(items: &'a [Value], path: &str) -> Option<&'a Value> {
    let (index, rest) = path.split_once('.').unwrap_or((path, ""));
    match (items.get(index.parse::<usize>().ok()?)?, rest) {
        (value, "") => Some(value),
        (Value::Object(inner), rest) => find(inner, rest),
        (Value::Array(inner), rest) => find_in_list(inner, rest),
        _ => None,
    }
}

/// The value at `path` as `read` understands it.
pub(crate) fn get<'a, T>(
    map: &'a Map<String, Value>,
    path: &str,
    expected: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T, ParamError> {
    let value = find(map, path).ok_or_else(|| ParamError::Missing {
        path: path.to_owned(),
        hint: hint(map, path),
    })?;
    read(value).ok_or_else(|| ParamError::Type {
        path: path.to_owned(),
        expected,
        found: describe(value),
    })
}

/// The same with a default for what is missing or null.
pub(crate) fn get_or<'a, T>(
    map: &'a Map<String, Value>,
    path: &str,
    default: T,
    expected: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T, ParamError> {
    match find(map, path) {
        None | Some(Value::Null) => Ok(default),
        Some(_) => get(map, path, expected, read),
    }
}

/// All of them as the caller's type.
pub(crate) fn deserialize<T: DeserializeOwned>(map: &Map<String, Value>) -> Result<T, ParamError> {
    serde_path_to_error::deserialize(Value::Object(map.clone())).map_err(|error| {
        let path = error.path().to_string();
        ParamError::Struct {
            place: if path == "." {
                String::new()
            } else {
                format!("at `{path}`: ")
            },
            reason: error.into_inner().to_string(),
        }
    })
}

/// Nested maps as dotted names, in the way the journal holds params.
pub(crate) fn flatten(map: &Map<String, Value>) -> Vec<(String, Value)> {
    fn walk(prefix: &str, map: &Map<String, Value>, out: &mut Vec<(String, Value)>) {
        for (key, value) in map {
            let name = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            match value {
                Value::Object(inner) if !inner.is_empty() => walk(&name, inner, out),
                _ => out.push((name, value.clone())),
            }
        }
    }
    let mut out = Vec::new();
    walk("", map, &mut out);
    out
}

/// A whole number, also one written as `1e3`.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        // Above 2^53 a float no longer says which whole number it was.
        let number = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and small"
        )]
        (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

/// A whole number that is not negative.
pub(crate) fn unsigned(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| integer(value).and_then(|number| number.try_into().ok()))
}

/// A number, also one of the names of the non-finite ones.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN" | ".nan") => Some(f64::NAN),
        Some("Infinity" | ".inf") => Some(f64::INFINITY),
        Some("-Infinity" | "-.inf") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn describe(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "the boolean",
        Value::Number(_) => "the number",
        Value::String(_) => "the text",
        Value::Array(_) => "the list",
        Value::Object(_) => "the map",
    };
    let mut text = value.to_string();
    if text.chars().count() > 60 {
        text = text.chars().take(57).chain("...".chars()).collect();
    }
    format!("{kind} {text}")
}

fn hint(map: &Map<String, Value>, path: &str) -> String {
    let names: Vec<String> = flatten(map).into_iter().map(|(name, _)| name).collect();
    let mut hint = String::new();
    let near = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, path), name))
        .min()
        .filter(|(distance, _)| *distance <= (path.chars().count() / 3).max(1));
    if let Some((_, name)) = near {
        let _ = write!(hint, "; did you mean `{name}`?");
    }
    if names.is_empty() {
        hint.push_str("; none are set");
    } else {
        let shown: Vec<_> = names.iter().take(20).map(String::as_str).collect();
        let more = if names.len() > shown.len() {
            ", ..."
        } else {
            ""
        };
        let _ = write!(hint, " (there are: {}{more})", shown.join(", "));
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::{deserialize, find, flatten, get, get_or, integer, number, unsigned};
    use serde_json::{Map, Value, json};

    fn map() -> Map<String, Value> {
        let value = json!({
            "lr": 1e-3,
            "epochs": 10,
            "batch": 1e3,
            "optimizer": { "name": "adam", "betas": [0.9, 0.999] },
            "a.b": 1,
            "none": null,
        });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn dotted_paths_reach_into_maps_and_lists() {
        let map = map();
        assert_eq!(find(&map, "optimizer.name"), Some(&json!("adam")));
        assert_eq!(find(&map, "optimizer.betas.1"), Some(&json!(0.999)));
        assert_eq!(find(&map, "a.b"), Some(&json!(1)));
        assert_eq!(find(&map, "optimizer.betas.2"), None);
        assert_eq!(find(&map, "lr.x"), None);
    }

    #[test]
    fn a_missing_name_says_what_there_is_and_what_was_meant() {
        let error = get(&map(), "optimizer.nmae", "a text", Value::as_str).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no hyperparameter `optimizer.nmae`; did you mean `optimizer.name`? (there \
             are: a.b, batch, epochs, lr, none, optimizer.betas, optimizer.name)"
        );
    }

    #[test]
    fn a_wrong_type_names_the_value_and_the_place() {
        let error = get(&map(), "optimizer.name", "a number", number).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the hyperparameter `optimizer.name` must be a number, but it is the text \"adam\""
        );
        let error = get(&map(), "lr", "a whole number", integer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the hyperparameter `lr` must be a whole number, but it is the number 0.001"
        );
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        assert_eq!(get(&map(), "batch", "", unsigned), Ok(1000));
        assert_eq!(unsigned(&json!(-1)), None);
        assert_eq!(unsigned(&json!(u64::MAX)), Some(u64::MAX));
        assert_eq!(integer(&json!(0.5)), None);
    }

    #[test]
    fn a_default_stands_in_for_what_is_missing_but_not_for_what_is_wrong() {
        assert_eq!(get_or(&map(), "missing", 3, "", integer), Ok(3));
        assert_eq!(get_or(&map(), "none", 3, "", integer), Ok(3));
        assert_eq!(get_or(&map(), "epochs", 3, "", integer), Ok(10));
        assert!(get_or(&map(), "lr", 3, "", integer).is_err());
    }

    #[test]
    fn a_struct_that_does_not_fit_names_the_path() {
        #[derive(Debug, serde::Deserialize)]
        struct Optimizer {
            #[expect(dead_code, reason = "never gets that far")]
            betas: (f64, u32),
        }
        #[derive(Debug, serde::Deserialize)]
        struct Params {
            #[expect(dead_code, reason = "never gets that far")]
            optimizer: Optimizer,
        }
        let error = deserialize::<Params>(&map()).unwrap_err().to_string();
        assert!(
            error.starts_with("the hyperparameters do not fit: at `optimizer.betas[1]`: invalid"),
            "{error}"
        );
    }

    #[test]
    fn nested_maps_flatten_to_dotted_names() {
        let names: Vec<String> = flatten(&map()).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"optimizer.betas".to_owned()), "{names:?}");
        assert!(!names.contains(&"optimizer".to_owned()), "{names:?}");
    }
}
