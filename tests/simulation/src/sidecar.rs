//! A sidecar: the real client machine, with a link and a back-off in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rollcall_catalogue::{ContentHash, ServiceKey};
use rollcall_net::{Backoff, Jitter};
use rollcall_wire::{
    Decoder, Down, Up, Upsert,
    client::{Client, Event as Heard},
    encode,
    server::reason::SUPERSEDED,
};

use crate::{
    agenda::Millis,
    ether::Ether,
    kubernetes::PodNo,
    network::{ConnectionId, End, Farewell, NodeId, ReplicaNo},
    world::Event,
};

/// A session that lived so long was a good one, as the real agent has it; and so is one that was in step.
const GOOD_AFTER_MS: u64 = 10_000;

/// What a process before it said is heard by then: nothing is cut off, or slow, or stands still for longer.
const PREDECESSOR_MS: u64 = 110_000;

/// So soon another replica is dialled, as the real agent has it: drawn from the whole range.
const ELSEWHERE_WITHIN_MS: u64 = 1_000;

/// Holds one sidecar.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) pod: PodNo,
    pub(crate) node: NodeId,
    pub(crate) client: Client,
    pub(crate) link: Option<Link>,
    /// Counts the processes: what was noted for an earlier one is not for this one.
    pub(crate) life: u64,
    /// It runs at all.
    pub(crate) up: bool,
    pub(crate) paused: bool,
    started_ms: Millis,
    pub(crate) reads: Reads,
    /// The names that its app asks for.
    pub(crate) wanted: BTreeSet<ServiceKey>,
    pub(crate) wants_summary: bool,
    /// The newest that was shown of each name by this process.
    pub(crate) shown: BTreeMap<ServiceKey, (u64, ContentHash)>,
    /// What went against the rules of [`crate::checks`].
    pub(crate) faults: Vec<String>,
    pub(crate) drained: Vec<rollcall_wire::client::Drained>,
    /// Ups that the app's calls gave at once.
    at_once: VecDeque<Up>,
    replicas: usize,
    /// Those that are dialled before it begins to wait: all of them, the one that was lost last.
    round: VecDeque<ReplicaNo>,
    backoff: Backoff,
    jitter: Jitter,
    wake_noted_ms: Option<Millis>,
    /// It will read the next of what has come.
    reading: bool,
}

/// Holds the open link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) replica: ReplicaNo,
    decoder: Decoder<Down>,
    outbox: Vec<u8>,
    opened_ms: Millis,
}

/// Says how fast it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    AtOnce,
    Slowly { every_ms: u64, bytes: usize },
}

// === impl Sidecar ===

impl Sidecar {
    pub(crate) fn new(pod: PodNo, node: NodeId, replicas: usize, ether: &mut Ether) -> Self {
        let mut chance = ether.chance.fork();
        let reads = match chance.percent(15) {
            true => Reads::Slowly {
                every_ms: chance.within(20..=400),
                bytes: usize::try_from(chance.within(200..=4_000)).unwrap(),
            },
            false => Reads::AtOnce,
        };
        Self {
            pod,
            node,
            client: Client::new(format!("{}-1", pod.name()), usize::MAX),
            link: None,
            life: 1,
            up: true,
            paused: false,
            started_ms: ether.now_ms(),
            reads,
            wanted: BTreeSet::new(),
            wants_summary: false,
            shown: BTreeMap::new(),
            faults: Vec::new(),
            drained: Vec::new(),
            at_once: VecDeque::new(),
            replicas,
            round: VecDeque::new(),
            backoff: Backoff::default(),
            jitter: chance.jitter(),
            wake_noted_ms: None,
            reading: false,
        }
    }

    /// The process ends, and is started again later with nothing held.
    pub(crate) fn crash(&mut self, how: Farewell, ether: &mut Ether) {
        if let Some(link) = self.link.take() {
            ether.leave(link.id, End::Dialler, how);
        }
        self.up = false;
        self.paused = false;
        self.life += 1;
        self.wake_noted_ms = None;
        self.reading = false;
    }

    pub(crate) fn start(&mut self, ether: &mut Ether) {
        self.client = Client::new(format!("{}-{}", self.pod.name(), self.life), usize::MAX);
        self.up = true;
        self.started_ms = ether.now_ms();
        self.shown.clear();
        self.at_once.clear();
        self.round.clear();
        self.backoff.reset();
        self.client.subscribe(self.wanted.iter().cloned());
        self.client.want_summary(self.wants_summary);
        ether.note(format!("{:?} starts, life {}", self.pod, self.life));
        ether.agenda.after(0, Event::Dial(self.pod, self.life));
    }

