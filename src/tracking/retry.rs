//! When to call again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A server may ask for patience, but not for all day.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// How often an answer 500 is tried again before the request counts as the
/// cause: MLflow answers 500 to a body that it can't digest as well as to a
/// moment of trouble.
pub(super) const SERVER_ERRORS: u32 = 4;

/// The pause before attempt number `attempt` (from 1 for the first retry).
///
/// `jitter`, from 0 to 1, spreads the clients of a server that came back.
pub(super) fn pause(attempt: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    doubled
        .min(LONGEST)
        .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Reads a `Retry-After` header; only its form in seconds, which is what
/// servers send.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A number from 0 to 1 that differs from process to process and call to call.
pub(super) fn jitter() -> f64 {
    f64::from(u16::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff).unwrap_or(0)) / 65535.0
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, LONGEST_ASKED, pause, retry_after};
    use std::time::Duration;

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses: Vec<_> = (1..50).map(|attempt| pause(attempt, None, 1.0)).collect();
        assert_eq!(pauses[0], Duration::from_millis(500));
        assert_eq!(pauses[1], Duration::from_secs(1));
        assert!(pauses.is_sorted());
        assert_eq!(*pauses.last().unwrap(), LONGEST);
    }

    #[test]
    fn jitter_shortens_a_pause_by_half_at_most() {
        assert_eq!(pause(2, None, 0.0), Duration::from_millis(500));
    }

    #[test]
    fn the_server_s_own_wish_comes_first_within_reason() {
        assert_eq!(pause(9, retry_after("2"), 0.3), Duration::from_secs(2));
        assert_eq!(pause(1, retry_after("86400"), 0.3), LONGEST_ASKED);
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
