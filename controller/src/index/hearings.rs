//! Which pods have a sidecar, and how the session of each stands.

use rollcall_catalogue::{
    Namespace,
    liveness::{Phase, SessionWitness},
};

use crate::index::{Index, ObjectKey};

/// Holds how the session of a pod's sidecar stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hearing {
    pub(crate) pod: ObjectKey,
    pub(crate) session: SessionWitness,
    /// For how long it has been open here; none where it is not.
    pub(crate) open_ms: Option<u64>,
}

// === impl Index ===

impl Index {
    /// The first so many pods that have a sidecar and have not ended, by namespace and name, of one namespace or of all; and
    /// how many there are.
    pub(crate) fn hearings(
        &self,
        namespace: Option<&Namespace>,
        max: usize,
        now_ms: u64,
    ) -> (Vec<Hearing>, usize) {
        let mut entries: Vec<_> = self
            .pods
            .iter()
            .filter(|entry| {
                let facts = &entry.facts;
                let ended = matches!(facts.life.phase, Phase::Succeeded | Phase::Failed);
                facts.has_sidecar && !ended && namespace.is_none_or(|only| *only == facts.namespace)
            })
            .collect();
        let total = entries.len();
        entries.sort_unstable_by_key(|entry| (&entry.facts.namespace, &entry.facts.name));
        let first = entries.into_iter().take(max).map(|entry| {
            let pod = ObjectKey { namespace: entry.facts.namespace.clone(), name: entry.facts.name.clone() };
            let session = entry.session.as_ref();
            let open_ms = session
                .filter(|session| session.is_open())
                .map(|session| now_ms.saturating_sub(session.opened_ms));
            let witness = session.map_or(SessionWitness::NeverCame, |session| session.witness);
            Hearing { pod, session: witness, open_ms }
        });
        (first.collect(), total)
    }
}