    /// A controller took the connection.
    pub(crate) fn connected(&mut self, id: ConnectionId, replica: ReplicaNo, ether: &mut Ether) {
        self.round.clear();
        let now_ms = ether.now_ms();
        let mut outbox = Vec::new();
        for up in self.client.open(now_ms) {
            outbox.extend(encode(&up).unwrap());
        }
        self.at_once.clear();
        self.link = Some(Link { id, replica, decoder: Decoder::default(), outbox, opened_ms: now_ms });
        self.pump(ether);
    }

    /// Whom it dials next, and whether there is another one to be tried at once.
    pub(crate) fn next_replica(&mut self, ether: &mut Ether) -> (ReplicaNo, bool) {
        match self.round.pop_front() {
            Some(replica) => (replica, true),
            None => (ether.chance.below(self.replicas), false),
        }
    }

    /// There is no link: another attempt is made, after a pause where all were tried.
    pub(crate) fn retry(&mut self, ether: &mut Ether) {
        if !self.round.is_empty() {
            return ether.agenda.after(0, Event::Dial(self.pod, self.life));
        }
        let pause = self.backoff.next(&mut self.jitter);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap();
        ether.agenda.after(pause_ms, Event::Dial(self.pod, self.life));
    }

    /// What the app asks of its sidecar, which may have to be said at once.
    pub(crate) fn ask(&mut self, ether: &mut Ether, ask: impl FnOnce(&mut Client, Millis) -> Option<Up>) {
        if self.up && !self.paused {
            let now_ms = ether.now_ms();
            self.at_once.extend(ask(&mut self.client, now_ms));
            self.check();
            self.pump(ether);
        }
    }

    /// Something has come, which a slow one reads at its own pace.
    pub(crate) fn arrived(&mut self, ether: &mut Ether) {
        match self.reads {
            Reads::AtOnce => self.read(ether),
            Reads::Slowly { .. } if self.reading => {}
            Reads::Slowly { every_ms, .. } => {
                self.reading = true;
                ether.agenda.after(every_ms, Event::SidecarReads(self.pod, self.life));
            }
        }
    }

    /// Reads what has come, as much as it does at once; and finds the end of it.
    pub(crate) fn read(&mut self, ether: &mut Ether) {
        self.reading = false;
        let Some(id) = self.link.as_ref().map(|link| link.id).filter(|_| self.up && !self.paused) else {
            return;
        };
        let most = match self.reads {
            Reads::AtOnce => usize::MAX,
            Reads::Slowly { every_ms, bytes } => {
                if ether.network.has_unread(id, End::Dialler) {
                    self.reading = true;
                    ether.agenda.after(every_ms, Event::SidecarReads(self.pod, self.life));
                }
                bytes
            }
        };
        let bytes = ether.read(id, End::Dialler, most);
        let result = self.hear(&bytes, ether);
        if let Err(reason) = result {
            self.hang_up(&reason, Farewell::Close, ether);
        } else if ether.network.ended(id, End::Dialler) && !ether.network.has_unread(id, End::Dialler) {
            self.hang_up("the stream ended", Farewell::Close, ether);
        }
        self.pump(ether);
    }

    /// Its kernel says that the connection is gone.
    pub(crate) fn reset(&mut self, how: Farewell, ether: &mut Ether) {
        self.hang_up("reset", how, ether);
    }

    /// Time has come for something.
    pub(crate) fn wake(&mut self, ether: &mut Ether) {
        self.wake_noted_ms = None;
        if !self.up || self.paused {
            return;
        }
        if self.link.is_some()
            && let Err(violation) = self.client.tick(ether.now_ms())
        {
            self.hang_up(&violation.to_string(), Farewell::Close, ether);
        }
        self.pump(ether);
    }

    pub(crate) fn resume(&mut self, ether: &mut Ether) {
        self.paused = false;
        // Whichever of the two a process sees first.
        if ether.chance.percent(50) {
            self.read(ether);
            self.wake(ether);
        } else {
            self.wake(ether);
            self.read(ether);
        }
    }

