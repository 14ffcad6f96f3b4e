use super::node::{Content, Node};
use super::suggest::did_you_mean;

/// The beginning of a text, for a message.
pub(crate) fn shorten(text: &str) -> String {
    const LENGTH: usize = 60;
    match text.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// What to write for a missing key.
pub(super) fn example(path: &str) -> Option<String> {
    (path == "experiment")
        .then(|| "give the experiment a name, as in `experiment: digits`".to_owned())
}

/// The most likely way out of a value of the wrong kind.
pub(crate) fn remedy(wanted: &str, node: &Node, path: &str) -> Option<String> {
    let is_time = wanted.starts_with("a length of time");
    let is_device = wanted.contains("`cuda`");
    let text = match &node.value {
        Content::Text(text) => text.as_str(),
        Content::Unrepresentable if wanted == "a whole number" => {
            return Some(format!("the largest is {}", u64::MAX));
        }
        Content::List(_) if is_device => {
            return Some("a run has one device; for several GPUs, see `resources.gpus`".to_owned());
        }
        Content::List(_) if wanted == "a map" => {
            return Some("write `key: value` lines, without `-` before them".to_owned());
        }
        Content::Number(number) if wanted == "a whole number" => {
            let value = number.as_f64()?;
            let is_whole = value.fract() == 0.0 && value.abs() < 1e15;
            return is_whole.then(|| format!("write it as `{value:.0}`"));
        }
        Content::Map(_) if wanted == "text" => {
            return Some("put text that contains `: ` or begins with `{` in quotes".to_owned());
        }
        Content::Null => return example(path),
        Content::Bool(false) if is_time => {
            return Some("leave the key out for no limit".to_owned());
        }
        _ => return None,
    };
    let lower = text.to_lowercase();
    if text.contains("${env:") {
        let variable = path.to_uppercase().replace('.', "__");
        return Some(format!(
            "`${{env:...}}` works in text; set this key with the variable `EXPLR_{variable}`"
        ));
    }
    match (wanted, lower.as_str()) {
        ("`true` or `false`", "on" | "yes" | "y" | "1") => Some("write `true`".to_owned()),
        ("`true` or `false`", "off" | "no" | "n" | "0") => Some("write `false`".to_owned()),
        ("a whole number" | "a number", _) => {
            let bare = text.replace(['_', ','], "");
            let digits = bare.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
            digits
                .parse::<f64>()
                .is_ok()
                .then(|| format!("write the number alone: `{digits}`"))
        }
        _ if is_device && lower == "gpu" => Some("did you mean `cuda`?".to_owned()),
        _ if is_device && lower.starts_with("cuda:") => {
            Some("GPUs are counted from 0, as in `cuda:0`".to_owned())
        }
        _ if is_device => did_you_mean(text, ["auto", "cpu", "cuda"]),
        (_, "none" | "never" | "off" | "inf" | "infinite" | "unlimited") if is_time => {
            Some("leave the key out for no limit".to_owned())
        }
        _ if is_time => {
            let digits = lower.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
            let unit = lower[digits.len()..].trim_start().chars().next()?;
            let is_known = digits.parse::<f64>().is_ok() && matches!(unit, 's' | 'm' | 'h' | 'd');
            is_known.then(|| format!("write `{digits}{unit}`"))
        }
        ("a map", _) if path == "train" => Some(format!("write `train: {{plugin: {text}}}`")),
        ("a list", _) => Some(format!("write it as `[{text}]`")),
        _ => None,
    }
}
