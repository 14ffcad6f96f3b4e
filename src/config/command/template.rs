//! `{name}` in the words of a command.
//!
//! `{{` and `}}` stand for the braces themselves.

use explr_protocol::RunContext;
use serde_json::{Map, Value};

/// Names that every run has a value for, besides its hyperparameters.
pub(crate) const OF_THE_RUN: [&str; 5] = [
    "seed",
    "run_id",
    "checkpoint_dir",
    "artifact_dir",
    "trial_number",
];

/// Why a text is no template, or has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// A brace has no partner.
    #[error("`{0}` stands alone")]
    Brace(char),
    /// Nothing has this name.
    #[error("there is no hyperparameter `{0}`")]
    Unknown(String),
}

/// Replaces each `{name}` in `text` by what `value` knows of it.
pub(crate) fn expand(
    text: &str,
    mut value: impl FnMut(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let (name, after) = match rest.split_once('}') {
            Some(parts) if brace == "{" => parts,
            _ => return Err(TemplateError::Brace(if brace == "{" { '{' } else { '}' })),
        };
        let known = value(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        out.push_str(&known);
        rest = after;
    }
    Ok(out + rest)
}

/// The text with nothing in it to be replaced.
pub(crate) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// What a run's context says of a name. A hyperparameter comes first.
pub(crate) fn of_run(context: &RunContext, name: &str) -> Option<String> {
    if let Some(value) = find(&context.hyperparameters, name) {
        return Some(word(value));
    }
    let path = |path: &std::path::Path| path.display().to_string();
    Some(match name {
        "seed" => seed(context).to_string(),
        "run_id" => context.run_id.clone(),
        "checkpoint_dir" => path(&context.checkpoint_dir),
        "artifact_dir" => path(&context.artifact_dir),
        "trial_number" => context
            .trial
            .as_ref()
            .map_or_else(String::new, |trial| trial.number.to_string()),
        _ => return None,
    })
}

/// The seed as a command gets it: `NumPy` and most others take 32 bits, and those
/// of trials have more.
pub(crate) fn seed(context: &RunContext) -> u64 {
    context.seed % (1 << 32)
}

/// A hyperparameter by its dotted name; a name may itself have dots.
fn find<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| {
        name.match_indices('.').find_map(|(at, _)| {
            let inner = map.get(&name[..at])?.as_object()?;
            find(inner, &name[at + 1..])
        })
    })
}

/// A value as a word of a command: text as it is, anything else as JSON.
pub(crate) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{TemplateError, expand, find, literal, word};
    use serde_json::json;

    fn filled(text: &str) -> Result<String, TemplateError> {
        let map = json!({"lr": 0.1, "model": {"depth": 2}, "a.b": "x", "tags": ["a", "b"]});
        let map = map.as_object().unwrap();
        expand(text, |name| find(map, name).map(word))
    }

    #[test]
    fn names_are_replaced_and_everything_else_is_kept() {
        assert_eq!(filled("--lr={lr}").unwrap(), "--lr=0.1");
        assert_eq!(filled("{model.depth}{a.b}").unwrap(), "2x");
        assert_eq!(
            filled("{model} {tags}").unwrap(),
            r#"{"depth":2} ["a","b"]"#
        );
        assert_eq!(filled("{{lr}} $x é").unwrap(), "{lr} $x é");
        assert_eq!(filled("{{{lr}}}").unwrap(), "{0.1}");
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        assert_eq!(filled("{rl}"), Err(TemplateError::Unknown("rl".to_owned())));
        assert_eq!(filled("{}"), Err(TemplateError::Unknown(String::new())));
        assert_eq!(filled("{lr"), Err(TemplateError::Brace('{')));
        assert_eq!(filled("lr}"), Err(TemplateError::Brace('}')));
    }

    #[test]
    fn a_literal_expands_to_the_text_itself() {
        for text in ["{", "}", "{lr}", "{{}}", "a{b}{{c", ""] {
            assert_eq!(filled(&literal(text)).unwrap(), text);
        }
    }
}