    /// Writes as much as the socket takes, and notes when the machine wants to be woken.
    pub(crate) fn pump(&mut self, ether: &mut Ether) {
        if !self.up || self.paused {
            return;
        }
        if let Some(link) = &mut self.link {
            loop {
                if link.outbox.is_empty() {
                    for up in self.at_once.drain(..).chain(self.client.take_up()) {
                        link.outbox.extend(encode(&up).unwrap());
                    }
                }
                let sent = ether.send(link.id, End::Dialler, &link.outbox);
                link.outbox.drain(..sent);
                if sent == 0 {
                    break;
                }
            }
            let at_ms = self.client.wake_at_ms().max(ether.now_ms() + 1);
            if self.wake_noted_ms.is_none_or(|noted_ms| at_ms < noted_ms) {
                self.wake_noted_ms = Some(at_ms);
                ether.agenda.at(at_ms, Event::SidecarWakes(self.pod, self.life));
            }
        }
    }

    fn hear(&mut self, bytes: &[u8], ether: &mut Ether) -> Result<(), String> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.decoder.push(bytes);
        loop {
            let Some(link) = &mut self.link else { return Ok(()) };
            let frame = match link.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.faults.push(format!("{:?} was sent garbage: {error}", self.pod));
                    return Err(error.to_string());
                }
            };
            if !matches!(frame, Down::Heartbeat) {
                ether.note(format!("{:?} hears {}", self.pod, brief(&frame)));
            }
            let opened_ms = link.opened_ms;
            let heard = self.client.hear(frame, ether.now_ms());
            self.check();
            match heard {
                Ok(events) => {
                    for event in events {
                        match event {
                            Heard::Dismissed { reason, .. } => {
                                // Of this process, this is the newest; one before it may yet be heard a little later.
                                let alone = opened_ms >= self.started_ms + PREDECESSOR_MS;
                                if reason == SUPERSEDED && alone {
                                    self.faults
                                        .push(format!("{:?} is superseded by an older session", self.pod));
                                }
                                return Err(reason);
                            }
                            Heard::Drained { drained, .. } => self.drained.push(drained),
                            _ => {}
                        }
                    }
                }
                Err(violation) => {
                    // The controller is real: it may do nothing that it may not do.
                    self.faults.push(format!("{:?} found a violation: {violation}", self.pod));
                    return Err(violation.to_string());
                }
            }
        }
    }

    fn hang_up(&mut self, reason: &str, how: Farewell, ether: &mut Ether) {
        let Some(link) = self.link.take() else { return };
        ether.note(format!("{:?} hangs up {:?}: {reason}", self.pod, link.id));
        ether.leave(link.id, End::Dialler, how);
        let now_ms = ether.now_ms();
        let was_in_step = self.client.in_step();
        self.client.closed();
        self.check();
        if was_in_step || now_ms.saturating_sub(link.opened_ms) >= GOOD_AFTER_MS {
            self.backoff.reset();
        }
        if self.replicas == 1 {
            return self.retry(ether);
        }
        let mut others: Vec<_> = (0..self.replicas).filter(|one| *one != link.replica).collect();
        self.round.clear();
        while !others.is_empty() {
            self.round.push_back(others.swap_remove(ether.chance.below(others.len())));
        }
        self.round.push_back(link.replica);
        let pause_ms = ether.chance.within(0..=ELSEWHERE_WITHIN_MS);
        ether.agenda.after(pause_ms, Event::Dial(self.pod, self.life));
    }

    /// What is shown of a name never goes back, and no number stands for two contents.
    fn check(&mut self) {
        for (key, service) in self.client.held() {
            let now = (service.revision, service.hash);
            if let Some(before) = self.shown.insert(key.clone(), now)
                && before != now
                && before.0 >= now.0
            {
                self.faults.push(format!("{:?} shows {key} as {now:?} after {before:?}", self.pod));
            }
            if !self.wanted.contains(key) {
                self.faults.push(format!("{:?} holds {key}, which nobody asked for", self.pod));
            }
        }
    }
}

/// A frame in few words.
pub(crate) fn brief(frame: &Down) -> String {
    match frame {
        Down::Upsert(Upsert { service, revision, hash, base, instances, removed, more, .. }) => {
            let ids: Vec<_> =
                instances.iter().map(|one| format!("{}:{:?}/{:?}", one.id, one.state, one.reason)).collect();
            format!("upsert {service} r{revision} {hash:?} base {base:?} {ids:?} -{removed:?} more {more}")
        }
        other => {
            let mut text = format!("{other:?}");
            text.truncate(300);
            text
        }
    }
}
