//! `${env:NAME}` in text, replaced at use and never in what is stored.
//!
//! `$${env:` stands for a literal `${env:`; every other `$` is itself.

use serde_json::Value;

/// Text whose references can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolateError {
    /// The variable is not set.
    #[error("the environment variable `{0}` is not set, but `${{env:{0}}}` asks for it")]
    Undefined(String),
    /// There is no closing brace.
    #[error("`${{env:` has no closing `}}`")]
    Unclosed,
    /// What stands between the braces can't be a variable.
    #[error("`${{env:{0}}}` names no environment variable")]
    BadName(String),
}

const OPEN: &str = "${env:";

/// Replaces the references in a text by the environment's values.
pub fn text(text: &str) -> Result<String, InterpolateError> {
    text_with(text, &|name| std::env::var(name).ok())
}

/// Replaces the references in every text of a value; keys stay as they are.
pub fn json(value: &Value) -> Result<Value, InterpolateError> {
    Ok(match value {
        Value::String(string) => text(string)?.into(),
        Value::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| Ok((key.clone(), json(value)?)))
                .collect::<Result<_, InterpolateError>>()?,
        ),
        other => other.clone(),
    })
}

/// The text that stands for this one, with nothing to be replaced in it.
pub fn literal(text: &str) -> String {
    text.replace(OPEN, "$${env:")
}

/// Replaces the references by what `lookup` finds.
pub(crate) fn text_with(
    text: &str,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<String, InterpolateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let after = &rest[at + OPEN.len()..];
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str(OPEN);
            rest = after;
            continue;
        }
        out.push_str(&rest[..at]);
        let (name, remainder) = after.split_once('}').ok_or(InterpolateError::Unclosed)?;
        if name.is_empty()
            || name.contains(|c: char| c == '=' || c == '$' || c == '{' || c.is_whitespace())
        {
            return Err(InterpolateError::BadName(name.to_owned()));
        }
        out.push_str(&lookup(name).ok_or_else(|| InterpolateError::Undefined(name.to_owned()))?);
        rest = remainder;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::{InterpolateError, literal, text_with};

    fn resolve(text: &str) -> Result<String, InterpolateError> {
        text_with(text, &|name| (name == "HOST").then(|| "box".to_owned()))
    }

    #[test]
    fn references_are_replaced_and_everything_else_is_kept() {
        assert_eq!(
            resolve("http://${env:HOST}:5000/${env:HOST}").unwrap(),
            "http://box:5000/box"
        );
        assert_eq!(resolve("$HOME ${HOME} $5 $").unwrap(), "$HOME ${HOME} $5 $");
        assert_eq!(resolve("$${env:HOST}").unwrap(), "${env:HOST}");
    }

    #[test]
    fn a_literal_resolves_to_the_text_itself() {
        for text in ["${env:NOPE}", "$${env:HOST", "a ${env:A} ${env:}", "$ $$ {"] {
            assert_eq!(resolve(&literal(text)).unwrap(), text);
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_an_error() {
        assert_eq!(
            resolve("${env:NOPE}"),
            Err(InterpolateError::Undefined("NOPE".to_owned()))
        );
        assert_eq!(resolve("${env:HOST"), Err(InterpolateError::Unclosed));
        assert_eq!(
            resolve("${env:}"),
            Err(InterpolateError::BadName(String::new()))
        );
    }
}
