//! The ledger: all that the pod says of itself, and what is to be said of it to the controller. A value; time comes in as an
//! argument, in milliseconds of one clock.
//!
//! ```text
//!  environment, files ─┐                                   ┌─► take: Register, Deregister, Health
//!  PUT /v1/self ───────┼─► entries by key ─► instances ────┤
//!  classic register ───┘                     ▲             └─► shown: GET /v1/self
//!  the controller's duties ──────────────────┤
//!  probes, beats, the app's own word ────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalogue::{ServiceName, liveness::ProbeWitness};
use rollcall_wire::{
    DUTIES_MAX, Drain, Duty, HealthOf, RegistrationKey, SelfRegistration,
    limits::{REGISTRATIONS_BYTES_MAX, REGISTRATIONS_MAX},
};
use thiserror::Error;

use super::{
    entry::{Entry, Refusal, Source, Status},
    health::{AppWord, Health, Spot},
};

/// While something beats, the clock is looked at so often: who looks later than this and [`LATE_MS`] stood still.
const TICK_MS: u64 = 1_000;
/// So late a look may be on a machine that is busy.
const LATE_MS: u64 = 1_000;

/// Says one thing to the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Say {
    Register(SelfRegistration),
    Deregister(RegistrationKey),
    Health { of: Option<HealthOf>, probe: ProbeWitness },
}

/// Says why something cannot be registered beside what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NoRoom {
    #[error("{REGISTRATIONS_MAX} registrations are held already")]
    Count,
    #[error("the registrations of this pod come to more than {REGISTRATIONS_BYTES_MAX} bytes")]
    Bytes,
    /// It is registered already, and alive.
    #[error("already registered")]
    Taken,
    /// It has made room for others, and takes nothing any more.
    #[error("this address has just made room for another one; register again")]
    Closed,
}

/// Says what registrations count for that an earlier process of ours has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// As much as ever: a pod's app and its sidecar live and end together, and Kubernetes sees the app.
    None,
    /// Nobody knows whether who said it still runs: it is served where nothing better is left, until it is heard or probed.
    UntilHeard,
}

/// Names what was put, for who waits for the controller's word on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    key: RegistrationKey,
    turn: u64,
}

/// Says what the controller's word on something is by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    Registered,
    Rejected(Refusal),
    /// There is none yet.
    Open,
    /// It was replaced or taken back meanwhile.
    Overtaken,
}

