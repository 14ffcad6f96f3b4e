//! Keeps secrets out of everything that is stored or sent.
//!
//! A value is secret when its key says so, and so is the user information of
//! a URL, wherever the URL stands. `${env:NAME}` is no secret: it stays as it
//! is, which lets a stored configuration be run again.

use serde_json::Value;

/// What stands for a secret.
pub const MASK: &str = "********";

const SECRET: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "credential",
];

/// Whether the values of a key are kept out of sight.
///
/// `max_tokens` and the like are counts, not secrets.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace(['-', '.', ' '], "_");
    SECRET
        .iter()
        .any(|word| *word != "token" && key.contains(word))
        || key.split('_').any(|word| word == "token")
        || key.ends_with("accesstoken")
        || key.ends_with("authtoken")
}

/// The value with secrets masked: text under a key that looks secret, and user
/// information in URLs.
pub fn json(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = if is_secret(key) {
                    mask(value)
                } else {
                    json(value)
                };
                (key.clone(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::String(string) => text(string).into(),
        other => other.clone(),
    }
}

/// Masks everything below a secret key, except references to the environment.
fn mask(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(string) if is_reference(string) || string.is_empty() => value.clone(),
        Value::Array(items) => items.iter().map(mask).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), mask(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::String(_) | Value::Number(_) => MASK.into(),
    }
}

fn is_reference(text: &str) -> bool {
    text.strip_prefix("${env:")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| !name.contains(['$', '{', '}']))
}

/// The text with the user information of URLs masked, and the value of
/// `key=value` when the key looks secret.
pub fn text(text: &str) -> String {
    if let Some((key, value)) = text.split_once('=')
        && is_secret(key)
        && !key.contains(char::is_whitespace)
        && !is_reference(value)
    {
        return format!("{key}={MASK}");
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, user, after)) = user_info(rest) {
        out.push_str(before);
        out.push_str(if user.contains("${env:") { user } else { MASK });
        rest = after;
    }
    out + rest
}

/// Splits at the first user information of a URL: before it, it, and from `@`.
fn user_info(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let end = text[start..]
            .find(|c: char| {
                matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace()
            })
            .map_or(text.len(), |length| start + length);
        if let Some(length) = text[start..end].rfind('@')
            && length > 0
        {
            let at = start + length;
            return Some((&text[..start], &text[start..at], &text[at..]));
        }
        from = start;
    }
    None
}

/// A line of YAML for an error message: secrets become asterisks of the same
/// number of bytes, so that carets stay where they belong.
pub(super) fn line(line: &str) -> String {
    let mut out = mask_pairs(line);
    let mut from = 0;
    while let Some((before, user, _)) = user_info(&out[from..]) {
        let range = from + before.len()..from + before.len() + user.len();
        from = range.end;
        if !user.contains("${env:") {
            out.replace_range(range.clone(), &"*".repeat(range.len()));
        }
    }
    out
}

/// Masks the value in each `key: value` and `key=value` whose key is secret.
fn mask_pairs(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        let key = before[..at].trim_end_matches(['"', '\'']);
        let key = key
            .rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .next()
            .unwrap_or_default();
        if !is_secret(key) {
            continue;
        }
        let blanks = rest.len() - rest.trim_start().len();
        let (blank, value) = rest.split_at(blanks);
        let end = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|at| at + 2),
            _ => value.find([',', '}']),
        };
        let (value, after) = value.split_at(end.unwrap_or(value.len()));
        out.push_str(blank);
        if value.contains("${env:") {
            out.push_str(value);
        } else {
            out.push_str(&"*".repeat(value.len()));
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{json, line, text};
    use serde_json::json;

    #[test]
    fn values_of_secret_keys_are_masked_at_any_depth() {
        let value = json!({
            "worker": {"env": {"WANDB_API_KEY": "abc", "HF_TOKEN": "${env:HF_TOKEN}", "A": "b"}},
            "hyperparameters": {"max_tokens": 512, "password": 7, "auth": {"secrets": ["x", "y"]}},
            "mlflow": {"tracking_uri": "https://me:pw@host:5000/x"},
        });
        assert_eq!(
            json(&value),
            json!({
                "worker": {"env": {"WANDB_API_KEY": "********", "HF_TOKEN": "${env:HF_TOKEN}", "A": "b"}},
                "hyperparameters": {"max_tokens": 512, "password": "********", "auth": {"secrets": ["********", "********"]}},
                "mlflow": {"tracking_uri": "https://********@host:5000/x"},
            })
        );
    }

    #[test]
    fn user_information_is_masked_in_every_url_of_a_text() {
        assert_eq!(
            text("from http://a:b@x/1 to ftp://c@y and http://z/@home"),
            "from http://********@x/1 to ftp://********@y and http://z/@home"
        );
        assert_eq!(text("http://p@ss@host"), "http://********@host");
        assert_eq!(
            text("http://${env:U}:${env:P}@host"),
            "http://${env:U}:${env:P}@host"
        );
        assert_eq!(
            text("worker.env.DB_PASSWORD=x"),
            "worker.env.DB_PASSWORD=********"
        );
        assert_eq!(text("mail me@host"), "mail me@host");
    }

    #[test]
    fn a_line_keeps_its_columns() {
        assert_eq!(line("  api_key: hunter2"), "  api_key: *******");
        assert_eq!(line("  uri: http://u:p@h:5"), "  uri: http://***@h:5");
        assert_eq!(line("  lr: 1"), "  lr: 1");
        assert_eq!(
            line("env: {A: 1, API_KEY: hunter2, 'hf-token': \"a, b\", B: 2}"),
            "env: {A: 1, API_KEY: *******, 'hf-token': ******, B: 2}"
        );
        assert_eq!(line("a.password=x y"), "a.password=***");
        assert_eq!(line("TOKEN: ${env:TOKEN}"), "TOKEN: ${env:TOKEN}");
    }
}
