//! Whether sessions that are sent to another replica arrive there, and how long one is left alone where they do not.
//!
//! That replicas hear each other says nothing of the way that sidecars have. Whoever is sent where there is none is out of
//! step for seconds, and comes back.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::spread::UNDER_WAY;

/// So long after the first one was sent, half of them are to be there: who finds no way has given up after 3 s, and a
/// replica tells how many it has each second.
const ARRIVED_WITHIN: Duration = Duration::from_secs(5);
/// A replica where they did not arrive is left alone for so long, twice as long each further time, up to the other one: a
/// network that was cut is mended in minutes, a rule that keeps sidecars away stays.
const ALONE_FOR: Duration = Duration::from_secs(60);
const ALONE_FOR_MAX: Duration = Duration::from_secs(600);

/// Holds what came of those who were sent away, by where to.
#[derive(Debug, Default)]
pub(crate) struct Trials(BTreeMap<SocketAddr, Trial>);

/// Holds that of one replica. All times are of one clock that the caller has.
#[derive(Debug, Default)]
struct Trial {
    running: Option<Sent>,
    alone_until: Duration,
    /// How often in a row they did not arrive.
    failed: u32,
}

/// Holds those who are to be there by a time.
#[derive(Debug, Clone, Copy)]
struct Sent {
    since: Duration,
    /// The sessions that the replica had before.
    had: u32,
    sent: u32,
}

// === impl Trials ===

impl Trials {
    /// One was sent to a replica that says that it has so many.
    pub(crate) fn sent(&mut self, to: SocketAddr, had: u32, now: Duration) {
        let trial = self.0.entry(to).or_default();
        let running = trial.running.get_or_insert(Sent { since: now, had, sent: 0 });
        // Those who are sent later may still be under way at the end.
        if now.saturating_sub(running.since) + UNDER_WAY <= ARRIVED_WITHIN {
            running.sent = running.sent.saturating_add(1);
        }
    }

    /// Takes how many sessions each has now; gives those that are left alone from now on, and for how long.
    pub(crate) fn look(
        &mut self,
        sessions: &BTreeMap<SocketAddr, u32>,
        now: Duration,
    ) -> Vec<(SocketAddr, Duration)> {
        let mut left = Vec::new();
        for (address, trial) in &mut self.0 {
            let is_over = |sent: &mut Sent| now.saturating_sub(sent.since) >= ARRIVED_WITHIN;
            // Of one that is not heard now, nobody knows who has arrived.
            let Some(over) = trial.running.take_if(is_over) else { continue };
            let Some(has) = sessions.get(address) else { continue };
            if u64::from(has.saturating_sub(over.had)) * 2 < u64::from(over.sent) {
                let alone_for =
                    ALONE_FOR.saturating_mul(2_u32.saturating_pow(trial.failed)).min(ALONE_FOR_MAX);
                (trial.failed, trial.alone_until) = (trial.failed.saturating_add(1), now + alone_for);
                left.push((*address, alone_for));
            } else {
                trial.failed = 0;
            }
        }
        // What failed is remembered for a while longer than it counts, and no address for ever.
        self.0.retain(|_, trial| trial.running.is_some() || now < trial.alone_until + ALONE_FOR_MAX);
        left
    }

    pub(crate) fn leaves_alone(&self, address: SocketAddr, now: Duration) -> bool {
        self.0.get(&address).is_some_and(|trial| now < trial.alone_until)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn at(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 7310).into()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn half_of_those_who_were_sent_are_to_be_there_after_five_seconds() {
        // Of 10 that were sent to one that had 100: what it has after so many seconds, and whether it is left alone.
        let table = [
            ("none arrived", 100, 5, true),
            ("others left meanwhile", 90, 5, true),
            ("too few", 104, 5, true),
            ("half", 105, 5, false),
            ("all", 110, 5, false),
            ("it is not time yet", 100, 4, false),
        ];
        for (what, has, after, alone) in table {
            let mut trials = Trials::default();
            (0..10).for_each(|_| trials.sent(at(1), 100, seconds(20)));
            // These may still be under way.
            (0..50).for_each(|_| trials.sent(at(1), 100, seconds(23)));
            let now = seconds(20 + after);
            let left = trials.look(&[(at(1), has)].into(), now);
            assert_eq!(left, alone.then_some((at(1), ALONE_FOR)).into_iter().collect::<Vec<_>>(), "{what}");
            assert_eq!(trials.leaves_alone(at(1), now), alone, "{what}");
            assert!(!trials.leaves_alone(at(1), now + ALONE_FOR), "{what}: not for good");
            assert!(!trials.leaves_alone(at(2), now), "{what}: another one");
        }
    }

    #[test]
    fn the_time_doubles_up_to_ten_minutes_and_begins_anew_with_one_that_grows() {
        let mut trials = Trials::default();
        let mut now = Duration::ZERO;
        let mut tries = |trials: &mut Trials, has: u32| {
            now += seconds(1_000);
            // What was before must be remembered until the next try, which comes when it is over.
            trials.sent(at(1), 0, now);
            let left = trials.look(&[(at(1), has)].into(), now + ARRIVED_WITHIN);
            now = now + ARRIVED_WITHIN + left.first().map_or(Duration::ZERO, |(_, alone)| *alone)
                - seconds(1_000);
            left.first().map(|(_, alone)| alone.as_secs())
        };
        let alone: Vec<_> = [0, 0, 0, 0, 0, 0, 1, 0].map(|has| tries(&mut trials, has)).into();
        let expected = [Some(60), Some(120), Some(240), Some(480), Some(600), Some(600), None, Some(60)];
        assert_eq!(alone, expected);
        trials.look(&BTreeMap::new(), now + seconds(10_000));
        assert!(trials.0.is_empty(), "no address is remembered for ever");
    }

    proptest! {
        /// Whoever comes to nobody costs few: of those that would be sent in an hour, all but those of some tries stay.
        #[test]
        fn few_are_sent_where_nobody_arrives(
            had in 0..1_000_u32,
            losses in vec(0..3_u32, 3_600),
        ) {
            let (mut trials, mut sent, mut has) = (Trials::default(), 0, had);
            for (second, lost) in (0..).zip(losses) {
                let now = seconds(second);
                has = has.saturating_sub(lost);
                trials.look(&[(at(1), has)].into(), now);
                if !trials.leaves_alone(at(1), now) {
                    trials.sent(at(1), has, now);
                    sent += 1;
                }
            }
            // Five seconds each, after 0, 1, 3, 7, 15, 25, 35, 45 and 55 minutes.
            prop_assert!(sent <= 9 * 5, "{sent}");
        }

        /// Where all arrive, nobody is left alone, whoever else comes.
        #[test]
        fn nobody_is_left_alone_where_they_arrive(counts in vec((0..5_u32, 0..5_u32), 1..200)) {
            let (mut trials, mut has) = (Trials::default(), 10_u32);
            for (second, (sent, others)) in (0..).zip(counts) {
                let now = seconds(second);
                prop_assert_eq!(trials.look(&[(at(1), has)].into(), now), vec![]);
                (0..sent).for_each(|_| trials.sent(at(1), has, now));
                has += sent + others;
            }
        }
    }
}
