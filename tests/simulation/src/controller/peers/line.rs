//! The real links with the other replicas, over the simulated network.

use bytes::Bytes;
use rollcall_wire::{
    Decoder,
    peer::{Frame, Heard, Introduction, Link},
    server::reason,
};

use crate::{
    agenda::Millis,
    controller::{Controller, Input},
    ether::Ether,
    network::{ConnectionId, End, Farewell, ReplicaNo},
    world::Event,
};

/// Holds one link.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: Link,
    /// Which one of it is ours.
    pub(super) end: End,
    pub(super) other: ReplicaNo,
    decoder: Decoder<Frame>,
    outbox: Bytes,
    wake_noted_ms: Option<Millis>,
}

impl Controller {
    pub(crate) fn has_link(&self, id: ConnectionId) -> bool {
        self.peers.links.contains_key(&id)
    }

    /// Nobody answered.
    pub(crate) fn peer_away(&mut self, other: ReplicaNo) {
        self.peers.dialling.remove(&other);
    }

    /// There is a connection, of which this end is ours.
    pub(crate) fn link(&mut self, id: ConnectionId, end: End, other: ReplicaNo, ether: &mut Ether) {
        self.peers.dialling.remove(&other);
        let who = Introduction {
            protocol: rollcall_wire::PROTOCOL.to_owned(),
            replica: format!("controller-{}", self.replica),
            epoch: self.epoch().clone(),
        };
        let link = Link::new(who, self.own_beat(), self.peers.ledger.clone(), self.clock_ms(ether));
        let (decoder, outbox) = (Decoder::default(), Bytes::new());
        self.peers.links.insert(id, Line { link, end, other, decoder, outbox, wake_noted_ms: None });
        self.pump_link(id, ether);
    }

    pub(crate) fn read_link(&mut self, id: ConnectionId, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(line) = self.peers.links.get_mut(&id) else { return };
        let end = line.end;
        line.decoder.push(&ether.read(id, end, usize::MAX));
        loop {
            let Some(line) = self.peers.links.get_mut(&id) else { return };
            let heard = match line.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if !matches!(frame, Frame::Beat(_)) {
                        ether.note(format!("controller {} hears on {id:?}: {frame:?}", self.life));
                    }
                    line.link.hear(frame, now_ms).map_err(|violation| violation.to_string())
                }
                Ok(None) => break,
                Err(error) => Err(error.to_string()),
            };
            match heard {
                Ok(heard) => heard.into_iter().for_each(|heard| self.heard_from_peer(id, heard, ether)),
                Err(wrong) => {
                    self.faults.push(format!("controller {} was told what may not be: {wrong}", self.life));
                    return self.end_link(id, ether);
                }
            }
        }
        if ether.network.ended(id, end) && !ether.network.has_unread(id, end) {
            return self.end_link(id, ether);
        }
        self.pump_link(id, ether);
    }

    pub(in crate::controller) fn pump_links(&mut self, ether: &mut Ether) {
        let links: Vec<_> = self.peers.links.keys().copied().collect();
        links.into_iter().for_each(|id| self.pump_link(id, ether));
    }

    pub(crate) fn pump_link(&mut self, id: ConnectionId, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(line) = self.peers.links.get_mut(&id) else { return };
        loop {
            if line.outbox.is_empty()
                && line.link.has_more()
                && ether.room(id, line.end)
                && let Some(bytes) = line.link.speak(now_ms)
            {
                line.outbox = bytes;
            }
            let sent = ether.send(id, line.end, &line.outbox);
            let _ = line.outbox.split_to(sent);
            if sent == 0 {
                break;
            }
        }
        if line.link.closed() && line.outbox.is_empty() {
            return self.end_link(id, ether);
        }
        let at_ms = line.link.wake_at_ms().saturating_sub(self.skew_ms).max(ether.now_ms() + 1);
        if line.wake_noted_ms.is_none_or(|noted_ms| at_ms < noted_ms) {
            line.wake_noted_ms = Some(at_ms);
            ether.agenda.at(at_ms, Event::LinkWakes(self.life, id));
        }
    }

    pub(crate) fn wake_link(&mut self, id: ConnectionId, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(line) = self.peers.links.get_mut(&id) else { return };
        line.wake_noted_ms = None;
        line.link.tick(now_ms);
        if line.link.closed() {
            return self.end_link(id, ether);
        }
        self.pump_link(id, ether);
    }

    fn end_link(&mut self, id: ConnectionId, ether: &mut Ether) {
        let Some(line) = self.peers.links.remove(&id) else { return };
        let why = line.link.farewell().unwrap_or("it ended");
        ether.note(format!("controller {} ends {id:?} with replica {}: {why}", self.life, line.other));
        ether.leave(id, line.end, Farewell::Close);
        let Some(epoch) = line.link.other().map(|who| who.epoch.clone()) else { return };
        let is_its = |line: &Line| line.link.other().is_some_and(|who| who.epoch == epoch);
        let others = self.peers.links.values().any(is_its);
        if !others {
            let now_ms = self.clock_ms(ether);
            self.peers.book.broken(&epoch, now_ms);
        }
        self.beat(ether);
    }

    fn heard_from_peer(&mut self, id: ConnectionId, heard: Heard, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let Some(line) = self.peers.links.get(&id) else { return };
        let Some(who) = line.link.other() else { return };
        match heard {
            Heard::Hello { beat, .. } => {
                self.peers.replicas.insert(who.epoch.clone(), line.other);
                self.peers.book.linked(who, &beat, now_ms);
                self.keep_one_link(id, ether);
                self.stand(ether);
                self.beat(ether);
            }
            Heard::Note(note) => self.input(Input::Note(note), ether),
            Heard::Synced => self.input(Input::Synced(who.epoch.clone()), ether),
            Heard::Beat(beat) => self.peers.book.beat(&who.epoch, &beat, now_ms),
            Heard::Token { .. }
            | Heard::Renewed(_)
            | Heard::Outside { .. }
            | Heard::Drain { .. }
            | Heard::Drained { .. }
            | Heard::Goaway(_) => {}
        }
    }

    /// Of two links with one process that stays which the smaller replica dialled; one with a process before it is over.
    fn keep_one_link(&mut self, new: ConnectionId, ether: &mut Ether) {
        let Some(line) = self.peers.links.get(&new) else { return };
        let (other, ours) = (line.other, self.replica);
        let epoch = |line: &Line| line.link.other().map(|who| who.epoch.clone());
        let dialler = |line: &Line| if line.end == End::Dialler { ours } else { other };
        let (its_epoch, its_dialler) = (epoch(line), dialler(line));
        let same = self.peers.links.iter().filter(|(id, held)| **id != new && held.other == other);
        let losers: Vec<_> = same
            .filter_map(|(id, held)| match epoch(held) {
                None => None,
                Some(held_epoch) if Some(&held_epoch) != its_epoch.as_ref() => Some(*id),
                Some(_) if its_dialler <= dialler(held) => Some(*id),
                Some(_) => Some(new),
            })
            .collect();
        for id in losers {
            if let Some(line) = self.peers.links.get_mut(&id) {
                line.link.go_away(reason::SUPERSEDED);
                self.pump_link(id, ether);
            }
        }
    }

    /// How the other ends of its links are let go of, when the process ends.
    pub(in crate::controller) fn drop_links(&mut self, how: Farewell, ether: &mut Ether) {
        for (id, line) in std::mem::take(&mut self.peers.links) {
            ether.leave(id, line.end, how);
        }
    }
}
