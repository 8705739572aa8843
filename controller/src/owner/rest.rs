//! How soon one snapshot may follow another: at once where little happens, and once for much where much does.

use std::time::Duration;

/// The least time from one snapshot to the next.
const REST_MIN: Duration = Duration::from_millis(1);

/// The same for each session: every snapshot wakes all of them, and each takes a microsecond to see whether it is concerned, so
/// that a fifth of the time goes into that at most.
const REST_EACH_SESSION: Duration = Duration::from_micros(5);

/// The same by what the last snapshot took: a fifth of the owner's time goes into snapshots at most.
const REST_TIMES: u32 = 5;

/// Nobody waits for longer: half of what a change may take to become visible.
const REST_MAX: Duration = Duration::from_millis(10);

/// How long the owner takes changes in, from one snapshot that took this long until the next.
pub(super) fn rest(took: Duration, sessions: usize) -> Duration {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
    let wakes = REST_EACH_SESSION.saturating_mul(sessions);
    wakes.max(took.saturating_mul(REST_TIMES)).clamp(REST_MIN, REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_costs_little_rests_little_and_nobody_for_long() {
        for (took_us, sessions, rest_us) in [
            (0, 0, 1_000),
            (150, 100, 1_000),
            (150, 600, 3_000),
            (700, 600, 3_500),
            (700, 2_000, 10_000),
            (2_500, 0, 10_000),
            (u64::MAX, usize::MAX, 10_000),
        ] {
            let rest = rest(Duration::from_micros(took_us), sessions);
            assert_eq!(rest, Duration::from_micros(rest_us), "{took_us} us, {sessions} sessions");
        }
    }
}
