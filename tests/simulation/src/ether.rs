//! What all hosts share: time, chance, the network, and who writes down what happens.

use crate::{
    agenda::{Agenda, Millis},
    chance::Chance,
    chronicle::Chronicle,
    network::{Arrival, ConnectionId, End, Farewell, Host, Network, Way},
    world::Event,
};

/// Holds what all hosts share.
#[derive(Debug)]
pub(crate) struct Ether {
    pub(crate) agenda: Agenda<Event>,
    pub(crate) chance: Chance,
    pub(crate) chronicle: Chronicle,
    pub(crate) network: Network,
}

impl Ether {
    pub(crate) fn now_ms(&self) -> Millis {
        self.agenda.now_ms()
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.chronicle.note(self.agenda.now_ms(), line.into());
    }

    pub(crate) fn open(&mut self, from: Host, to: Host) -> ConnectionId {
        self.network.open(from, to, &mut self.chance)
    }

    pub(crate) fn send(&mut self, id: ConnectionId, from: End, bytes: &[u8]) -> usize {
        self.network.send(id, from, bytes, &mut self.chance, &mut self.agenda)
    }

    /// Whether the socket takes anything now; if not, its writer is woken when it does.
    pub(crate) fn room(&mut self, id: ConnectionId, from: End) -> bool {
        self.network.room(id, from)
    }

    pub(crate) fn read(&mut self, id: ConnectionId, at: End, bytes_max: usize) -> Vec<u8> {
        self.network.read(id, at, bytes_max, &mut self.chance, &mut self.agenda)
    }

    pub(crate) fn leave(&mut self, id: ConnectionId, who: End, how: Farewell) {
        self.network.leave(id, who, how, &mut self.chance, &mut self.agenda);
    }

    pub(crate) fn arrive(&mut self, id: ConnectionId, to: End) -> Arrival {
        self.network.arrive(id, to)
    }

    pub(crate) fn heal(&mut self, ways: &[Way]) {
        self.network.heal(ways, &mut self.chance, &mut self.agenda);
    }

    pub(crate) fn heal_all(&mut self) {
        self.network.heal_all(&mut self.chance, &mut self.agenda);
    }
}
