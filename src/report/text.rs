//! Numbers, times and names as people read them.

use std::collections::BTreeMap;
use std::time::Duration;

/// Prefix of the system metrics, which have their own page in MLflow.
const SYSTEM: &str = "system/";

/// A number with four significant digits, without an exponent where that is
/// easy to read.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        format!("{value}")
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.3e}")
    } else {
        let mut decimals = 3;
        let mut bound = 10.0;
        while size >= bound && decimals > 0 {
            (bound, decimals) = (bound * 10.0, decimals - 1);
        }
        bound = 1.0;
        while size < bound {
            (bound, decimals) = (bound / 10.0, decimals + 1);
        }
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }
}

/// A duration as in `1h 02m`, `3m 07s`, `4.2s` or `12ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() < 1000 => format!("{}ms", duration.as_millis()),
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Metrics on one line, the system's own left out.
pub(crate) fn metrics(metrics: &BTreeMap<String, f64>) -> String {
    metrics
        .iter()
        .filter(|(key, _)| !key.starts_with(SYSTEM))
        .map(|(key, value)| format!("{key} {}", number(*value)))
        .collect::<Vec<_>>()
        .join("  ")
}

/// A large count with thousands apart.
pub(crate) fn count(count: u64) -> String {
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
pub(crate) fn printable(text: &str) -> String {
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
