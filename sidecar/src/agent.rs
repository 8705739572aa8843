//! The agent: the one task that keeps the session and writes the store.

use std::{collections::BTreeMap, future::Future};

use rollcall_catalogue::{ContentHash, ServiceKey};
use rollcall_net::{Backoff, Jitter};
use rollcall_wire::{PROTOCOL, Up, limits::HEARTBEAT_EVERY};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, interval, sleep, sleep_until},
};
use tracing::{info, warn};

use crate::{
    args::Args,
    interest::{Interest, Wish},
    session::{Conversation, Event, Link, LinkError, connect},
    store::{Contact, Held, Known, Writer},
};

/// Wishes that wait for the agent: as many as lookups may wait; a wish that finds no room is made again by the next
/// lookup.
pub(crate) const WISHES_MAX: usize = 256;
/// How often unknown names are looked through for those nobody asks for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// A session that lived so long was a good one: the next loss begins with a short pause again.
const GOOD_AFTER: Duration = Duration::from_secs(10);

const IN_STEP: Contact = Contact::Live { caught_up: true, synced: true };

/// Holds the session, the interest, and the store's only writer.
pub(crate) struct Agent {
    args: Args,
    writer: Writer,
    interest: Interest,
    wishes: mpsc::Receiver<ServiceKey>,
    incarnation: String,
    sequence: u64,
    jitter: Jitter,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn new(args: Args, writer: Writer, wishes: mpsc::Receiver<ServiceKey>) -> Self {
        let mut jitter = Jitter::from_entropy();
        let incarnation = format!("{:016x}", jitter.next_u64());
        Self { args, writer, interest: Interest::default(), wishes, incarnation, sequence: 0, jitter }
    }

