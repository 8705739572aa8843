//! What each frame of the controller means, and which it may not say now.

use rollcall_catalogue::{ServiceKey, changes::Head};

use super::{
    Client, Place, Welcome,
    event::{Drained, Event, Violation},
    parts::Told,
    subscriptions::Answer,
};
use crate::{
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
                match session.parts.add(Told { key, head, base, instances, removed }, more)? {
                    None => Vec::new(),
                    Some(told) => self.upsert(told)?,
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
            Down::Synced { cursor, services, summary } => self.synced(cursor, services, summary)?,
            Down::Registered { service } => {
                self.words.accepted(&service);
                vec![Event::Registered { service }]
            }
            Down::Rejected { service, reason, field } => {
                self.words.rejected(&service);
                vec![Event::Rejected { service, reason, field }]
            }
            Down::Drained { complete, terminating, acked, subscribers, late, elapsed_ms } => {
                let drained = Drained { complete, terminating, acked, subscribers, late, elapsed_ms };
                vec![Event::Drained(drained)]
            }
            Down::Heartbeat => Vec::new(),
            Down::Goaway { reason } => vec![Event::Dismissed { reason }],
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
            Ok(changed) => Ok(changed.map(|service| Event::Changed { key, service }).into_iter().collect()),
            Err(Violation::OutOfStep(key)) if !self.holdings.has(&key) && self.subscriptions.skip(&key) => {
                Ok(Vec::new())
            }
            Err(violation) => Err(violation),
        }
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
