//! One session as a state machine without IO: frames and snapshots in, frames out.
//!
//! There is no queue of frames for a peer. What is pending is a set of names, at most as large as the
//! subscriptions; the frame is made from the newest snapshot when the socket takes it. A slow reader skips
//! states; what it costs meanwhile is the encoded frames of the one service that it is in the middle of.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rollcall_catalogue::{ContentHash, Namespace, Service, ServiceKey, ServiceRef, Snapshot};
use rollcall_wire::{Down, PROTOCOL, PodIdentity, Up, encode, limits::SUBSCRIPTIONS_MAX, upserts};
use thiserror::Error;
use tracing::{debug, error, warn};

/// Holds what both ends have agreed on, and what is still to be said.
#[derive(Debug)]
pub(crate) struct Conversation {
    replica: String,
    pod: PodIdentity,
    stage: Stage,
    subscriptions: BTreeMap<ServiceKey, Told>,
    /// Named in `hello`, and not subscribed to yet.
    held: BTreeMap<ServiceKey, ContentHash>,
    /// Services whose newest state may not be what was told.
    pending: BTreeSet<ServiceKey>,
    /// The rest of a service that needs several frames; a part must not be dropped once its first is out.
    parts: VecDeque<Vec<u8>>,
    /// Told, or found to be unchanged, since the last `synced`.
    unsynced: BTreeSet<ServiceKey>,
    /// The number of the last `synced`.
    cursor: u64,
    farewell: Option<String>,
    unknown_frames: u64,
    /// The peer was found out of step since that was last asked.
    out_of_step: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `hello` has not come.
    Silent,
    /// `welcome` is to be sent.
    Greeted,
    Open,
    /// `goaway` was sent.
    Closed,
}

/// Says what the peer holds of a service, by what it was told.
#[derive(Debug, Clone)]
enum Told {
    Nothing,
    /// It said so itself.
    Hash(ContentHash),
    Sent(Arc<Service>),
    /// It holds something else than it should: whatever is true is told again.
    Unsure,
}

/// Says what a peer did that no peer may do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Violation {
    #[error("hello must be the first frame, and come once")]
    Hello,
    #[error("more than {SUBSCRIPTIONS_MAX} subscriptions; unsubscribe first")]
    Subscriptions,
}

// === impl Conversation ===

impl Conversation {
    pub(crate) fn new(replica: String, pod: PodIdentity) -> Self {
        Self {
            replica,
            pod,
            stage: Stage::Silent,
            subscriptions: BTreeMap::new(),
            held: BTreeMap::new(),
            pending: BTreeSet::new(),
            parts: VecDeque::new(),
            unsynced: BTreeSet::new(),
            cursor: 0,
            farewell: None,
            unknown_frames: 0,
            out_of_step: false,
        }
    }

    /// Who is at the other end.
    pub(crate) fn pod(&self) -> &PodIdentity {
        &self.pod
    }

    /// Whether the peer was found out of step since that was last asked.
    pub(crate) fn was_out_of_step(&mut self) -> bool {
        std::mem::take(&mut self.out_of_step)
    }

    pub(crate) fn closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// The session ends after this word.
    pub(crate) fn go_away(&mut self, reason: impl Into<String>) {
        self.farewell.get_or_insert_with(|| reason.into());
    }

    pub(crate) fn hear(&mut self, frame: Up) -> Result<(), Violation> {
        if (self.stage == Stage::Silent) != matches!(frame, Up::Hello { .. }) && frame != Up::Unknown {
            return Err(Violation::Hello);
        }
        match frame {
            Up::Hello { protocol, incarnation, sequence, held, .. } => {
                debug!(protocol, incarnation, sequence, held = held.len(), "hello");
                if held.len() > SUBSCRIPTIONS_MAX {
                    return Err(Violation::Subscriptions);
                }
                self.held = held;
                self.stage = Stage::Greeted;
            }
            Up::Subscribe { services, .. } => self.subscribe(&services)?,
            Up::Unsubscribe { services, .. } => {
                for key in self.resolve(&services) {
                    self.subscriptions.remove(&key);
                    self.held.remove(&key);
                    self.pending.remove(&key);
                    self.unsynced.remove(&key);
                }
            }
            Up::Heartbeat { cursor, digest } => self.compare(cursor, digest),
            Up::Ack { cursor } => debug!(cursor, current = self.cursor, "acknowledged"),
            Up::Register { .. }
            | Up::Deregister { .. }
            | Up::Health { .. }
            | Up::Drain { .. }
            | Up::Unknown => {
                self.unknown_frames += 1;
                debug!(unknown_frames = self.unknown_frames, "a frame of an unknown type is skipped");
            }
        }
        Ok(())
    }

    /// Marks what a new snapshot changes for this peer.
    pub(crate) fn look(&mut self, catalogue: &Snapshot) {
        let home = &self.pod.namespace;
        let stale = self.subscriptions.iter().filter(|(key, told)| !told.is(catalogue.seen_from(home, key)));
        self.pending.extend(stale.map(|(key, _)| key.clone()));
    }

