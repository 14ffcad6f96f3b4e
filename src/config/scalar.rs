use super::node::Content;
use serde_json::Number;

/// What an unquoted scalar means by the core schema of YAML 1.2: so `1e-4` is
/// a number, and `on`, `no`, `12:30` and `1_000` are text.
pub(super) fn resolve(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => number(text).unwrap_or_else(|| Content::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Content> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Content::Unrepresentable);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return (!digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))).then(|| {
                u64::from_str_radix(digits, radix).map_or(Content::Unrepresentable, |value| {
                    Content::Number(value.into())
                })
            });
        }
    }
    if !is_decimal(unsigned) {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let plain = text.strip_prefix('+').unwrap_or(text);
        return Some(match (plain.parse::<u64>(), plain.parse::<i64>()) {
            (Ok(value), _) => Content::Number(value.into()),
            (_, Ok(value)) => Content::Number(value.into()),
            _ => Content::Unrepresentable,
        });
    }
    Some(
        text.parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or(Content::Unrepresentable, Content::Number),
    )
}

/// `[0-9]+`, `[0-9]*.[0-9]*` with at least one digit, and an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

#[cfg(test)]
mod tests {
    use super::{Content, resolve};

    fn number(text: &str) -> f64 {
        match resolve(text) {
            Content::Number(number) => number.as_f64().unwrap(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_are_what_people_mean() {
        for (text, value) in [
            ("1e-4", 1e-4),
            ("1E3", 1e3),
            (".5", 0.5),
            ("5.", 5.0),
            ("+7", 7.0),
            ("-0.25", -0.25),
            ("010", 10.0),
            ("0x10", 16.0),
            ("0o17", 15.0),
        ] {
            assert!((number(text) - value).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn words_that_older_yaml_took_for_other_things_are_text() {
        for text in [
            "on", "off", "yes", "no", "12:30:45", "1_000", "1e", ".", "-", "0x", "e5", "1.2.3",
        ] {
            assert!(matches!(resolve(text), Content::Text(_)), "{text}");
        }
    }

    #[test]
    fn what_json_cannot_hold_is_marked() {
        for text in [
            ".nan",
            "-.inf",
            ".INF",
            "1e400",
            "99999999999999999999",
            "0xfffffffffffffffff",
        ] {
            assert!(matches!(resolve(text), Content::Unrepresentable), "{text}");
        }
    }
}
