//! Whom to dial, and when. A value without IO.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use rollcall_net::Jitter;

use super::links::LINKS_MAX;
use crate::index::Replica;

/// The longest pause before another try: who is back is met again before anybody waits for it.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Addresses that are dialled: of as many replicas as there may be links with.
const TARGETS_MAX: usize = LINKS_MAX;

/// Holds where other replicas may be, and what came of the tries.
#[derive(Debug)]
pub(super) struct Dials {
    /// Our replica's own name, which we do not dial.
    own: Arc<str>,
    /// Of all replicas that Kubernetes knows.
    port: u16,
    targets: BTreeMap<SocketAddr, Target>,
    jitter: Jitter,
}

/// Holds one address.
#[derive(Debug)]
struct Target {
    /// As a flag names it: it stays, whatever Kubernetes has.
    is_named: bool,
    /// Who is there by Kubernetes' word.
    replica: Option<Arc<str>>,
    /// Whom we met there last.
    epoch: Option<Arc<str>>,
    is_ours: bool,
    /// A try is under way, or what came of it.
    is_busy: bool,
    /// The next try, where none is under way.
    at_ms: u64,
    /// Why the last one failed.
    failure: Option<String>,
}

// === impl Dials ===

impl Dials {
    pub(super) fn new(own: Arc<str>, port: u16, named: &[SocketAddr], jitter: Jitter) -> Self {
        let named = named.iter().take(TARGETS_MAX);
        let targets = named.map(|address| (*address, Target { is_named: true, ..Target::new() })).collect();
        Self { own, port, targets, jitter }
    }

    /// These are the replicas from now on, by Kubernetes' word.
    pub(super) fn set(&mut self, replicas: &[Replica]) {
        for target in self.targets.values_mut() {
            target.replica = None;
        }
        for replica in replicas.iter().filter(|replica| replica.name != self.own) {
            let address = SocketAddr::new(replica.address, self.port);
            if self.targets.len() < TARGETS_MAX || self.targets.contains_key(&address) {
                self.targets.entry(address).or_insert_with(Target::new).replica = Some(replica.name.clone());
            }
        }
        self.targets.retain(|_, target| target.is_named || target.replica.is_some());
    }

    /// Whom to dial now: whoever is not linked, by the name or the epoch that is known of him.
    pub(super) fn due(&mut self, now_ms: u64, is_linked: impl Fn(&str) -> bool) -> Vec<SocketAddr> {
        let due = self.targets.iter_mut().filter(|(_, target)| {
            let known = [&target.replica, &target.epoch];
            let is_linked = known.into_iter().flatten().any(|name| is_linked(name));
            !target.is_ours && !target.is_busy && target.at_ms <= now_ms && !is_linked
        });
        let due = due.map(|(address, target)| {
            target.is_busy = true;
            *address
        });
        due.collect()
    }

    /// This process answers there.
    pub(super) fn met(&mut self, address: SocketAddr, epoch: &Arc<str>) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.epoch = Some(epoch.clone());
            target.failure = None;
        }
    }

    /// We answer there ourselves.
    pub(super) fn is_ours(&mut self, address: SocketAddr) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.is_ours = true;
        }
    }

    /// What was there is over. Who was met is dialled again at once; where nobody was, after a pause. Says whether the
    /// failure is another one than before.
    pub(super) fn over(&mut self, address: SocketAddr, failure: Option<String>, now_ms: u64) -> bool {
        let pause = self.jitter.up_to(PAUSE_MAX);
        let Some(target) = self.targets.get_mut(&address) else { return false };
        target.is_busy = false;
        target.at_ms = now_ms;
        let is_news = failure.is_some() && failure != target.failure;
        if failure.is_some() {
            target.at_ms += u64::try_from(pause.as_millis()).unwrap_or_default();
            target.failure = failure;
        }
        is_news
    }

    /// Where the sessions of this process are.
    pub(super) fn address_of(&self, replica: &str, epoch: &Arc<str>) -> Option<SocketAddr> {
        let of = |is: &dyn Fn(&Target) -> bool| self.targets.iter().find(|(_, target)| is(target));
        let named = of(&|target| target.replica.as_deref() == Some(replica));
        Some(*named.or_else(|| of(&|target| target.epoch.as_ref() == Some(epoch)))?.0)
    }

    /// Whether all of the addresses that a flag names have somebody of whom this is true, or ourselves.
    pub(super) fn named_are(&self, holds: impl Fn(&Arc<str>) -> bool) -> bool {
        let mut named = self.targets.values().filter(|target| target.is_named && !target.is_ours);
        named.all(|target| target.epoch.as_ref().is_some_and(&holds))
    }
}

// === impl Target ===

impl Target {
    fn new() -> Self {
        Self {
            is_named: false,
            replica: None,
            epoch: None,
            is_ours: false,
            is_busy: false,
            at_ms: 0,
            failure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, last: u8) -> Replica {
        let address = [10, 0, 0, last].into();
        Replica { name: name.into(), uid: name.into(), address, is_ready: true, is_ending: false }
    }

    fn at(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 7310).into()
    }

    fn dials(named: &[SocketAddr]) -> Dials {
        Dials::new("a".into(), 7310, named, Jitter::new(1))
    }

    #[test]
    fn all_others_are_dialled_once_at_a_time_and_whoever_is_linked_is_not() {
        let mut dials = dials(&[at(9)]);
        dials.set(&[replica("a", 1), replica("b", 2), replica("c", 3)]);
        assert_eq!(dials.due(0, |name| name == "c"), [at(2), at(9)]);
        assert!(dials.due(0, |name| name == "c").is_empty(), "under way");
        assert_eq!(dials.due(0, |_| false), [at(3)], "it is linked no more");
        dials.met(at(9), &"epoch".into());
        assert!(!dials.over(at(9), None, 5));
        assert!(dials.due(5, |name| name == "epoch").is_empty(), "another link with it stays");
        assert_eq!(dials.due(5, |_| false), [at(9)], "at once");
        assert_eq!(dials.address_of("b", &"x".into()), Some(at(2)));
        assert_eq!(dials.address_of("z", &"epoch".into()), Some(at(9)));
        assert_eq!(dials.address_of("z", &"x".into()), None);
        dials.set(&[]);
        assert_eq!(dials.address_of("b", &"x".into()), None, "its pod is gone");
        assert!(dials.named_are(|epoch| **epoch == *"epoch") && !dials.named_are(|_| false));
    }

    #[test]
    fn who_does_not_answer_is_dialled_after_a_pause_and_we_never_are() {
        let mut dials = dials(&[at(1), at(2)]);
        assert_eq!(dials.due(0, |_| false), [at(1), at(2)]);
        dials.is_ours(at(1));
        dials.over(at(1), None, 0);
        for round in 0..100 {
            let now_ms = 10_000 * round;
            assert_eq!(dials.over(at(2), Some("refused".to_owned()), now_ms), round == 0, "told once");
            let next = (0..=2_000).find(|after_ms| !dials.due(now_ms + after_ms, |_| false).is_empty());
            assert!(next.is_some(), "within the pause");
        }
        assert!(dials.over(at(2), Some("silent".to_owned()), 0), "another reason");
        assert!(!dials.named_are(|_| true), "nobody was met there");
    }
}
