//! How soon one snapshot may follow another: at once where little happens, and once for much where much does.

use std::time::Duration;

/// The least time from one snapshot to the next: what a burst of frames or events takes to come in.
const REST_MIN: Duration = Duration::from_millis(1);

/// The same by what the last snapshot took: a fifth of the owner's time goes into them, as long as one takes no more than 2 ms.
const REST_TIMES: u32 = 5;

/// Nobody waits for longer: half of what a change may take to become visible.
const REST_MAX: Duration = Duration::from_millis(10);

/// How long the owner takes changes in, from the beginning of a snapshot that took this long until the next.
pub(super) fn rest(took: Duration) -> Duration {
    took.saturating_mul(REST_TIMES).clamp(REST_MIN, REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_little_rests_little_and_nobody_for_long() {
        for (took_us, rest_us) in
            [(0, 1_000), (150, 1_000), (300, 1_500), (1_900, 9_500), (2_500, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(rest(Duration::from_micros(took_us)), Duration::from_micros(rest_us), "{took_us} us");
        }
    }
}
