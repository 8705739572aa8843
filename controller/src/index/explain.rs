//! Why each instance of a service is in its state.

use std::collections::HashSet;

use rollcall_catalogue::{Query, ServiceKey, consolidate::Profiles};

use crate::index::{Index, Witnessed, endpoints::OwnerId};

impl Index {
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
                    witnesses: joined.witnesses,
                    problems: problems.clone(),
                });
            }
        }
        explained.sort_by(|a, b| a.instance.order(&b.instance));
        Some(explained)
    }
}
