//! The witnesses: who can say something of an instance, and what each of them can say.

use std::{fmt, str::FromStr};

/// Holds what all witnesses of one instance say. None may take another's silence for its own bad news: an app whose
/// beats cannot come because its sidecar is away has not missed them ([`ProbeWitness::BeatMissed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Witnesses {
    pub pod: PodWitness,
    pub endpoint: EndpointWitness,
    pub session: SessionWitness,
    pub probe: ProbeWitness,
    pub intent: Intent,
    pub registry: RegistryHealth,
}

/// An enum whose values have words: the same in `explain`, in docs/liveness.md and in tests.
macro_rules! witness {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$value),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(word: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word).ok_or(())
            }
        }
    };
}

witness! {
    /// Says what Kubernetes has on the pod.
    PodWitness {
        /// The instance has no pod.
        NoPod = "none",
        /// All containers but our own sidecar, and all readiness gates, are ready. A pod without our sidecar: its
        /// `Ready` condition.
        Ready = "ready",
        /// Not ready by the node controller's inference alone: the node is Unknown, and the containers are ready in
        /// the last word that the kubelet gave.
        NodeUnknown = "node-unknown",
        /// Not ready by the kubelet's word, or not started yet.
        NotReady = "not-ready",
        /// It has a deletionTimestamp.
        Terminating = "terminating",
        /// Succeeded or Failed.
        Ended = "ended",
        /// Its UID is not in a complete, current list.
        Gone = "gone",
    }
}

witness! {
    /// Says what the EndpointSlices of the Service have on the instance, where it was reached through one.
    EndpointWitness {
        /// It was not reached through a Service.
        NoEndpoint = "none",
        Ready = "ready",
        /// Ready whatever its pod is, because the Service publishes addresses that are not ready.
        Published = "published",
        NotReady = "not-ready",
        Terminating = "terminating",
    }
}

witness! {
    /// Says what the sessions have on the pod.
    SessionWitness {
        /// The pod has no sidecar.
        NotExpected = "not-expected",
        /// It has one that was not heard by anybody yet.
        NeverCame = "never-came",
        Live = "live",
        /// Not here, but at another replica.
        HeardByPeer = "heard-by-peer",
        /// Nothing came for a while, and nobody said why.
        Quiet = "quiet",
        /// Nothing came for too long.
        Silent = "silent",
        /// The pod's end closed it: the node is alive, or nobody had told us.
        Lost = "lost",
        /// The pod's end closed it, and it did not come back for a while.
        LostLong = "lost-long",
    }
}

witness! {
    /// Says what is known of the app itself: by asking it, or by its own word.
    ProbeWitness {
        /// Nobody asks, and it says nothing itself.
        NotAsked = "not-asked",
        /// The first answer has not come.
        Pending = "pending",
        Passing = "passing",
        /// It beats itself, and has not since its registry came back that never knew its beat.
        AwaitingBeat = "awaiting-beat",
        /// Connections are refused.
        Dead = "dead",
        /// Timeouts or bad replies, as many in a row as the threshold says.
        Unwell = "unwell",
        /// It answers on 127.0.0.1 and not on the pod's address.
        LoopbackOnly = "loopback-only",
        /// Its own beat did not come within its TTL. Beats travel through the sidecar: the TTL runs only up to
        /// [`super::SessionFacts::last_word_ms`] and begins anew when the session is back, or else to kill a sidecar
        /// would evict its app. What was said before the session was lost stands.
        BeatMissed = "beat-missed",
        /// It said itself that it is failing.
        SaysFailing = "says-failing",
    }
}

witness! {
    /// Says what was asked for.
    Intent {
        Stay = "stay",
        /// Somebody asked for the instance to be drained.
        Drain = "drain",
    }
}

witness! {
    /// Says how far the registry may trust its own sessions.
    RegistryHealth {
        Well = "well",
        /// The mass-loss guard: what the sessions say is more likely our own illness than that of the instances.
        Frozen = "frozen",
        /// `liveness.mode: observe`: Kubernetes' facts decide alone.
        Observing = "observing",
    }
}

/// Says where a pod is in its life, as the kubelet reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

/// Holds what Kubernetes says of a pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodLife {
    pub phase: Phase,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// As [`PodWitness::Ready`] has it.
    pub ready: bool,
    /// All its containers but our own were ready in the kubelet's last word, whatever the node controller has made of
    /// that since.
    pub containers_ready: bool,
}

// === impl PodLife ===

impl PodLife {
    /// That of a pod that runs and is well.
    pub const READY: Self =
        Self { phase: Phase::Running, deleting: false, ready: true, containers_ready: true };

    /// What the facts of a pod that exists come to. `node_unknown`: Kubernetes has lost sight of its node.
    pub fn witness(self, node_unknown: bool) -> PodWitness {
        match self.phase {
            Phase::Succeeded | Phase::Failed => PodWitness::Ended,
            Phase::Pending | Phase::Running if self.deleting => PodWitness::Terminating,
            Phase::Pending | Phase::Running if node_unknown && self.containers_ready => {
                PodWitness::NodeUnknown
            }
            Phase::Pending | Phase::Running if self.ready => PodWitness::Ready,
            Phase::Pending | Phase::Running => PodWitness::NotReady,
        }
    }
}

// === impl ProbeWitness ===

impl ProbeWitness {
    /// What two of them come to, as of an app that is probed and beats as well: the bad news counts.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        self.max(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_and_read_back() {
        for value in ProbeWitness::ALL {
            assert_eq!(value.to_string().parse(), Ok(*value));
        }
        assert_eq!("no-such-word".parse::<PodWitness>(), Err(()));
    }

    #[test]
    fn a_pod_that_ended_is_not_deleted_and_one_that_is_deleted_is_not_ready() {
        use PodWitness::*;
        let table = [
            ((Phase::Running, false, true, true, false), Ready),
            ((Phase::Pending, false, false, false, false), NotReady),
            ((Phase::Running, false, false, true, false), NotReady),
            ((Phase::Running, false, false, true, true), NodeUnknown),
            ((Phase::Running, false, true, true, true), NodeUnknown),
            ((Phase::Running, false, false, false, true), NotReady),
            ((Phase::Running, true, true, true, true), Terminating),
            ((Phase::Succeeded, true, true, true, true), Ended),
            ((Phase::Failed, false, false, false, false), Ended),
        ];
        for ((phase, deleting, ready, containers_ready, node_unknown), expected) in table {
            let life = PodLife { phase, deleting, ready, containers_ready };
            assert_eq!(life.witness(node_unknown), expected, "{life:?}");
        }
    }

    #[test]
    fn of_two_words_on_an_app_the_bad_one_counts() {
        use ProbeWitness::*;
        for (a, b, worse) in
            [(Passing, Dead, Dead), (BeatMissed, Passing, BeatMissed), (NotAsked, Passing, Passing)]
        {
            assert_eq!((a.worse(b), b.worse(a)), (worse, worse));
        }
    }
}
