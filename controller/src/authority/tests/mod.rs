mod keeping;
mod pairs;
mod plans;
mod stories;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Authority, Terms, state::State};

/// Terms that are over within minutes: a look each 6 s, heard within 15 s.
const SHORT: Terms = Terms {
    authority: Duration::from_secs(800),
    overlap: Duration::from_secs(100),
    leaf: Duration::from_secs(72),
};

/// A time of day to begin with; the real one, since certificates are judged by it.
fn begin() -> SystemTime {
    super::state::whole_seconds(SystemTime::now())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A new authority, good for so long.
fn authority(valid_for: Duration, now: SystemTime) -> Arc<Authority> {
    Arc::new(Authority::made("test", valid_for, now).unwrap())
}

/// One is announced that signs so long from now.
fn announced(current: &Arc<Authority>, before: &Arc<Authority>, now: SystemTime, after: Duration) -> State {
    State::steady(before.clone()).announcing(current.clone(), now, after)
}
