//! Which names the app is interested in: learned from its lookups, bounded, and forgotten where nothing came of it.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceKey;
use rollcall_wire::limits::SUBSCRIPTIONS_MAX;
use tokio::time::{Duration, Instant};

/// Unknown names held, so that their appearance is pushed: enough for an app's optional peers, few enough that one
/// who asks for random names cannot fill the table.
pub(crate) const UNKNOWN_MAX: usize = 256;

/// How long an unknown name is held after it was last asked for.
pub(crate) const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// A known name that nobody asked for in so long gives its place to a new one, where there is no other place: an app that
/// still needs it asks more often, or watches it.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(600);

/// A service that did not fit is asked for again so much later at the earliest: it is large, and each try costs all of it.
pub(crate) const TOO_LARGE_FOR: Duration = Duration::from_secs(60);

/// Holds the names that are subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    names: BTreeMap<ServiceKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    asked: Instant,
    learned: Option<Learned>,
    /// When that was.
    learned_at: Instant,
}

/// Says what is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// There is such a service, so that the name is kept.
    Known,
    /// There is one, and it does not fit: nobody subscribes to it.
    TooLarge,
    Unknown,
}

/// Says what a lookup's wish leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Subscribed already.
    Held,
    /// To be subscribed to, after this name was dropped for it.
    New { dropped: Option<ServiceKey> },
    /// It was too large a while ago, and is to be tried again.
    Again,
    /// There is no room.
    Full,
}

// === impl Interest ===

impl Interest {
    /// The app asked for this name. Where there is no room, the unknown one that was longest unasked goes for it, but for
    /// those that are followed: who waits for one would ask for it again at once, and take the place of the next.
    pub(crate) fn ask(
        &mut self,
        key: &ServiceKey,
        now: Instant,
        is_followed: impl Fn(&ServiceKey) -> bool,
    ) -> Wish {
        if let Some(entry) = self.names.get_mut(key) {
            entry.asked = now;
            let learned_for = now.saturating_duration_since(entry.learned_at);
            if entry.learned == Some(Learned::TooLarge) && learned_for >= TOO_LARGE_FOR {
                (entry.learned, entry.learned_at) = (None, now);
                return Wish::Again;
            }
            return Wish::Held;
        }
        let unknown = self.names.values().filter(|entry| !entry.is_known()).count();
        let dropped = if self.is_full() || unknown >= UNKNOWN_MAX {
            let Some(idlest) = self.idlest(now, is_followed).cloned() else { return Wish::Full };
            self.names.remove(&idlest);
            Some(idlest)
        } else {
            None
        };
        self.names.insert(key.clone(), Entry { asked: now, learned: None, learned_at: now });
        Wish::New { dropped }
    }

    /// Whether a new name has to take the place of another.
    pub(crate) fn is_full(&self) -> bool {
        self.names.len() >= SUBSCRIPTIONS_MAX
    }

    /// A known name was looked up: the agent hears of that by and by, since those lookups do not pass it.
    pub(crate) fn looked_up(&mut self, key: &ServiceKey, now: Instant) {
        if let Some(entry) = self.names.get_mut(key).filter(|entry| entry.is_known()) {
            entry.asked = now;
        }
    }

    /// Who has to make room: the unknown name that nobody asked for the longest, else a known one after its time.
    fn idlest(&self, now: Instant, is_followed: impl Fn(&ServiceKey) -> bool) -> Option<&ServiceKey> {
        let idle = |entry: &Entry| now.saturating_duration_since(entry.asked) >= KNOWN_FOR;
        let meant = self.names.iter().filter(|(_, entry)| !entry.is_known() || idle(entry));
        let meant = meant.filter(|(key, _)| !is_followed(key));
        meant.min_by_key(|(_, entry)| (entry.is_known(), entry.asked)).map(|(key, _)| key)
    }

    /// An earlier process learned of this name; whether there is room for it.
    pub(crate) fn restore(&mut self, key: &ServiceKey, now: Instant) -> bool {
        let room = !self.is_full();
        if room {
            let entry = Entry { asked: now, learned: Some(Learned::Known), learned_at: now };
            self.names.insert(key.clone(), entry);
        }
        room
    }

    /// The controller told this of the name.
    pub(crate) fn learn(&mut self, key: &ServiceKey, learned: Learned, now: Instant) {
        if let Some(entry) = self.names.get_mut(key) {
            if entry.is_known() && learned != Learned::Known {
                // A service that vanished has the full time to come back.
                entry.asked = now;
            }
            (entry.learned, entry.learned_at) = (Some(learned), now);
        }
    }

    /// Drops the names that nobody asked for in a while and nothing is held of.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<ServiceKey> {
        let stale =
            |entry: &Entry| !entry.is_known() && now.saturating_duration_since(entry.asked) >= UNKNOWN_FOR;
        let expired: Vec<_> =
            self.names.iter().filter(|(_, entry)| stale(entry)).map(|(key, _)| key.clone()).collect();
        self.names.retain(|_, entry| !stale(entry));
        expired
    }
}

// === impl Entry ===

