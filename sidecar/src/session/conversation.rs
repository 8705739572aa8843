//! One session as a state machine without IO: frames in, changes of the local state out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rollcall_catalogue::{ContentHash, Instance, Namespace, Service, ServiceKey, changes::Head};
use rollcall_wire::Down;
use thiserror::Error;
use tracing::{debug, info};

/// Instances of one service that are collected from several frames: above the controller's own limit per service,
/// so that only a broken peer meets it.
const COLLECTED_MAX: usize = 10_000;

/// Holds what of a session must be remembered between two frames.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    welcomed: bool,
    /// A service that comes in several frames.
    collecting: Option<Collecting>,
    /// What is held of each service, as the digest counts it.
    hashes: BTreeMap<ServiceKey, ContentHash>,
    /// What was subscribed to and no `synced` of this session has named yet.
    awaited: BTreeSet<ServiceKey>,
    /// The last `synced`.
    cursor: u64,
    unknown_frames: u64,
}

#[derive(Debug)]
struct Collecting {
    key: ServiceKey,
    revision: u64,
    instances: Vec<Arc<Instance>>,
}

/// Says what a frame changes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Welcomed {
        home: Namespace,
    },
    Upserted {
        key: ServiceKey,
        service: Service,
    },
    /// There is no such service (any more).
    Removed {
        service: ServiceKey,
    },
    /// These are in step; those that are not held do not exist.
    Synced {
        cursor: u64,
        services: Vec<ServiceKey>,
    },
    Dismissed {
        reason: String,
    },
}

/// Says what the controller did that it may not do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Violation {
    #[error("welcome must be the first frame, and come once")]
    Welcome,
    #[error("the parts of a service do not fit together")]
    Parts,
}

// === impl Conversation ===

impl Conversation {
    /// A session that begins with these services held from the one before.
    pub(crate) fn resume(held: BTreeMap<ServiceKey, ContentHash>) -> Self {
        Self { hashes: held, ..Self::default() }
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The sum over everything held.
    pub(crate) fn digest(&self) -> ContentHash {
        ContentHash(self.hashes.values().fold(0, |sum, hash| sum.wrapping_add(hash.0)))
    }

    /// These are subscribed to from now on.
    pub(crate) fn awaits<'a>(&mut self, services: impl IntoIterator<Item = &'a ServiceKey>) {
        self.awaited.extend(services.into_iter().cloned());
    }

    /// Whether everything subscribed to was answered in this session; what is held from the one before is no answer.
    pub(crate) fn complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// A name is no longer subscribed to.
    pub(crate) fn forget(&mut self, service: &ServiceKey) {
        self.awaited.remove(service);
        self.hashes.remove(service);
    }

    pub(crate) fn hear(&mut self, frame: Down) -> Result<Option<Event>, Violation> {
        let welcome = matches!(frame, Down::Welcome { .. });
        let any_time = matches!(frame, Down::Goaway { .. } | Down::Unknown);
        if welcome == self.welcomed && !any_time {
            return Err(Violation::Welcome);
        }
        if self.collecting.is_some() && !matches!(frame, Down::Upsert { .. } | Down::Heartbeat) && !any_time {
            return Err(Violation::Parts);
        }
        Ok(match frame {
            Down::Welcome { protocol, replica, pod, .. } => {
                info!(protocol, replica, namespace = %pod.namespace, pod = pod.name, "in session");
                self.welcomed = true;
                Some(Event::Welcomed { home: pod.namespace })
            }
            Down::Upsert { service, revision, hash, policy, truncated, instances, more, .. } => {
                self.collect(service, Head { revision, hash, policy, truncated }, instances, more)?
            }
            Down::Remove { service, ids } => {
                debug!(%service, instances = ids.len(), "a service is gone");
                self.hashes.remove(&service);
                Some(Event::Removed { service })
            }
            Down::Synced { cursor, services, .. } => {
                self.cursor = cursor;
                self.awaited.retain(|service| !services.contains(service));
                Some(Event::Synced { cursor, services })
            }
            Down::Heartbeat => None,
            Down::Goaway { reason } => Some(Event::Dismissed { reason }),
            Down::Registered { .. }
            | Down::Rejected { .. }
            | Down::Summary { .. }
            | Down::Drained { .. }
            | Down::Unknown => {
                self.unknown_frames += 1;
                debug!(unknown_frames = self.unknown_frames, "a frame of an unknown type is skipped");
                None
            }
        })
    }

