//! The looks: whether somebody still listens at each address that is probed. Who did and does not any more is asked at once,
//! long before his next probe. A value; time comes in as an argument.
//!
//! Nobody is connected with for this. A connection that is held without a word would tell the end of an app sooner still, and
//! a server that serves one connection at a time would serve nobody else meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use rollcall_catalogue::liveness::Answer;

/// An app that has crashed is to be out of all lookups within 250 ms, and the rest of the way has its share of that.
const LOOK_EVERY_MS: u64 = 150;
/// However fast one comes and goes, he is asked beside his probes no more often than this.
const APART_MIN_MS: u64 = 1_000;
/// Where the kernel does not tell, it is asked again after this.
const BLIND_FOR_MS: u64 = 60_000;

/// Holds what the last look found.
#[derive(Debug, Default)]
pub(super) struct Looks {
    seen: BTreeMap<SocketAddr, Seen>,
    next_at_ms: u64,
    /// The last look failed.
    blind: bool,
}

#[derive(Debug, Default)]
struct Seen {
    listens: bool,
    quiet_until_ms: u64,
}

// === impl Looks ===

impl Looks {
    /// These addresses are probed.
    pub(super) fn set(&mut self, targets: &BTreeSet<SocketAddr>) {
        self.seen.retain(|target, _| targets.contains(target));
        for target in targets {
            self.seen.entry(*target).or_default();
        }
    }

    /// The addresses to be looked at now. Who was away for long looks once.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<SocketAddr> {
        if now_ms < self.next_at_ms {
            return Vec::new();
        }
        self.next_at_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        self.blind = false;
        self.seen.keys().copied().collect()
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        (!self.seen.is_empty()).then_some(self.next_at_ms)
    }

    /// What a look found: true where somebody listened before, and it is time to ask. That nobody ever did says nothing: what
    /// answers there may be redirected to somewhere else.
    pub(super) fn looked(&mut self, target: SocketAddr, listens: bool, now_ms: u64) -> bool {
        let Some(seen) = self.seen.get_mut(&target) else { return false };
        let ended = seen.listens && !listens && seen.quiet_until_ms <= now_ms;
        seen.listens = listens;
        if ended {
            seen.quiet_until_ms = now_ms.saturating_add(APART_MIN_MS);
        }
        ended
    }

    /// How a probe of this address ended. Who has just come up is looked at before he can end; who was away is another one, whose
    /// end is one of its own.
    pub(super) fn probed(&mut self, target: SocketAddr, answer: Answer, now_ms: u64) {
        let Some(seen) = self.seen.get_mut(&target) else { return };
        match answer {
            Answer::Passing if !seen.listens && !self.blind => self.next_at_ms = self.next_at_ms.min(now_ms),
            Answer::Refused => seen.quiet_until_ms = now_ms,
            _ => {}
        }
    }

    /// Nothing is known of anybody, for a while.
    pub(super) fn blind(&mut self, now_ms: u64) {
        self.seen.values_mut().for_each(|seen| seen.listens = false);
        self.blind = true;
        self.next_at_ms = now_ms.saturating_add(BLIND_FOR_MS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 80);

    fn one() -> Looks {
        let mut looks = Looks::default();
        looks.set(&[TARGET].into());
        looks
    }

    #[test]
    fn only_who_listened_can_have_ended() {
        let mut looks = one();
        assert_eq!((looks.wake_at_ms(), looks.take(0)), (Some(0), vec![TARGET]));
        assert_eq!((looks.take(99), looks.wake_at_ms()), (vec![], Some(LOOK_EVERY_MS)));
        assert!(!looks.looked(TARGET, false, 0), "it was never there");
        assert!(!looks.looked(TARGET, true, 100) && looks.looked(TARGET, false, 200));
        assert!(!looks.looked(TARGET, false, 300), "once");
        assert!(!looks.looked(TARGET, true, 400) && !looks.looked(TARGET, false, 500), "not that often");
        looks.take(500);
        looks.probed(TARGET, Answer::Refused, 510);
        looks.probed(TARGET, Answer::Passing, 520);
        assert_eq!(looks.take(520), [TARGET], "another one");
        assert!(!looks.looked(TARGET, true, 520) && looks.looked(TARGET, false, 530));
        assert!(!looks.looked("10.0.0.2:80".parse().unwrap(), true, 300), "of nobody that is probed");
        looks.set(&BTreeSet::new());
        assert_eq!((looks.wake_at_ms(), looks.take(9_999)), (None, vec![]));
    }

    #[test]
    fn who_cannot_see_blames_nobody_and_tries_again() {
        let mut looks = one();
        looks.take(0);
        looks.looked(TARGET, true, 0);
        looks.blind(100);
        looks.probed(TARGET, Answer::Passing, 200);
        assert_eq!((looks.take(60_099), looks.wake_at_ms()), (vec![], Some(60_100)));
        assert_eq!(looks.take(60_100), [TARGET]);
        assert!(!looks.looked(TARGET, false, 60_100), "it may have ended at any time, and was probed since");
    }

    proptest! {
        /// However fast one comes and goes.
        #[test]
        fn there_is_no_storm(found in proptest::collection::vec(any::<bool>(), 1..200)) {
            let mut looks = one();
            let (mut now_ms, mut ended) = (0, 0u64);
            for listens in found {
                now_ms = looks.wake_at_ms().unwrap().max(now_ms);
                prop_assert_eq!(looks.take(now_ms), vec![TARGET]);
                ended += u64::from(looks.looked(TARGET, listens, now_ms));
            }
            prop_assert!(ended <= 1 + now_ms / APART_MIN_MS, "{ended} in {now_ms} ms");
        }
    }
}