    pub(crate) fn has_more(&self) -> bool {
        match self.stage {
            Stage::Silent => self.farewell.is_some(),
            Stage::Greeted => true,
            Stage::Open => {
                self.farewell.is_some()
                    || !(self.parts.is_empty() && self.pending.is_empty() && self.unsynced.is_empty())
            }
            Stage::Closed => false,
        }
    }

    /// The next frame to send, made from this snapshot; none while there is nothing to say.
    pub(crate) fn speak(&mut self, catalogue: &Snapshot) -> Option<Vec<u8>> {
        if let Some(reason) = self.farewell.take() {
            self.stage = Stage::Closed;
            return written(&Down::Goaway { reason });
        }
        match self.stage {
            Stage::Silent | Stage::Closed => return None,
            Stage::Greeted => {
                self.stage = Stage::Open;
                let (replica, pod) = (self.replica.clone(), self.pod.clone());
                return written(&Down::Welcome {
                    protocol: PROTOCOL.to_owned(),
                    replica,
                    epoch: String::new(),
                    replicas: Vec::new(),
                    ca: None,
                    pod,
                });
            }
            Stage::Open => {}
        }
        while self.parts.is_empty() {
            let Some(key) = self.pending.pop_first() else { return self.synced() };
            self.tell(key, catalogue);
        }
        self.parts.pop_front()
    }

    pub(crate) fn heartbeat(&self) -> Option<Vec<u8>> {
        (self.stage == Stage::Open).then(|| written(&Down::Heartbeat)).flatten()
    }

    fn tell(&mut self, key: ServiceKey, catalogue: &Snapshot) {
        let Some(told) = self.subscriptions.get_mut(&key) else { return };
        // Asked at each delivery: who may see a service can change while its state is streamed.
        let current = catalogue.seen_from(&self.pod.namespace, &key);
        if !told.is(current) {
            match current {
                Some(service) => match upserts(&key, service) {
                    Ok(frames) => self.parts.extend(frames),
                    // The domain's limits rule it out; if they ever do not, one service is silent, not all.
                    Err(error) => error!(%error, service = %key, "a service does not fit into frames"),
                },
                None => {
                    let ids = match told {
                        Told::Sent(last) => {
                            last.instances.iter().map(|instance| instance.id.clone()).collect()
                        }
                        // Which ones the peer knows better than we do: it forgets them all.
                        _ => Vec::new(),
                    };
                    self.parts.extend(written(&Down::Remove { service: key.clone(), ids }));
                }
            }
            *told = current.map_or(Told::Nothing, |service| Told::Sent(service.clone()));
        }
        self.unsynced.insert(key);
    }

    fn synced(&mut self) -> Option<Vec<u8>> {
        if self.unsynced.is_empty() {
            return None;
        }
        self.cursor += 1;
        let services = std::mem::take(&mut self.unsynced).into_iter().collect();
        written(&Down::Synced { cursor: self.cursor, services, summary: false })
    }

    fn subscribe(&mut self, services: &[ServiceRef]) -> Result<(), Violation> {
        for key in self.resolve(services) {
            if !self.subscriptions.contains_key(&key) {
                if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
                    return Err(Violation::Subscriptions);
                }
                let told = self.held.remove(&key).map_or(Told::Nothing, Told::Hash);
                self.subscriptions.insert(key.clone(), told);
            }
            // Named again, it is answered again: with its `synced`, if nothing else.
            self.pending.insert(key);
        }
        Ok(())
    }

    fn resolve(&self, services: &[ServiceRef]) -> Vec<ServiceKey> {
        let home: &Namespace = &self.pod.namespace;
        services.iter().map(|service| service.resolve(home)).collect()
    }

    /// Finds staleness that nobody noticed. Only a peer that has applied everything can be compared.
    fn compare(&mut self, cursor: u64, digest: ContentHash) {
        let settled = self.pending.is_empty() && self.parts.is_empty() && self.unsynced.is_empty();
        if cursor != self.cursor || !settled {
            return;
        }
        let expected = self.subscriptions.values().fold(0u64, |sum, told| sum.wrapping_add(told.hash().0));
        if expected != digest.0 {
            warn!(pod = self.pod.name, namespace = %self.pod.namespace, "a sidecar is out of step: all is sent again");
            self.subscriptions.values_mut().for_each(|told| *told = Told::Unsure);
            self.pending = self.subscriptions.keys().cloned().collect();
            self.out_of_step = true;
        }
    }
}

// === impl Told ===

impl Told {
    fn is(&self, current: Option<&Arc<Service>>) -> bool {
        match (self, current) {
            (Self::Nothing, None) => true,
            (Self::Hash(held), Some(service)) => *held == service.hash,
            (Self::Sent(held), Some(service)) => Arc::ptr_eq(held, service) || held.hash == service.hash,
            _ => false,
        }
    }

    fn hash(&self) -> ContentHash {
        match self {
            Self::Nothing | Self::Unsure => ContentHash(0),
            Self::Hash(hash) => *hash,
            Self::Sent(service) => service.hash,
        }
    }
}

fn written(frame: &Down) -> Option<Vec<u8>> {
    encode(frame).inspect_err(|error| error!(%error, "a frame cannot be written")).ok()
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