    /// Keeps a session for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let begin = Instant::now();
            let args = self.args.clone();
            let error = match self.attend(connect(&args)).await {
                Ok(link) => self.session(link).await,
                Err(error) => error,
            };
            self.writer.change(|local| {
                if local.contact != Contact::Never {
                    local.contact = Contact::Lost;
                }
            });
            if begin.elapsed() >= GOOD_AFTER {
                backoff.reset();
            }
            let pause = backoff.next(&mut self.jitter);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(%error, cause, pause_ms = pause.as_millis(), "no session; lookups go on from the last state");
            self.attend(sleep(pause)).await;
        }
    }

    /// Waits for this while wishes are still heard: they are fulfilled with the next session.
    async fn attend<F: Future>(&mut self, wait: F) -> F::Output {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                output = wait.as_mut() => return output,
                Some(key) = self.wishes.recv() => {
                    let forgotten = self.wish(&key).1;
                    self.forget(&forgotten);
                }
            }
        }
    }

    /// One session from `hello` to its end; there is always an error that ends it.
    async fn session(&mut self, mut link: Link) -> LinkError {
        match self.converse(&mut link).await {
            Err(error) => error,
            Ok(reason) => {
                info!(reason, "the controller said goodbye");
                LinkError::Ended
            }
        }
    }

    async fn converse(&mut self, link: &mut Link) -> Result<String, LinkError> {
        let held = self.held();
        let mut conversation = Conversation::resume(held.clone());
        self.sequence += 1;
        let (incarnation, sequence) = (self.incarnation.clone(), self.sequence);
        link.say(&Up::Hello {
            protocol: PROTOCOL.to_owned(),
            incarnation,
            sequence,
            epoch: None,
            cursor: 0,
            held,
            registrations: Vec::new(),
        })
        .await?;
        let services: Vec<_> = self.interest.iter().map(reference).collect();
        if !services.is_empty() {
            conversation.awaits(self.interest.iter());
            link.say(&Up::Subscribe { services, summary: false }).await?;
        }
        let mut beat = interval(HEARTBEAT_EVERY);
        beat.reset();
        let mut expiry = interval(EXPIRE_EVERY);
        loop {
            let silent_at = link.silent_at();
            tokio::select! {
                frame = link.hear() => {
                    let frame = frame?;
                    let event = conversation.hear(frame).map_err(|error| LinkError::Violation(error.to_string()))?;
                    match event {
                        Some(Event::Dismissed { reason }) => return Ok(reason),
                        Some(Event::Synced { cursor, services }) => {
                            self.synced(&services, conversation.complete());
                            link.say(&Up::Ack { cursor }).await?;
                        }
                        // Unsubscribed while the frame was under way: it must not count as held.
                        Some(Event::Upserted { key, .. }) if !self.interest.contains(&key) => {
                            conversation.forget(&key);
                        }
                        Some(event) => self.apply(event),
                        None => {}
                    }
                    self.writer.heard();
                }
                Some(key) = self.wishes.recv() => {
                    let (new, forgotten) = self.wish(&key);
                    self.unsubscribe(link, &mut conversation, &forgotten).await?;
                    if new {
                        conversation.awaits([&key]);
                        self.writer.change(|local| local.contact = unsynced(local.contact));
                        link.say(&Up::Subscribe { services: vec![reference(&key)], summary: false }).await?;
                    }
                }
                _ = beat.tick() => {
                    let (cursor, digest) = (conversation.cursor(), conversation.digest());
                    link.say(&Up::Heartbeat { cursor, digest }).await?;
                }
                _ = expiry.tick() => {
                    let expired = self.interest.expire(Instant::now());
                    self.unsubscribe(link, &mut conversation, &expired).await?;
                }
                () = sleep_until(silent_at) => return Err(LinkError::Silent),
            }
        }
    }

    /// Whether this name is to be subscribed to now, and what was dropped for it.
    fn wish(&mut self, key: &ServiceKey) -> (bool, Vec<ServiceKey>) {
        match self.interest.ask(key, Instant::now()) {
            Wish::Held => (false, Vec::new()),
            Wish::New { dropped } => (true, dropped.into_iter().collect()),
            Wish::Full => {
                warn!(name = %key, "all subscriptions are taken; this name is not answered");
                (false, Vec::new())
            }
        }
    }

    async fn unsubscribe(
        &mut self,
        link: &mut Link,
        conversation: &mut Conversation,
        keys: &[ServiceKey],
    ) -> Result<(), LinkError> {
        if keys.is_empty() {
            return Ok(());
        }
        keys.iter().for_each(|key| conversation.forget(key));
        self.forget(keys);
        self.settle(conversation.complete());
        link.say(&Up::Unsubscribe { services: keys.iter().map(reference).collect(), summary: false }).await
    }

    fn forget(&self, keys: &[ServiceKey]) {
        if !keys.is_empty() {
            self.writer.change(|local| keys.iter().for_each(|key| drop(local.names.remove(key))));
        }
    }

    /// What is held from earlier sessions and still wanted.
    fn held(&self) -> BTreeMap<ServiceKey, ContentHash> {
        let local = self.writer.local();
        let hash = |key: &ServiceKey| match local.names.get(key) {
            Some(Known::Service(held)) => Some((key.clone(), held.hash)),
            _ => None,
        };
        self.interest.iter().filter_map(hash).collect()
    }

    fn apply(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Welcomed { home } => {
                // Nothing was asked for: nothing can be out of step.
                let synced = self.interest.iter().next().is_none();
                self.writer.change(|local| {
                    local.home = Some(home);
                    local.contact = Contact::Live { caught_up: synced, synced };
                });
            }
            Event::Upserted { key, service } => {
                self.interest.learn(&key, true, now);
                let held = Known::Service(Held::new(&key, &service).into());
                self.writer.change(|local| drop(local.names.insert(key, held)));
            }
            Event::Removed { service } => self.unknown(service, now),
            Event::Synced { .. } | Event::Dismissed { .. } => {}
        }
    }

    /// Whatever of these is not held does not exist.
    fn synced(&mut self, services: &[ServiceKey], complete: bool) {
        let now = Instant::now();
        let held = self.writer.local();
        for service in services {
            if !held.names.contains_key(service) {
                self.unknown(service.clone(), now);
            }
        }
        self.settle(complete);
    }

    /// Says that the session has caught up, once it has.
    fn settle(&self, complete: bool) {
        let contact = self.writer.local().contact;
        if complete && matches!(contact, Contact::Live { .. }) && contact != IN_STEP {
            // Before the state says so: no reader may see `caught_up` with the age of the session before.
            self.writer.current();
            self.writer.change(|local| local.contact = IN_STEP);
        }
    }

    fn unknown(&mut self, service: ServiceKey, now: Instant) {
        if self.interest.contains(&service) {
            self.interest.learn(&service, false, now);
            self.writer.change(|local| drop(local.names.insert(service, Known::Unknown)));
        }
    }
}

fn reference(key: &ServiceKey) -> rollcall_catalogue::ServiceRef {
    rollcall_catalogue::ServiceRef { service: key.service.clone(), namespace: Some(key.namespace.clone()) }
}

fn unsynced(contact: Contact) -> Contact {
    match contact {
        Contact::Live { caught_up, .. } => Contact::Live { caught_up, synced: false },
        other => other,
    }
}
