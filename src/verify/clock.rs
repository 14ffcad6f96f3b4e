//! The clock, beside those that it should agree with.

use super::Check;
use jiff::Timestamp;

/// The machine's clock beside others.
pub(super) struct Clock {
    pub(super) now_ms: i64,
    /// When the newest run began.
    pub(super) newest_ms: Option<u64>,
    /// By how many seconds the others are ahead.
    pub(super) store_ahead_s: Option<i64>,
    pub(super) server_ahead_s: Option<i64>,
}

/// 1 January 2026, before which there was no explr.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// Clocks that differ by more than this are worth a word.
const SKEW_S: i64 = 60;

pub(super) fn clock(clock: &Clock) -> Check {
    let name = "clock";
    let fix = "sudo timedatectl set-ntp true";
    let Ok(now) = Timestamp::from_millisecond(clock.now_ms) else {
        return Check::failure(name, "it tells no time that has a date", fix);
    };
    let now = now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if clock.now_ms < BEGINNING_MS {
        return Check::failure(name, format!("{now}, which is long past"), fix);
    }
    let newest = clock.newest_ms.and_then(|ms| i64::try_from(ms).ok());
    let newest_ahead = newest.map(|newest| (newest - clock.now_ms) / 1000);
    let off = [
        (
            newest_ahead.filter(|ahead| *ahead > 0),
            "the start of the newest run",
        ),
        (clock.store_ahead_s, "the clock of the store's file system"),
        (clock.server_ahead_s, "the clock of the MLflow server"),
    ]
    .into_iter()
    .find_map(|(ahead, whose)| {
        let ahead = ahead.filter(|ahead| ahead.abs() > SKEW_S)?;
        let way = if ahead > 0 { "later" } else { "earlier" };
        Some(format!("{whose} is {} s {way}", ahead.abs()))
    });
    match off {
        Some(off) => Check::warning(name, format!("{now}; {off}"), fix),
        None => Check::ok(name, now),
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING_MS, Clock, clock};
    use crate::verify::Verdict;

    const NOW: i64 = BEGINNING_MS + 86_400_000;

    fn at(now_ms: i64) -> Clock {
        Clock {
            now_ms,
            newest_ms: None,
            store_ahead_s: None,
            server_ahead_s: None,
        }
    }

    #[test]
    fn a_clock_of_the_past_is_a_failure() {
        let check = clock(&at(0));
        assert!(check.seen.starts_with("1970-01-01"), "{check:?}");
        assert!(matches!(check.verdict, Verdict::Failure { .. }));
        let wrong = clock(&at(i64::MAX)).verdict;
        assert!(matches!(wrong, Verdict::Failure { .. }));
        assert_eq!(clock(&at(NOW)).verdict, Verdict::Ok);
    }

    #[test]
    fn clocks_that_differ_are_a_warning() {
        let minute = u64::try_from(NOW).unwrap() + 61_000;
        let set_back = Clock {
            newest_ms: Some(minute),
            ..at(NOW)
        };
        let check = clock(&set_back);
        let text = "the start of the newest run is 61 s later";
        assert!(check.seen.ends_with(text), "{check:?}");
        assert!(matches!(check.verdict, Verdict::Warning { .. }));
        let slow_server = Clock {
            store_ahead_s: Some(1),
            server_ahead_s: Some(-3600),
            ..at(NOW)
        };
        let check = clock(&slow_server);
        assert!(
            check.seen.ends_with("MLflow server is 3600 s earlier"),
            "{check:?}"
        );
        assert!(matches!(check.verdict, Verdict::Warning { .. }));
        let long_ago = Clock {
            newest_ms: Some(0),
            ..at(NOW)
        };
        assert_eq!(clock(&long_ago).verdict, Verdict::Ok);
    }
}
