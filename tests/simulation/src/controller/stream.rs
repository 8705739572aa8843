//! One session's stream: frames when the socket takes them, and what the session wants of the rest of the process.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use rollcall_catalogue::{Namespace, PodUid, ServiceKey, Snapshot, changes::Reading};
use rollcall_wire::{
    Decoder, PodIdentity, Up,
    server::{Heard, Opening, Resync, Server, reason},
};

use super::{
    Controller, Input,
    owner::{DrainAsked, Word},
};
use crate::{
    agenda::Millis,
    ether::Ether,
    kubernetes::{PodNo, node_name},
    network::{ConnectionId, End, Farewell, NodeId},
    world::Event,
};

/// Sessions live this long: short enough that some end by it in a run.
const LIFE_MS: std::ops::RangeInclusive<u64> = 40_000..=400_000;

/// Holds one session at the controller.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) pod: PodNo,
    pub(crate) uid: PodUid,
    pub(crate) server: Server,
    /// The last frame came then, by the controller's clock.
    pub(crate) heard_ms: Millis,
    /// It was given the pod's place.
    pub(crate) opened: bool,
    decoder: Decoder<Up>,
    /// What the socket has not taken yet of the frame that it was given.
    outbox: Bytes,
    /// The newest that it has looked at, which is what it speaks of.
    view: Snapshot,
    /// How far Kubernetes was read for it.
    reading: Arc<Reading>,
    wake_noted_ms: Option<Millis>,
    /// The number of the feed up to which its peer was last known to have applied everything.
    pub(super) in_step: u64,
    pub(super) namespace: Namespace,
    /// As it was asked for.
    pub(crate) subscribed: BTreeSet<ServiceKey>,
}

impl Controller {
    /// A connection was accepted, and its token is this pod's.
    pub(crate) fn accept(
        &mut self,
        id: ConnectionId,
        pod: PodNo,
        namespace: &Namespace,
        node: NodeId,
        ether: &mut Ether,
    ) {
        let identity = PodIdentity {
            namespace: namespace.clone(),
            name: pod.name(),
            uid: pod.uid().to_string(),
            node: Some(node_name(node).to_string()),
            zone: None,
            addresses: Vec::new(),
        };
        let opening = Opening {
            replica: format!("controller-{}", self.life),
            replicas: self.addresses(),
            way: Default::default(),
            pod: identity,
            life_ms: ether.chance.within(LIFE_MS),
        };
        let now_ms = self.clock_ms(ether);
        let stream = Stream {
            pod,
            uid: pod.uid(),
            server: Server::new(opening, self.feed.clone(), now_ms),
            heard_ms: now_ms,
            opened: false,
            decoder: Decoder::default(),
            outbox: Bytes::new(),
            view: self.catalogue.clone(),
            reading: Arc::default(),
            wake_noted_ms: None,
            in_step: 0,
            namespace: namespace.clone(),
            subscribed: BTreeSet::new(),
        };
        self.streams.insert(id, stream);
        self.look(id, ether);
        self.pump(id, ether);
    }

