//! The tripwires: one idle connection to each address that is probed, whose end asks for a probe at once. A value; time comes
//! in as an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// A connection that ended sooner was hung up on, and not idle for too long.
const HUNG_UP_WITHIN_MS: u64 = 2_000;
/// Who hangs up at once is tried again after this, then after twice as long each time.
const PAUSE_MIN_MS: u64 = 1_000;
/// So rarely that nobody minds; probes go on as ever.
const PAUSE_MAX_MS: u64 = 60_000;

/// Holds the tripwires.
#[derive(Debug, Default)]
pub(super) struct Wires(BTreeMap<SocketAddr, Wire>);

#[derive(Debug, Default)]
struct Wire {
    held: bool,
    /// Its last probe was answered: somebody is there to be connected with.
    answered: bool,
    not_before_ms: u64,
    pause_ms: u64,
}

// === impl Wires ===

impl Wires {
    /// These addresses are probed. Gives those that are not any more, and were held.
    pub(super) fn set(&mut self, targets: &BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
        let left = self.0.iter().filter(|(target, wire)| !targets.contains(target) && wire.held);
        let left = left.map(|(target, _)| *target).collect();
        self.0.retain(|target, _| targets.contains(target));
        for target in targets {
            self.0.entry(*target).or_default();
        }
        left
    }

    /// How a probe of this address ended: whether anybody was there.
    pub(super) fn probed(&mut self, target: SocketAddr, answered: bool) {
        let Some(wire) = self.0.get_mut(&target) else { return };
        wire.answered = answered;
        if !answered {
            // It had died, and did not hang up: who comes in its place starts with a clean slate.
            (wire.pause_ms, wire.not_before_ms) = (0, 0);
        }
    }

    /// The connections that are to be made now; they count as held from here on.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<SocketAddr> {
        let due = self.0.iter_mut().filter(|(_, wire)| wire.is_wanted() && wire.not_before_ms <= now_ms);
        due.map(|(target, wire)| {
            wire.held = true;
            *target
        })
        .collect()
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.0.values().filter(|wire| wire.is_wanted()).map(|wire| wire.not_before_ms).min()
    }

    /// It ended after so long, or was never made. Not made again before a probe is answered.
    pub(super) fn ended(&mut self, target: SocketAddr, lived_ms: Option<u64>, now_ms: u64) {
        let Some(wire) = self.0.get_mut(&target) else { return };
        wire.pause_ms = match lived_ms {
            Some(lived_ms) if lived_ms >= HUNG_UP_WITHIN_MS => 0,
            _ => (2 * wire.pause_ms).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS),
        };
        wire.not_before_ms = now_ms.saturating_add(wire.pause_ms);
        (wire.held, wire.answered) = (false, false);
    }
}

// === impl Wire ===

impl Wire {
    fn is_wanted(&self) -> bool {
        self.answered && !self.held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 80);

    fn one() -> Wires {
        let mut wires = Wires::default();
        assert_eq!(wires.set(&[TARGET].into()), []);
        wires
    }

    #[test]
    fn it_is_made_once_a_probe_was_answered_and_an_idle_timeout_costs_one_reconnect() {
        let mut wires = one();
        assert_eq!((wires.take(0), wires.wake_at_ms()), (vec![], None), "nobody has answered");
        wires.probed(TARGET, true);
        assert_eq!(wires.take(0), [TARGET]);
        wires.probed(TARGET, true);
        assert_eq!((wires.take(1), wires.wake_at_ms()), (vec![], None), "it is held");
        wires.ended(TARGET, Some(5_000), 5_000);
        assert_eq!(wires.take(5_000), [], "a probe comes first");
        wires.probed(TARGET, true);
        assert_eq!(wires.take(5_001), [TARGET]);
        assert_eq!(wires.set(&BTreeSet::new()), [TARGET], "not probed any more");
    }

    #[test]
    fn who_hangs_up_at_once_is_tried_more_and_more_rarely() {
        let mut wires = one();
        let (mut now_ms, mut pauses) = (0, Vec::new());
        for _ in 0..9 {
            wires.probed(TARGET, true);
            let at_ms = wires.wake_at_ms().unwrap().max(now_ms);
            pauses.push(at_ms - now_ms);
            now_ms = at_ms;
            assert_eq!(wires.take(now_ms), [TARGET]);
            wires.ended(TARGET, Some(3), now_ms);
        }
        assert_eq!(pauses, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        wires.probed(TARGET, true);
        now_ms += 60_000;
        assert_eq!(wires.take(now_ms), [TARGET]);
        wires.ended(TARGET, Some(30_000), now_ms + 30_000);
        wires.probed(TARGET, true);
        assert_eq!(wires.take(now_ms + 30_000), [TARGET], "it was held long enough");
    }

    #[test]
    fn who_died_had_not_hung_up() {
        let mut wires = one();
        wires.probed(TARGET, true);
        wires.take(0);
        wires.ended(TARGET, Some(3), 3);
        wires.probed(TARGET, false);
        wires.probed(TARGET, true);
        assert_eq!(wires.take(50), [TARGET]);
    }

    proptest! {
        /// However a server behaves that answers: it is not connected with more than once a second, unless it held on for two.
        #[test]
        fn there_is_no_storm(lives in proptest::collection::vec(proptest::option::of(0u64..6_000), 1..40)) {
            let mut wires = one();
            let (mut now_ms, mut made) = (0, 0u64);
            for lived_ms in &lives {
                wires.probed(TARGET, true);
                now_ms = wires.wake_at_ms().unwrap().max(now_ms);
                prop_assert_eq!(wires.take(now_ms), vec![TARGET]);
                made += 1;
                now_ms += lived_ms.unwrap_or(0);
                wires.ended(TARGET, *lived_ms, now_ms);
            }
            prop_assert!(made <= 1 + now_ms / PAUSE_MIN_MS + 1, "{made} in {now_ms} ms");
        }
    }
}
