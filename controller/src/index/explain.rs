//! Why each instance of a service is in its state.

use std::collections::HashSet;

use rollcall_catalogue::{Namespace, Query, ServiceKey, consolidate::Profiles, liveness::Witnesses};
use rollcall_wire::{Explained, WitnessWords};

use crate::index::{Index, Witnessed, endpoints::OwnerId};

impl Index {
    /// The same for a caller in this namespace: of what it may not see, there is nothing.
    pub(crate) fn explain_to(&self, home: &Namespace, key: &ServiceKey) -> Option<Vec<Witnessed>> {
        self.published.seen_from(home, key)?;
        self.explain(key)
    }

    /// The instances of a service, in their order, and what their verdicts came from; none where no such service is
    /// known.
    pub(crate) fn explain(&self, key: &ServiceKey) -> Option<Vec<Witnessed>> {
        let entry = self.services.get(key)?;
        let published = self.published.get(key)?;
        let served: HashSet<_> =
            Query::default().select(published).iter().map(|one| &one.instance.id).collect();
        let mut explained = Vec::new();
        for (owner, member) in entry.members.iter() {
            // Joined once more, and for this alone: witnesses are not kept.
            let Some(joined) = self.join(key, entry, owner, &mut Profiles::default()) else { continue };
            let problems = match owner {
                OwnerId::Pod(uid) => self.problems.get(uid).cloned().unwrap_or_default(),
                OwnerId::Address(_) => Box::default(),
            };
            for standing in &member.standings {
                let Some(instance) = published.instance(&standing.id(owner)) else { continue };
                explained.push(Witnessed {
                    instance: instance.clone(),
                    served: served.contains(&instance.id),
                    since_ms: Some(standing.since_ms),
                    witnesses: joined.witnesses_at(standing.profile.port),
                    problems: problems.clone(),
                });
            }
        }
        explained.sort_by(|a, b| a.instance.order(&b.instance));
        Some(explained)
    }
}

// === impl Witnessed ===

impl Witnessed {
    /// The same in words, at this time of this machine's clock.
    pub(crate) fn explained(&self, now_ms: u64) -> Explained {
        let Self { instance, served, since_ms, witnesses, problems } = self;
        Explained {
            id: instance.id.clone(),
            address: instance.address(),
            port: instance.profile.port,
            pod: instance.pod.as_deref().map(str::to_owned),
            served: *served,
            state: instance.state,
            reason: instance.reason.clone(),
            since_seconds: since_ms.map(|since_ms| now_ms.saturating_sub(since_ms) / 1_000),
            witnesses: words(witnesses),
            problems: problems.iter().map(ToString::to_string).collect(),
        }
    }
}

fn words(witnesses: &Witnesses) -> WitnessWords {
    let Witnesses { pod, endpoint, session, probe, intent, registry } = witnesses;
    WitnessWords {
        pod: pod.to_string(),
        endpoint: endpoint.to_string(),
        session: session.to_string(),
        probe: probe.to_string(),
        intent: intent.to_string(),
        registry: registry.to_string(),
    }
}
