//! Why each instance of a service is in its state.

use rollcall_catalogue::{Query, ServiceKey, consolidate::Profiles};

use crate::index::{Index, Witnessed};

impl Index {
    /// The instances of a service, in their order, and what their verdicts came from; none where no such service is
    /// known.
    pub(crate) fn explain(&self, key: &ServiceKey) -> Option<Vec<Witnessed>> {
        let entry = self.services.get(key)?;
        let published = self.published.get(key)?;
        let served = Query::default().select(published);
        let mut explained = Vec::new();
        for (owner, member) in &entry.members {
            // Joined once more, and for this alone: witnesses are not kept.
            let Some(joined) = self.join(key, entry, owner, &mut Profiles::default()) else { continue };
            for standing in &member.standings {
                let Some(instance) = published.instance(standing.id.as_str()) else { continue };
                explained.push(Witnessed {
                    instance: instance.clone(),
                    served: served.iter().any(|one| one.instance.id == instance.id),
                    since_ms: Some(standing.since_ms),
                    witnesses: joined.witnesses,
                });
            }
        }
        explained.sort_by(|a, b| a.instance.order(&b.instance));
        Some(explained)
    }
}
