//! Numbers, times and names as people read them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Prefix of the system metrics, which have their own page in MLflow.
const SYSTEM: &str = "system/";

/// A number with four significant digits, without an exponent where that is
/// easy to read.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let before: usize = [10.0, 100.0, 1000.0]
        .iter()
        .filter(|limit| size >= **limit)
        .count();
    let after: usize = [1.0, 0.1, 0.01, 0.001]
        .iter()
        .filter(|limit| size < **limit)
        .count();
    let text = format!("{value:.*}", 3 - before + after);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A duration as in `2d 03h`, `1h 02m`, `3m 07s`, `4.2s` or `12ms`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() < 1000 => format!("{}ms", duration.as_millis()),
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Metrics on one line, the system's own left out.
pub fn metrics(metrics: &BTreeMap<String, f64>) -> String {
    metrics
        .iter()
        .filter(|(key, _)| !key.starts_with(SYSTEM))
        .map(|(key, value)| format!("{key} {}", number(*value)))
        .collect::<Vec<_>>()
        .join("  ")
}

/// Parameters on one line.
pub fn params(params: &BTreeMap<String, Value>) -> String {
    params
        .iter()
        .map(|(name, value)| format!("{name}={}", param(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn param(value: &Value) -> String {
    match value {
        Value::Number(value) if value.is_f64() => number(value.as_f64().unwrap_or_default()),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// A large count with thousands apart.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a terminal must not be sent: the control characters of a text become
/// visible.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{count, duration, number, printable};
    use std::time::Duration;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.123_456, "0.1235"),
            (0.000_123_44, "0.0001234"),
            (999_999.0, "999999"),
            (12.0, "12"),
            (0.97, "0.97"),
            (1234.567, "1235"),
            (0.000_01, "1.000e-5"),
            (-2.5e9, "-2.500e9"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (12, "12ms"),
            (4200, "4.2s"),
            (187_000, "3m 07s"),
            (3_725_000, "1h 02m"),
            (200_000_000, "2d 07h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!(count(12), "12");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn output_can_not_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\tx"), "\u{fffd}[31mred\tx");
    }
}