/// Holds all that the pod says of itself.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: BTreeMap<RegistrationKey, Entry>,
    /// Taken back, and not said yet.
    gone: BTreeSet<RegistrationKey>,
    pub(super) duties: Vec<Duty>,
    pub(super) health: Health,
    /// The app's last word on draining, while it is to be said.
    pub(super) drain: Option<Drain>,
    in_session: bool,
    /// There are registrations in doubt that wait for the first session: `hello` would tell them, and not the doubt.
    waits: bool,
    /// It has made room for others.
    closed: bool,
    /// The last session ended then.
    lost_ms: u64,
    turns: u64,
    looked_ms: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Takes a registration of whoever says it. What an app says at run time is a beat too: who registers is there.
    pub(super) fn put(
        &mut self,
        source: Source,
        said: SelfRegistration,
        now_ms: u64,
    ) -> Result<Ticket, NoRoom> {
        let ticket = self.restore(source, said, now_ms)?;
        if source.is_said_at_run_time() {
            self.wake(now_ms);
            self.spots_of(&ticket.key).iter().for_each(|spot| self.health.beat(spot, now_ms));
        }
        Ok(ticket)
    }

    /// Takes a registration that was said earlier, to another process of ours.
    pub(super) fn restore(
        &mut self,
        source: Source,
        said: SelfRegistration,
        now_ms: u64,
    ) -> Result<Ticket, NoRoom> {
        let key = said.key();
        self.make_room(&key, source, &said)?;
        self.turns += 1;
        let turn = self.turns;
        self.gone.remove(&key);
        match self.entries.get_mut(&key) {
            Some(entry) => entry.put(source, said, turn),
            None => drop(self.entries.insert(key.clone(), Entry::new(source, said, turn))),
        }
        self.join(now_ms);
        Ok(Ticket { key, turn })
    }

    /// What was restored under this ticket is doubted until it is heard.
    pub(super) fn doubt(&mut self, ticket: &Ticket) {
        self.waits |= !self.in_session;
        self.spots_of(&ticket.key).iter().for_each(|spot| self.health.doubt(spot));
    }

    /// Where nothing is registered, nothing is taken any more. Says whether that is so.
    pub(super) fn close(&mut self) -> bool {
        self.closed |= self.entries.is_empty() && self.gone.is_empty();
        self.closed
    }

    /// The same for a classic caller: what is registered and alive is not replaced. What is only declared is taken up.
    pub(super) fn put_classic(&mut self, said: SelfRegistration, now_ms: u64) -> Result<Ticket, NoRoom> {
        let spots: Vec<Spot> = spots_named(&said).collect();
        let of_the_app = |entry: &Entry| entry.layers().any(|(source, _)| source.is_said_at_run_time());
        let taken = self.entries.values().any(|entry| {
            // One without ports says more of an instance that others declare, and has none itself.
            let same =
                entry.said().is_some_and(|(_, said)| spots_named(said).any(|spot| spots.contains(&spot)));
            same && of_the_app(entry) && !entry.is_rejected()
        });
        if taken && spots.iter().all(|spot| self.is_alive(spot)) {
            return Err(NoRoom::Taken);
        }
        self.put(Source::Classic, said, now_ms)
    }

    /// What this source says is taken back, under each key that is meant; gives how many there were.
    pub(super) fn remove(
        &mut self,
        source: Source,
        meant: impl Fn(&RegistrationKey, &SelfRegistration) -> bool,
        now_ms: u64,
    ) -> usize {
        let by = |entry: &Entry, key: &RegistrationKey| entry.by(source).is_some_and(|said| meant(key, said));
        let meant: Vec<_> =
            self.entries.iter().filter(|(key, entry)| by(entry, key)).map(|(key, _)| key.clone()).collect();
        for key in &meant {
            if self.entries.get_mut(key).is_some_and(|entry| !entry.remove(source)) {
                self.entries.remove(key);
                self.gone.insert(key.clone());
            }
        }
        self.join(now_ms);
        meant.len()
    }

    /// The instances of this name and version that were registered here, and those of that name which others said do beat:
    /// they are well. False where there is none.
    pub(super) fn beat(
        &mut self,
        service: &ServiceName,
        version: &str,
        port: Option<u16>,
        now_ms: u64,
    ) -> bool {
        let at = |spot: &Spot| spot.service == *service && port.is_none_or(|port| spot.port == port);
        let (mut meant, mut others) = (BTreeSet::new(), BTreeSet::new());
        // Who was refused is to hear that there is nothing of his, and to register again.
        for (key, entry) in self.entries.iter().filter(|(_, entry)| !entry.is_rejected()) {
            let same = entry.said().is_some_and(|(_, said)| said.version.as_deref() == Some(version));
            let spots = self.spots_of(key).into_iter().filter(at);
            if same { meant.extend(spots) } else { others.extend(spots) }
        }
        let beating = self.duties.iter().filter(|duty| duty.ttl_seconds.is_some()).map(spot_of).filter(at);
        // Of what version those are is not known here, unless it was registered here as another one.
        meant.extend(beating.filter(|spot| !others.contains(spot)));
        self.wake(now_ms);
        meant.iter().for_each(|spot| self.health.beat(spot, now_ms));
        !meant.is_empty()
    }

    pub(super) fn app_says(&mut self, word: AppWord, now_ms: u64) {
        self.wake(now_ms);
        self.health.app_says(word, now_ms);
    }

    /// The same, said earlier to another process of ours: its time begins anew, and it is no beat.
    pub(super) fn restore_word(&mut self, word: AppWord, now_ms: u64) {
        self.wake(now_ms);
        self.health.restore_word(word, now_ms);
    }

    pub(super) fn probed(&mut self, spot: &Spot, probe: Option<ProbeWitness>) {
        self.health.probed(spot, probe);
    }

    /// What the pod is, as the controller has joined it. Whether it is something else than before.
    pub(super) fn set_duties(&mut self, duties: &[Duty], now_ms: u64) -> bool {
        // A controller that tells more is not ours; what is over follows Kubernetes alone.
        let duties = duties.get(..DUTIES_MAX).unwrap_or(duties);
        let changed = self.duties != duties;
        if changed {
            self.duties = duties.to_vec();
            self.join(now_ms);
        }
        changed
    }

    pub(super) fn set_in_session(&mut self, in_session: bool, now_ms: u64) {
        if in_session {
            self.waits = false;
            self.entries.values_mut().for_each(Entry::begin);
        } else if self.in_session {
            self.lost_ms = now_ms;
        }
        self.in_session = in_session;
    }

    pub(super) fn registered(&mut self, key: &RegistrationKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.registered();
        }
    }

    /// Gives what counted until now and does not any more, and whose it was.
    pub(super) fn rejected(
        &mut self,
        key: &RegistrationKey,
        refusal: Refusal,
        now_ms: u64,
    ) -> Option<(Source, SelfRegistration)> {
        let gone = self.entries.get_mut(key).and_then(|entry| entry.rejected(refusal));
        self.join(now_ms);
        gone
    }

    pub(super) fn settled(&self, ticket: &Ticket) -> Settled {
        let Some(entry) = self.entries.get(&ticket.key) else { return Settled::Overtaken };
        match (entry.refusal_of(ticket.turn), &entry.status) {
            (Some(refusal), _) => Settled::Rejected(refusal.clone()),
            (None, _) if entry.turn != ticket.turn => Settled::Overtaken,
            // What nobody can confirm now is as good as said.
            (None, Status::Registered) if self.in_session => Settled::Registered,
            (None, _) => Settled::Open,
        }
    }

    /// Since when there is no session; none while there is one.
    pub(super) fn alone_since_ms(&self) -> Option<u64> {
        (!self.in_session).then_some(self.lost_ms)
    }

    /// Whether the controller has said what becomes of all that there is.
    pub(super) fn is_answered(&self) -> bool {
        self.in_session && self.entries.values().all(|entry| entry.status != Status::Pending)
    }

    pub(super) fn is_due(&self) -> bool {
        if self.waits {
            return false;
        }
        !self.gone.is_empty() || self.entries.values().any(|entry| entry.dirty) || self.health.is_due()
    }

    /// What is to be said: registrations before the words on their health, but behind their doubts, so that nobody takes for
    /// well what nothing was heard of.
    pub(super) fn take(&mut self) -> Vec<Say> {
        if self.waits {
            return Vec::new();
        }
        let mut all: Vec<Say> = std::mem::take(&mut self.gone).into_iter().map(Say::Deregister).collect();
        let health = self.health.take().into_iter().map(|(of, probe)| Say::Health { of, probe });
        let is_doubt = |say: &Say| matches!(say, Say::Health { probe: ProbeWitness::AwaitingBeat, .. });
        let (doubts, health): (Vec<_>, Vec<_>) = health.partition(is_doubt);
        all.extend(doubts);
        for entry in self.entries.values_mut().filter(|entry| entry.dirty) {
            entry.sent(self.in_session);
            all.extend(entry.said().map(|(_, said)| Say::Register(said.clone())));
        }
        all.extend(health);
        all
    }

    /// When [`Ledger::tick`] is to be called, at the latest; none while nothing beats.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        let missed_at_ms = self.health.wake_at_ms()?;
        Some(missed_at_ms.min(self.looked_ms.saturating_add(TICK_MS)))
    }

    /// Finds what was missed. Who comes much too late stood still, and gives all beats as much more time.
    pub(super) fn tick(&mut self, now_ms: u64) {
        if let Some(due_ms) = self.wake_at_ms() {
            let late_ms = now_ms.saturating_sub(due_ms.max(self.looked_ms));
            if late_ms > LATE_MS {
                self.health.stood_still(late_ms);
            }
        }
        self.looked_ms = now_ms;
        self.health.tick(now_ms);
    }

    /// The instances that a registration means: that of its first port; one without ports means all that the pod is of its
    /// service.
    pub(super) fn spots_of(&self, key: &RegistrationKey) -> Vec<Spot> {
        let Some((_, said)) = self.entries.get(key).and_then(Entry::said) else { return Vec::new() };
        if !said.ports.is_empty() {
            return spots_named(said).collect();
        }
        self.duties.iter().filter(|duty| duty.service == said.service).map(spot_of).collect()
    }

    /// All that is known of the instances is joined anew from who says what.
    fn join(&mut self, now_ms: u64) {
        let mut spots: BTreeMap<Spot, Option<u64>> = BTreeMap::new();
        let ms = |seconds: u32| u64::from(seconds) * 1_000;
        for duty in &self.duties {
            spots.insert(spot_of(duty), duty.ttl_seconds.map(ms));
        }
        for (key, entry) in &self.entries {
            let Some((_, said)) = entry.said() else { continue };
            for spot in self.spots_of(key) {
                let ttl_ms = spots.entry(spot).or_default();
                *ttl_ms = said.ttl_seconds.map(ms).or(*ttl_ms);
            }
        }
        self.wake(now_ms);
        self.health.set_spots(&spots, now_ms);
    }

    /// While nothing beats, nobody looks at the clock: that is no standstill.
    fn wake(&mut self, now_ms: u64) {
        if self.health.wake_at_ms().is_none() {
            self.looked_ms = now_ms;
        }
    }

    /// What the controller says that the pod is.
    pub(super) fn spots(&self) -> impl Iterator<Item = (Spot, &Duty)> {
        self.duties.iter().map(|duty| (spot_of(duty), duty))
    }

    fn is_alive(&self, spot: &Spot) -> bool {
        // What comes behind the wish to beat is bad news; and who registers what is in doubt is there, or is another one.
        !self.health.doubts(spot)
            && self.health.of(spot).is_none_or(|word| word <= ProbeWitness::AwaitingBeat)
    }

    /// Where there is none, one that was rejected gives its place.
    fn make_room(
        &mut self,
        key: &RegistrationKey,
        source: Source,
        said: &SelfRegistration,
    ) -> Result<(), NoRoom> {
        if self.closed {
            return Err(NoRoom::Closed);
        }
        let entries = self.entries.iter();
        let others = entries.flat_map(|(of, entry)| entry.layers().map(move |(by, said)| (of, by, said)));
        let others = others.filter(|(of, by, _)| (*of, *by) != (key, source));
        if others.map(|(_, _, said)| said.json_bytes()).sum::<usize>() + said.json_bytes()
            > REGISTRATIONS_BYTES_MAX
        {
            return Err(NoRoom::Bytes);
        }
        if self.entries.contains_key(key) || self.entries.len() < REGISTRATIONS_MAX {
            return Ok(());
        }
        let mut entries = self.entries.iter();
        let rejected = entries.find(|(_, entry)| entry.is_rejected());
        let rejected = rejected.map(|(key, _)| key.clone()).ok_or(NoRoom::Count)?;
        self.entries.remove(&rejected);
        Ok(())
    }
}

fn spots_named(said: &SelfRegistration) -> impl Iterator<Item = Spot> + '_ {
    let first = said.ports.first().and_then(|port| u16::try_from(port.port).ok());
    first.into_iter().map(|port| Spot { service: said.service.clone(), port })
}

fn spot_of(duty: &Duty) -> Spot {
    Spot { service: duty.service.clone(), port: duty.port }
}
