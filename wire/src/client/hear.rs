//! What each frame of the controller means, and which it may not say now.

use std::net::SocketAddr;

use rollcall_catalogue::{
    ServiceKey, State,
    changes::{Head, Reading},
};

use super::{
    Client, Place, Welcome,
    acks::Said,
    asks::Answer as Part,
    event::{Drained, Event, Violation},
    holdings::Taken,
    parts::{Added, Told},
    subscriptions::Answer,
};
use crate::{
    duty::DUTIES_MAX,
    frame::{Down, PROTOCOL, Upsert},
    limits::{EPOCH_BYTES_MAX, REPLICAS_MAX},
};

/// The major and the minor version; none of what is no number.
fn numbers(protocol: &str) -> (Option<u32>, Option<u32>) {
    let mut numbers = protocol.split('.').map(|number| number.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

/// Whether it hears tokens that are renewed while a session is open.
fn takes_tokens(protocol: &str) -> bool {
    numbers(protocol).1.is_some_and(|minor| minor >= 1)
}

/// Whether it hears how services are used.
fn takes_usage(protocol: &str) -> bool {
    numbers(protocol).1.is_some_and(|minor| minor >= 2)
}

/// Whether its hashes are of fields that we know: those of a minor version that is not above ours.
fn is_known(protocol: &str) -> bool {
    numbers(protocol).1.is_some_and(|minor| Some(minor) <= numbers(PROTOCOL).1)
}

/// What this says, as far as somebody may wait until it is applied; none where it is not of services.
fn said_of(frame: &Down) -> Option<Said> {
    match frame {
        Down::Remove { .. } => Some(Said::AtOnce),
        // A whole one says nothing of who was there before.
        Down::Upsert(Upsert { base, instances, removed, .. }) => {
            let is_gain = base.is_some() && removed.is_empty();
            let all_serve = || instances.iter().all(|one| one.state == State::Serving);
            Some(if is_gain && all_serve() { Said::Gain } else { Said::AtOnce })
        }
        _ => None,
    }
}

// === impl Client ===

impl Client {
    pub(super) fn take(&mut self, frame: Down, now_ms: u64) -> Result<Vec<Event>, Violation> {
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        session.heard_ms = now_ms;
        session.answer(matches!(frame, Down::Heartbeat), now_ms);
        let first = session.welcome.is_none();
        self.horizon.pass(now_ms);
        match &frame {
            Down::Goaway { .. } | Down::Unknown => {}
            frame if matches!(frame, Down::Welcome { .. }) != first => return Err(Violation::Welcome),
            Down::Remove { .. } | Down::Summary { .. } | Down::Synced { .. } => {
                if let Some(key) = session.parts.open() {
                    return Err(Violation::Parts(key.clone()));
                }
            }
            _ => {}
        }
        if let Some(said) = said_of(&frame) {
            session.acks.say(if session.beat_due { Said::AtOnce } else { said });
        }
        Ok(match frame {
            Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed } => {
                session.welcome = Some(Welcome {
                    verify: is_known(&protocol),
                    takes_tokens: takes_tokens(&protocol),
                    takes_usage: takes_usage(&protocol),
                });
                self.begin_epoch(&protocol, epoch)?;
                self.horizon.welcome(Reading::of_told(position, &changed), now_ms)?;
                self.know(replicas);
                let way = (ca.is_some() || controller.is_some()).then_some(Event::Way { ca, controller });
                [Event::Welcomed { replica, pod }].into_iter().chain(way).collect()
            }
            Down::Upsert(Upsert {
                service: key,
                revision,
                hash,
                base,
                policy,
                truncated,
                instances,
                removed,
                more,
            }) => {
                let head = Head { revision, hash, policy, truncated };
                let room = self.subscriptions.takes(&key).then(|| self.holdings.room(&key));
                match session.parts.add(Told { key, head, base, instances, removed }, more, room)? {
                    Added::Nothing => Vec::new(),
                    Added::Whole(told) => self.upsert(told)?,
                    Added::TooLarge(key) => self.too_large(key),
                }
            }
            Down::Remove { service: key, .. } => match self.subscriptions.takes(&key) {
                true if self.horizon.is_behind() => {
                    self.holdings.miss(&key);
                    Vec::new()
                }
                true if self.holdings.let_go(&key) => vec![Event::Gone { key }],
                _ => Vec::new(),
            },
            Down::Summary { services, removed, whole } => {
                let changed = self.summary.take(services, &removed, whole)?;
                changed.then_some(Event::SummaryChanged).into_iter().collect()
            }
            Down::Synced { cursor, services, summary, position, changed } => {
                self.horizon.synced(Reading::of_told(position, &changed), now_ms)?;
                self.synced(cursor, services, summary, now_ms)?
            }
            Down::Registered { key } => {
                self.words.accepted(&key);
                vec![Event::Registered { key }]
            }
            Down::Rejected { key, reason, field } => {
                self.words.rejected(&key);
                vec![Event::Rejected { key, reason, field }]
            }
            Down::Duties { duties } => {
                if duties.len() > DUTIES_MAX {
                    return Err(Violation::Duties);
                }
                let changed = self.duties != duties;
                self.duties = duties;
                changed.then_some(Event::DutiesChanged).into_iter().collect()
            }
            Down::Told { ask, unknown, explained, found, more } => {
                let told = session.asks.take(ask, Part { unknown, explained, found }, more)?;
                told.map(|told| Event::Told { ask, told }).into_iter().collect()
            }
            // Each of ours has a number.
            Down::Drained { ask: None, .. } => Vec::new(),
            Down::Drained { ask: Some(ask), complete, terminating, acked, subscribers, late, elapsed_ms } => {
                let drained = Drained { complete, terminating, acked, subscribers, late, elapsed_ms };
                vec![Event::Drained { ask, drained }]
            }
            Down::Heartbeat => Vec::new(),
            Down::Replicas { replicas } => {
                self.know(replicas);
                Vec::new()
            }
            Down::Way { ca, controller } => vec![Event::Way { ca, controller }],
            Down::Goaway { reason, dial } => vec![Event::Dismissed { reason, dial }],
            Down::Unknown => {
                self.unknown_frames += 1;
                Vec::new()
            }
        })
    }

    fn begin_epoch(&mut self, protocol: &str, epoch: String) -> Result<(), Violation> {
        if numbers(protocol).0 != numbers(PROTOCOL).0 {
            return Err(Violation::Protocol);
        }
        if epoch.len() > EPOCH_BYTES_MAX {
            return Err(Violation::Epoch);
        }
        if self.place.as_ref().is_none_or(|place| place.epoch != epoch) {
            self.holdings.begin_epoch();
            self.place = Some(Place { epoch, cursor: 0 });
        }
        Ok(())
    }

    /// Where sessions are served from now on.
    fn know(&mut self, replicas: Vec<SocketAddr>) {
        self.replicas.clear();
        for replica in replicas {
            if self.replicas.len() < REPLICAS_MAX && !self.replicas.contains(&replica) {
                self.replicas.push(replica);
            }
        }
    }

    fn upsert(&mut self, told: Told) -> Result<Vec<Event>, Violation> {
        if !self.subscriptions.takes(&told.key) {
            return Ok(Vec::new());
        }
        let verify = self.session.as_ref().and_then(|session| session.welcome).is_some_and(|it| it.verify);
        let key = told.key.clone();
        match self.holdings.take(told, verify, self.horizon.is_behind()) {
            Ok(Taken::Same) => Ok(Vec::new()),
            Ok(Taken::Changed(service)) => Ok(vec![Event::Changed { key, service }]),
            Ok(Taken::TooLarge(key)) => Ok(self.too_large(key)),
            Err(Violation::OutOfStep(key)) if !self.holdings.has(&key) && self.subscriptions.skip(&key) => {
                Ok(Vec::new())
            }
            Err(violation) => Err(violation),
        }
    }

    /// Nothing of it is held from now on: an old state that is never replaced is worse than none.
    fn too_large(&mut self, key: ServiceKey) -> Vec<Event> {
        self.subscriptions.unwant(&key);
        self.holdings.let_go(&key);
        vec![Event::TooLarge { key }]
    }

    fn synced(
        &mut self,
        cursor: u64,
        services: Vec<ServiceKey>,
        summary: bool,
        now_ms: u64,
    ) -> Result<Vec<Event>, Violation> {
        match &mut self.place {
            Some(place) if place.cursor <= cursor => place.cursor = cursor,
            _ => return Err(Violation::Cursor),
        }
        let behind = self.is_behind();
        let is_answer = summary || !services.is_empty();
        let mut events = Vec::new();
        for key in services {
            match self.subscriptions.answer(&key) {
                Answer::Counts { .. } if self.holdings.vouched(&key) => {}
                Answer::Counts { skipped: true } => return Err(Violation::OutOfStep(key)),
                Answer::Counts { skipped: false } if behind => self.holdings.miss(&key),
                Answer::Counts { skipped: false } => {
                    self.holdings.let_go(&key);
                    events.push(Event::Gone { key });
                }
                Answer::Moot => {}
            }
        }
        if summary {
            self.summary.synced();
        }
        if self.summary.settle(behind) {
            events.push(Event::SummaryChanged);
        }
        if !behind {
            let shown = self.holdings.catch_up(|key| self.subscriptions.is_answered(key));
            events.extend(shown.into_iter().map(|(key, shown)| match shown {
                Some(service) => Event::Changed { key, service },
                None => Event::Gone { key },
            }));
        }
        if let Some(session) = &mut self.session {
            if is_answer {
                session.acks.answered(now_ms);
            }
            session.acks.synced(cursor, now_ms);
        }
        events.push(Event::Synced);
        Ok(events)
    }
}