impl Entry {
    fn is_known(&self) -> bool {
        self.learned == Some(Learned::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ServiceKey {
        format!("s{number}.shop").parse().unwrap()
    }

    fn nobody(_: &ServiceKey) -> bool {
        false
    }

    #[test]
    fn unknown_names_are_few_and_the_longest_unasked_goes_first() {
        let mut interest = Interest::default();
        let begin = Instant::now();
        for n in 0..UNKNOWN_MAX {
            let now = begin + Duration::from_millis(n as u64);
            assert_eq!(interest.ask(&key(n), now, nobody), Wish::New { dropped: None });
        }
        let later = begin + Duration::from_secs(1);
        assert_eq!(interest.ask(&key(0), later, nobody), Wish::Held);
        assert_eq!(interest.ask(&key(9_999), later, nobody), Wish::New { dropped: Some(key(1)) });
        let held = |number| interest.names.contains_key(&key(number));
        assert!(held(0) && !held(1));
        let first = begin + Duration::from_millis(2) + UNKNOWN_FOR;
        assert_eq!(interest.expire(first), [key(2)], "the only one that nobody asked for in so long");
        assert_eq!(interest.expire(later + UNKNOWN_FOR).len(), UNKNOWN_MAX - 1);
    }

    #[test]
    fn what_is_followed_is_not_given_up_for_another_name() {
        let mut interest = Interest::default();
        let begin = Instant::now();
        for n in 0..UNKNOWN_MAX {
            interest.ask(&key(n), begin + Duration::from_millis(n as u64), nobody);
        }
        let later = begin + Duration::from_secs(1);
        let all_but = |number| move |name: &ServiceKey| *name != key(number);
        assert_eq!(interest.ask(&key(9_998), later, all_but(200)), Wish::New { dropped: Some(key(200)) });
        assert_eq!(interest.ask(&key(9_999), later, |_| true), Wish::Full);
        assert_eq!(interest.names.len(), UNKNOWN_MAX);
    }

    #[test]
    fn known_names_stay_up_to_the_limit() {
        let mut interest = Interest::default();
        let now = Instant::now();
        for n in 0..SUBSCRIPTIONS_MAX {
            assert_eq!(interest.ask(&key(n), now, nobody), Wish::New { dropped: None });
            interest.learn(&key(n), Learned::Known, now);
        }
        assert!(interest.expire(now + UNKNOWN_FOR * 2).is_empty());
        assert_eq!(interest.ask(&key(9_999), now, nobody), Wish::Full);
        let later = now + UNKNOWN_FOR;
        interest.learn(&key(3), Learned::Unknown, later);
        assert!(interest.expire(later).is_empty(), "it has just vanished");
        assert_eq!(interest.ask(&key(9_999), later, nobody), Wish::New { dropped: Some(key(3)) });
    }

    #[test]
    fn a_known_name_makes_room_once_nobody_asked_for_it_in_a_while() {
        let mut interest = Interest::default();
        let begin = Instant::now();
        for n in 0..SUBSCRIPTIONS_MAX {
            assert!(interest.restore(&key(n), begin + Duration::from_millis(n as u64)));
        }
        let later = begin + KNOWN_FOR;
        assert_eq!(
            interest.ask(&key(9_999), later - Duration::from_millis(1), nobody),
            Wish::Full,
            "all are in use"
        );
        interest.looked_up(&key(0), later);
        let due = later + Duration::from_millis(1);
        assert_eq!(interest.ask(&key(9_999), due, nobody), Wish::New { dropped: Some(key(1)) });
        assert_eq!(
            interest.ask(&key(9_998), due, nobody),
            Wish::New { dropped: Some(key(9_999)) },
            "unknown ones first"
        );
    }

    #[test]
    fn what_is_too_large_is_tried_again_after_a_while_and_only_if_it_is_asked_for() {
        let mut interest = Interest::default();
        let begin = Instant::now();
        interest.ask(&key(1), begin, nobody);
        interest.learn(&key(1), Learned::TooLarge, begin);
        let half = begin + TOO_LARGE_FOR / 2;
        assert_eq!(interest.ask(&key(1), half, nobody), Wish::Held);
        let later = begin + TOO_LARGE_FOR;
        assert!(interest.expire(later).is_empty(), "it is asked for");
        assert_eq!(interest.ask(&key(1), later, nobody), Wish::Again);
        assert_eq!(interest.ask(&key(1), later, nobody), Wish::Held, "one try at a time");
        interest.learn(&key(1), Learned::TooLarge, later);
        assert_eq!(interest.expire(later + UNKNOWN_FOR), [key(1)], "nobody asks any more");
        assert_eq!(interest.ask(&key(1), later + UNKNOWN_FOR, nobody), Wish::New { dropped: None });
    }

    #[test]
    fn names_of_an_earlier_process_are_kept_as_far_as_there_is_room() {
        let mut interest = Interest::default();
        let now = Instant::now();
        let restored = (0..2 * SUBSCRIPTIONS_MAX).filter(|n| interest.restore(&key(*n), now)).count();
        assert_eq!(restored, SUBSCRIPTIONS_MAX);
        assert!(interest.expire(now + UNKNOWN_FOR * 2).is_empty());
    }
}
