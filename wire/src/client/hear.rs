//! What each frame of the controller means, and which it may not say now.

use rollcall_catalogue::{ServiceKey, changes::Head};

use super::{
    Client, Place, Welcome,
    asks::Answer as Part,
    event::{Drained, Event, Violation},
    holdings::Taken,
    parts::{Added, Told},
    subscriptions::Answer,
};
use crate::{
    duty::DUTIES_MAX,
    frame::{Down, PROTOCOL},
    limits::EPOCH_BYTES_MAX,
};

// === impl Client ===

impl Client {
    pub(super) fn take(&mut self, frame: Down, now_ms: u64) -> Result<Vec<Event>, Violation> {
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        session.heard_ms = now_ms;
        let first = session.welcome.is_none();
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
        Ok(match frame {
            Down::Welcome { protocol, replica, epoch, pod, .. } => {
                session.welcome = Some(Welcome { verify: protocol == PROTOCOL });
                self.begin_epoch(&protocol, epoch)?;
                vec![Event::Welcomed { replica, pod }]
            }
            Down::Upsert {
                service: key,
                revision,
                hash,
                base,
                policy,
                truncated,
                instances,
                removed,
                more,
            } => {
                let head = Head { revision, hash, policy, truncated };
                let room = self.subscriptions.takes(&key).then(|| self.holdings.room(&key));
                match session.parts.add(Told { key, head, base, instances, removed }, more, room)? {
                    Added::Nothing => Vec::new(),
                    Added::Whole(told) => self.upsert(told)?,
                    Added::TooLarge(key) => self.too_large(key),
                }
            }
            Down::Remove { service: key, .. } => {
                let gone = self.subscriptions.takes(&key) && self.holdings.let_go(&key);
                gone.then_some(Event::Gone { key }).into_iter().collect()
            }
            Down::Summary { services, removed, whole } => {
                let changed = self.summary.take(services, &removed, whole)?;
                changed.then_some(Event::SummaryChanged).into_iter().collect()
            }
            Down::Synced { cursor, services, summary, .. } => self.synced(cursor, services, summary)?,
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
            Down::Heartbeat | Down::Replicas { .. } => Vec::new(),
            Down::Goaway { reason, .. } => vec![Event::Dismissed { reason }],
            Down::Unknown => {
                self.unknown_frames += 1;
                Vec::new()
            }
        })
    }

    fn begin_epoch(&mut self, protocol: &str, epoch: String) -> Result<(), Violation> {
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if major(protocol) != major(PROTOCOL) {
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

    fn upsert(&mut self, told: Told) -> Result<Vec<Event>, Violation> {
        if !self.subscriptions.takes(&told.key) {
            return Ok(Vec::new());
        }
        let verify = self.session.as_ref().and_then(|session| session.welcome).is_some_and(|it| it.verify);
        let key = told.key.clone();
        match self.holdings.take(told, verify) {
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
    ) -> Result<Vec<Event>, Violation> {
        match &mut self.place {
            Some(place) if place.cursor <= cursor => place.cursor = cursor,
            _ => return Err(Violation::Cursor),
        }
        let mut events = Vec::new();
        for key in services {
            match self.subscriptions.answer(&key) {
                Answer::Counts { .. } if self.holdings.vouched(&key) => {}
                Answer::Counts { skipped: true } => return Err(Violation::OutOfStep(key)),
                Answer::Counts { skipped: false } => {
                    self.holdings.let_go(&key);
                    events.push(Event::Gone { key });
                }
                Answer::Moot => {}
            }
        }
        if summary && self.summary.synced() {
            events.push(Event::SummaryChanged);
        }
        if let Some(session) = &mut self.session {
            session.acks.push(cursor);
        }
        events.push(Event::Synced);
        Ok(events)
    }
}
