use super::Item;
use crate::config::names::bad_name;
use explr_protocol::{Event, Line};

/// What explr measures itself has names that begin so.
const SYSTEM: &str = "system/";

/// Reads a line that a command wrote; an error says what is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<Item, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let line: Line = match serde_json::from_str(text) {
        Ok(line) => line,
        // What Python's json module makes of a loss that went wrong.
        Err(error) => serde_json::from_str(&quote_bare_numbers(text))
            .map_err(|_| brief(&error.to_string()))?,
    };
    check_names(&line)?;
    Ok(match line {
        Line::Metric { key, value, step } => Item::Metrics([(key, value)].into(), step),
        Line::Metrics { values, step } => Item::Metrics(values, step),
        Line::Param { key, value } => Item::Event(Event::Param { key, value }),
        Line::Tag { key, value } => Item::Event(Event::Tag { key, value }),
        Line::Checkpoint { path, epoch, step } => {
            Item::Event(Event::Checkpoint { path, epoch, step })
        }
        Line::Log { level, message } => Item::Event(Event::Log { level, message }),
        Line::Artifact { path, name } => Item::Artifact(path, name),
        Line::Report { step, value } => Item::Report(step, value),
        Line::Progress(progress) => Item::Progress(progress),
        Line::Result(result) => Item::Result(result),
    })
}

fn check_names(line: &Line) -> Result<(), String> {
    let check = |name: &str| match bad_name(name) {
        Some(problem) => Err(format!("`{name}` can't be a name: {problem}")),
        None if name.starts_with(SYSTEM) => Err(format!(
            "`{name}` can't be a name: those under `{SYSTEM}` are explr's own"
        )),
        None => Ok(()),
    };
    match line {
        Line::Metric { key, .. } | Line::Param { key, .. } | Line::Tag { key, .. } => check(key),
        Line::Metrics { values, .. } => values.keys().try_for_each(|key| check(key)),
        Line::Result(result) => {
            let names = result.metrics.keys().chain(&result.key);
            names.into_iter().try_for_each(|key| check(key))
        }
        _ => Ok(()),
    }
}

/// serde tells the place in the line too, which is always the first line of it.
fn brief(error: &str) -> String {
    error.replace(" at line 1 column ", " at column ")
}

/// `NaN`, `Infinity` and `-Infinity` outside of texts become texts.
fn quote_bare_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let (mut is_text, mut is_escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let bare = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !is_text && rest.starts_with(word));
        if let Some(word) = bare {
            out.extend(['"'].into_iter().chain(word.chars()).chain(['"']));
            rest = &rest[word.len()..];
            continue;
        }
        is_text ^= c == '"' && !is_escaped;
        is_escaped = is_text && c == '\\' && !is_escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Item, read};

    #[test]
    fn a_bare_nan_is_a_value_and_a_text_stays_as_it_is() {
        let line =
            br#"{"type": "metrics", "values": {"NaN \" NaN": NaN, "b": -Infinity}, "step": 1}"#;
        let said = read(line).unwrap_err();
        assert!(said.contains(r#"`NaN " NaN` can't be a name"#), "{said}");
        let line = br#"{"type": "metrics", "values": {"NaN": NaN, "b": -Infinity}, "step": 1}"#;
        let Ok(Item::Metrics(values, 1)) = read(line) else {
            panic!("no metrics")
        };
        assert!(values["NaN"].is_nan());
        assert!(values["b"] < f64::MIN);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told() {
        for (line, said) in [
            (&b"loss=0.5"[..], "expected value at column 1"),
            (
                br#"{"type":"metric","key":"loss"}"#,
                "missing field `value`",
            ),
            (
                br#"{"type":"metric","key":"loss","value":"high"}"#,
                "invalid value",
            ),
            (
                br#"{"type":"metric","key":"system/cpu","value":1}"#,
                "explr's own",
            ),
            (
                br#"{"type":"metric","key":"a,b","value":1}"#,
                "MLflow takes no `,`",
            ),
            (
                br#"{"type":"note","message":"hello"}"#,
                "unknown variant `note`",
            ),
            (b"\xff", "UTF-8"),
        ] {
            let why = read(line).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }
}