    /// A service in one frame or in several; nothing of it counts before its last frame.
    fn collect(
        &mut self,
        key: ServiceKey,
        head: Head,
        part: Vec<Arc<Instance>>,
        more: bool,
    ) -> Result<Option<Event>, Violation> {
        let mut collecting = match self.collecting.take() {
            None => Collecting { key, revision: head.revision, instances: Vec::new() },
            Some(held) if held.key == key && held.revision == head.revision => held,
            Some(_) => return Err(Violation::Parts),
        };
        collecting.instances.extend(part);
        if collecting.instances.len() > COLLECTED_MAX {
            return Err(Violation::Parts);
        }
        if more {
            self.collecting = Some(collecting);
            return Ok(None);
        }
        let Collecting { key, instances, .. } = collecting;
        self.hashes.insert(key.clone(), head.hash);
        Ok(Some(Event::Upserted { key, service: Service::of(head, instances) }))
    }
}

#[cfg(test)]
mod tests {
    use rollcall_wire::PodIdentity;

    use super::*;

    fn key() -> ServiceKey {
        "orders.shop".parse().unwrap()
    }

    fn welcome() -> Down {
        let pod =
            PodIdentity { namespace: "shop".parse().unwrap(), name: "p".into(), uid: "u".into(), node: None };
        Down::Welcome {
            protocol: "1.0".into(),
            replica: "c".into(),
            epoch: "e".into(),
            replicas: vec![],
            ca: None,
            pod,
        }
    }

    fn upsert(revision: u64, more: bool) -> Down {
        let (policy, truncated) = (Default::default(), false);
        Down::Upsert {
            service: key(),
            revision,
            hash: ContentHash(7),
            policy,
            truncated,
            base: None,
            removed: vec![],
            instances: vec![],
            more,
        }
    }

    #[test]
    fn parts_count_only_together_and_the_digest_follows() {
        let mut c = Conversation::default();
        c.hear(welcome()).unwrap();
        assert_eq!(c.hear(upsert(1, true)), Ok(None));
        assert_eq!((c.digest(), c.hear(Down::Heartbeat)), (ContentHash(0), Ok(None)));
        let Ok(Some(Event::Upserted { service, .. })) = c.hear(upsert(1, false)) else { panic!("no upsert") };
        assert_eq!(service.revision, 1);
        assert_eq!(c.digest(), ContentHash(7));
        c.hear(Down::Synced { cursor: 4, services: vec![key()], summary: false }).unwrap();
        assert_eq!(c.cursor(), 4);
        c.hear(Down::Remove { service: key(), ids: vec![] }).unwrap();
        assert_eq!(c.digest(), ContentHash(0));
    }

    #[test]
    fn complete_means_answered_in_this_session() {
        let other: ServiceKey = "billing.shop".parse().unwrap();
        let mut c = Conversation::resume([(key(), ContentHash(7))].into());
        c.awaits([&key(), &other]);
        c.hear(welcome()).unwrap();
        c.hear(upsert(1, false)).unwrap();
        assert!(!c.complete(), "held, told, and not yet closed by `synced`");
        c.hear(Down::Synced { cursor: 1, services: vec![key()], summary: false }).unwrap();
        assert!(!c.complete());
        c.forget(&other);
        assert!(c.complete());
        c.awaits([&other]);
        c.hear(Down::Synced { cursor: 2, services: vec![other], summary: false }).unwrap();
        assert!(c.complete());
    }

    #[test]
    fn what_no_controller_may_do() {
        let mut c = Conversation::default();
        assert_eq!(c.hear(upsert(1, false)), Err(Violation::Welcome));
        assert_eq!(c.hear(Down::Unknown), Ok(None));
        c.hear(welcome()).unwrap();
        assert_eq!(c.hear(welcome()), Err(Violation::Welcome));
        c.hear(upsert(1, true)).unwrap();
        assert_eq!(c.hear(upsert(2, false)), Err(Violation::Parts));
        let mut c = Conversation::default();
        c.hear(welcome()).unwrap();
        c.hear(upsert(1, true)).unwrap();
        assert_eq!(
            c.hear(Down::Synced { cursor: 1, services: vec![], summary: false }),
            Err(Violation::Parts)
        );
    }
}
