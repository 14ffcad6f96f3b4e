//! Moments and values as people read them.

pub(crate) use explr::report::text::{duration, number, params, printable};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::time::Duration;

/// A moment, in local time, to the second.
pub(crate) fn moment(millis: u64) -> String {
    in_zone(millis, &TimeZone::system(), "%Y-%m-%d %H:%M:%S")
}

fn in_zone(millis: u64, zone: &TimeZone, format: &str) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .map_or_else(
            || "unknown".to_owned(),
            |time| {
                time.to_zoned_datetime(zone.clone())
                    .strftime(format)
                    .to_string()
            },
        )
}

/// Moments older than this have no "ago": the date says more.
const RECENT_MS: u64 = 7 * 86_400_000;

/// A moment, in local time to the minute, and how long it is past.
pub(crate) fn started(millis: u64, now: u64, zone: &TimeZone) -> String {
    let moment = in_zone(millis, zone, "%Y-%m-%d %H:%M");
    let past = now.saturating_sub(millis);
    if past > RECENT_MS {
        return moment;
    }
    let ago = match past / 1000 {
        0..60 => "now".to_owned(),
        seconds @ 60..3600 => format!("{}m ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    };
    format!("{moment} ({ago})")
}

/// A parameter: text without quotes, anything else as JSON.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The same as [`printable`], on one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "⏎").replace('\t', " ")
}

/// A duration as typed: `90s`, `30m`, `12h`, `7d`, `2w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write 90s, 30m, 12h, 7d or 2w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    text[..text.len() - 1]
        .trim()
        .parse::<u32>()
        .map(|count| Duration::from_secs(u64::from(count) * seconds))
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_says_how_long_ago_while_that_is_news() {
        let at = 1_732_412_345_678;
        let of = |past| started(at, at + past, &TimeZone::UTC);
        assert_eq!(of(0), "2024-11-24 01:39 (now)");
        assert_eq!(of(240_000), "2024-11-24 01:39 (4m ago)");
        assert_eq!(of(7_300_000), "2024-11-24 01:39 (2h ago)");
        assert_eq!(of(3 * 86_400_000), "2024-11-24 01:39 (3d ago)");
        assert_eq!(of(30 * 86_400_000), "2024-11-24 01:39");
        // A clock that was set back.
        assert_eq!(
            started(at, at - 5000, &TimeZone::UTC),
            "2024-11-24 01:39 (now)"
        );
        assert_eq!(started(u64::MAX, 0, &TimeZone::UTC), "unknown (now)");
    }

    #[test]
    fn durations_are_read_as_they_are_typed() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "7", "d", "-1d", "1y", "1.5h", "7é", "99999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
