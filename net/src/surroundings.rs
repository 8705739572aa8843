//! What a process takes from the machine without asking anybody: chance, and the time of day. A simulation gives both to
//! the thread that it runs on, so that a restart finds a clock that went on, and a seed means the same twice.
//!
//! In life nobody has given anything, which costs one look at a variable of the thread.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
    time::SystemTime,
};

use crate::Jitter;

thread_local! {
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    static TIME_OF_DAY: Cell<Option<SystemTime>> = const { Cell::new(None) };
}

/// The time of day: for people, files and what outlives the process, never for measuring.
pub fn time_of_day() -> SystemTime {
    TIME_OF_DAY.get().unwrap_or_else(SystemTime::now)
}

/// What everything on this thread takes for the time of day from now on; the machine's again with none.
pub fn pretend_time_of_day(time: Option<SystemTime>) {
    TIME_OF_DAY.set(time);
}

/// What all chance on this thread is drawn from, from now on; the machine's again with none.
pub fn pretend_chance(seed: Option<u64>) {
    CHANCE.set(seed);
}

/// A number that nobody could have guessed; the standard library's maps are keyed with such.
pub(crate) fn entropy() -> u64 {
    let Some(seed) = CHANCE.get() else { return RandomState::new().build_hasher().finish() };
    let drawn = Jitter::new(seed).next_u64();
    CHANCE.set(Some(drawn));
    drawn
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn who_is_given_a_seed_and_a_time_has_them_on_this_thread_alone() {
        let (noon, before) = (SystemTime::UNIX_EPOCH + Duration::from_secs(43_200), SystemTime::now());
        pretend_time_of_day(Some(noon));
        pretend_chance(Some(7));
        let first: Vec<_> = (0..3).map(|_| Jitter::from_entropy().next_u64()).collect();
        pretend_chance(Some(7));
        let again: Vec<_> = (0..3).map(|_| Jitter::from_entropy().next_u64()).collect();
        assert!(first == again && first[0] != first[1] && time_of_day() == noon);
        let others = thread::spawn(|| (time_of_day(), Jitter::from_entropy().next_u64())).join().unwrap();
        assert!(others.0 >= before && !first.contains(&others.1));

        pretend_time_of_day(None);
        pretend_chance(None);
        assert!(time_of_day() >= before && !first.contains(&Jitter::from_entropy().next_u64()));
    }
}