    /// Reads what has come, and finds the end of it.
    pub(crate) fn read(&mut self, id: ConnectionId, ether: &mut Ether) {
        if !self.streams.contains_key(&id) {
            return;
        }
        let bytes = ether.read(id, End::Listener, usize::MAX);
        let now_ms = self.clock_ms(ether);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.decoder.push(&bytes);
        loop {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            let frame = match stream.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.faults.push(format!("{:?} sent garbage: {error}", stream.pod));
                    return self.end(id, false, ether);
                }
            };
            stream.heard_ms = now_ms;
            let (uid, pod) = (stream.uid.clone(), stream.pod);
            if !matches!(frame, Up::Heartbeat { .. }) {
                let mut text = format!("{frame:?}");
                text.truncate(220);
                ether.note(format!("controller hears {pod:?} on {id:?}: {text}"));
            }
            match stream.server.hear(frame, now_ms) {
                Ok(heard) => heard.into_iter().for_each(|heard| self.heard(id, heard, ether)),
                Err(violation) => {
                    self.faults.push(format!("{pod:?} did what it may not: {violation}"));
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.server.go_away(violation.to_string());
                    }
                }
            }
            if self.doubted.remove(&uid) {
                self.input(Input::Heard(uid), ether);
            }
        }
        if ether.network.ended(id, End::Listener) && !ether.network.has_unread(id, End::Listener) {
            return self.end(id, true, ether);
        }
        self.pump(id, ether);
    }

    pub(crate) fn read_all(&mut self, ether: &mut Ether) {
        let links: Vec<_> = self.peers.links().map(|(id, _)| id).collect();
        links.into_iter().for_each(|id| self.read_link(id, ether));
        let streams: Vec<_> = self.streams.keys().copied().collect();
        streams.into_iter().for_each(|id| self.read(id, ether));
    }

    /// Gives the socket what it takes, and notes when the machine wants to be woken.
    pub(crate) fn pump(&mut self, id: ConnectionId, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        // As the real shell looks before it speaks.
        if !Arc::ptr_eq(&stream.reading, &self.reading) {
            stream.reading = self.reading.clone();
            stream.view = self.catalogue.clone();
            stream.server.look(&stream.view, self.number, &self.reading);
        }
        loop {
            if stream.outbox.is_empty()
                && stream.server.has_more()
                && ether.room(id, End::Listener)
                && let Some(bytes) = stream.server.speak(&stream.view, now_ms)
            {
                stream.outbox = bytes;
            }
            let sent = ether.send(id, End::Listener, &stream.outbox);
            let _ = stream.outbox.split_to(sent);
            if sent == 0 {
                break;
            }
        }
        if stream.server.closed() && stream.outbox.is_empty() {
            // Whom we send away though it is heard has done nothing that a dead one does.
            let farewell = stream.server.farewell();
            let heard = matches!(farewell, Some(reason::EXPIRED | reason::SLOW));
            if farewell == Some(reason::EXPIRED) {
                self.expired_ms = Some(ether.now_ms());
            }
            return self.end(id, heard, ether);
        }
        let at_ms = stream.server.wake_at_ms().saturating_sub(self.skew_ms).max(ether.now_ms() + 1);
        if stream.wake_noted_ms.is_none_or(|noted_ms| at_ms < noted_ms) {
            stream.wake_noted_ms = Some(at_ms);
            ether.agenda.at(at_ms, Event::StreamWakes(self.life, id));
        }
        self.drains_progress(id, ether);
    }

    pub(crate) fn wake_stream(&mut self, id: ConnectionId, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.wake_noted_ms = None;
        stream.server.tick(now_ms);
        // A socket that takes nothing does not keep a session that is over.
        if stream.server.closed() {
            return self.end(id, false, ether);
        }
        self.pump(id, ether);
    }

    /// The stream looks at the newest that was published.
    pub(crate) fn look(&mut self, id: ConnectionId, ether: &mut Ether) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.view = self.catalogue.clone();
        stream.server.look(&stream.view, self.number, &self.reading);
        self.pump(id, ether);
    }

    /// The session is over. `by_peer`: the pod's end closed the stream.
    pub(crate) fn end(&mut self, id: ConnectionId, by_peer: bool, ether: &mut Ether) {
        let Some(stream) = self.streams.remove(&id) else { return };
        ether.note(format!("controller ends {id:?} of {:?}, by peer {by_peer}", stream.pod));
        ether.leave(id, End::Listener, if by_peer { Farewell::Close } else { Farewell::Reset });
        self.drains_left(id, ether);
        if stream.opened {
            // Noticed on a way of its own, as a drop is.
            let (uid, heard_ms) = (stream.uid, stream.heard_ms);
            let pause_ms = ether.chance.within(0..=3);
            ether.agenda.after(pause_ms, Event::Departed(self.life, id, uid, heard_ms, by_peer));
        }
    }

    fn heard(&mut self, id: ConnectionId, heard: Heard, ether: &mut Ether) {
        let word = match heard {
            Heard::Hello { incarnation, sequence, registrations } => {
                return self.input(Input::Open { id, incarnation, sequence, registrations }, ether);
            }
            Heard::Subscribed(keys) => {
                self.drains_subscribed(id, keys);
                return self.look(id, ether);
            }
            Heard::Unsubscribed(keys) => return self.drains_unsubscribed(id, keys, ether),
            Heard::Acked(number) => return self.drains_acked(id, number, ether),
            Heard::Resynced(Resync::Digest) => {
                self.digest_resyncs += 1;
                return ether.note(format!("{id:?} is out of step"));
            }
            Heard::Resynced(Resync::Cursor) => return,
            Heard::Register(registration) => Word::Register(registration),
            Heard::Deregister(key) => Word::Deregister(key),
            Heard::Health { of, probe } => Word::Health { of, probe },
            Heard::Drain { drain, deadline_ms, ask } => {
                Word::Drain { drain, question: DrainAsked { deadline_ms, ask } }
            }
            // Nothing here asks for people.
            // Whoever is let in here is known.
            Heard::Ask { .. } | Heard::Token(_) | Heard::Used(_) => return,
        };
        self.input(Input::Word { id, word }, ether);
    }
}
