//! The agent: the one task that keeps the session and writes the store.

use std::future::Future;

use rollcall_catalogue::ServiceKey;
use rollcall_net::{Backoff, Jitter};
use rollcall_wire::{
    Drain, Up,
    client::{Client, Event},
    limits::HEARTBEAT_EVERY,
    server::reason,
};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, interval, sleep},
};
use tracing::{debug, info, warn};

use crate::{
    args::Args,
    interest::{Interest, Wish},
    prestop::Questions,
    session::{Link, LinkError, Trust, connect},
    store::{Contact, Known, Writer},
};

/// Wishes that wait for the agent: as many as lookups may wait; a wish that finds no room is made again by the next
/// lookup.
pub(crate) const WISHES_MAX: usize = 256;
/// How often unknown names are looked through for those nobody asks for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// A session that lived so long was a good one, and so is one that is in step when it is lost: the next loss begins with
/// a short pause again. Otherwise a session that is lost soon after an outage, without the controller hearing of it, is
/// missed for longer than the session clock waits, and the pod goes out of the lookups though nothing is wrong with it.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// Who stood still for so long holds what the controller may have called out of date meanwhile.
const STOOD_STILL_MS: u64 = 2 * HEARTBEAT_EVERY.as_millis() as u64;
/// Who is told when to come back comes within so much more: others were told the same.
const RETURN_SPREAD: Duration = Duration::from_secs(1);

/// What all services held may take in memory, by the client's estimate.
const HELD_BYTES_MAX: usize = 24 * 1024 * 1024;

const IN_STEP: Contact = Contact::Live { caught_up: true, synced: true };

/// Holds the session, the interest, and the store's only writer.
pub(crate) struct Agent {
    args: Args,
    writer: Writer,
    interest: Interest,
    wishes: mpsc::Receiver<ServiceKey>,
    questions: Questions,
    client: Client,
    trust: Trust,
    jitter: Jitter,
    /// Where the client's clock begins.
    begin: Instant,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn new(
        args: Args,
        writer: Writer,
        wishes: mpsc::Receiver<ServiceKey>,
        questions: Questions,
    ) -> Self {
        let mut jitter = Jitter::from_entropy();
        let client = Client::new(format!("{:016x}", jitter.next_u64()), HELD_BYTES_MAX);
        let (interest, trust, begin) = (Interest::default(), Trust::default(), Instant::now());
        Self { args, writer, interest, wishes, questions, client, trust, jitter, begin }
    }

    /// Keeps a session for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let begin = Instant::now();
            let error = match self.connect().await {
                Ok(link) => self.session(link).await,
                Err(error) => error,
            };
            let was_in_step = self.client.in_step();
            self.client.closed();
            self.questions.lost();
            if self.writer.contact() != Contact::Never {
                self.writer.set_contact(Contact::Lost);
            }
            // Two processes with one pod's token would send each other away for ever, at once each time.
            let good = was_in_step || begin.elapsed() >= GOOD_AFTER;
            if good && !matches!(error, LinkError::Superseded) {
                backoff.reset();
            }
            let mut pause = backoff.next(&mut self.jitter);
            if let Some(asked) = error.retry_after() {
                pause = pause.max(asked + self.jitter.up_to(RETURN_SPREAD));
            }
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(%error, cause, pause_ms = pause.as_millis(), "no session; lookups go on from the last state");
            self.attend(sleep(pause)).await;
        }
    }

    async fn connect(&mut self) -> Result<Link, LinkError> {
        let args = self.args.clone();
        let mut trust = std::mem::take(&mut self.trust);
        let link = self.attend(connect(&args, &mut trust)).await;
        self.trust = trust;
        link
    }

    /// Waits for this while wishes and hooks are still heard: they are answered with the next session.
    async fn attend<F: Future>(&mut self, wait: F) -> F::Output {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                output = wait.as_mut() => return output,
                Some(key) = self.wishes.recv() => drop(self.wish(key)),
                () = self.questions.hear() => {}
            }
        }
    }

    /// One session from `hello` to its end; there is always an error that ends it.
    async fn session(&mut self, mut link: Link) -> LinkError {
        let ended = self.converse(&mut link).await;
        let unknown_frames = self.client.unknown_frames();
        debug!(unknown_frames, "the session ends");
        match ended {
            Err(error) => {
                if matches!(error, LinkError::Codec(_)) {
                    self.client.garbled();
                }
                error
            }
            Ok(reason) => {
                info!(reason, "the controller said goodbye");
                match reason.as_str() {
                    reason::SUPERSEDED => LinkError::Superseded,
                    _ => LinkError::Ended,
                }
            }
        }
    }

    async fn converse(&mut self, link: &mut Link) -> Result<String, LinkError> {
        for frame in self.client.open(self.now_ms()) {
            link.say(&frame).await?;
        }
        let mut expiry = interval(EXPIRE_EVERY);
        loop {
            let wake_at_ms = self.client.wake_at_ms();
            let idle = Duration::from_millis(wake_at_ms.saturating_sub(self.now_ms()));
            let said: Vec<Up> = tokio::select! {
                frame = link.hear() => {
                    for event in self.client.hear(frame?, self.now_ms())? {
                        if let Event::Dismissed { reason } = event {
                            return Ok(reason);
                        }
                        self.apply(event);
                    }
                    self.writer.heard();
                    Vec::new()
                }
                Some(key) = self.wishes.recv() => self.wish(key),
                () = self.questions.hear() => Vec::new(),
                _ = expiry.tick() => {
                    let expired = self.interest.expire(Instant::now());
                    self.forget(&expired).into_iter().collect()
                }
                () = sleep(idle) => {
                    self.client.tick(self.now_ms())?;
                    Vec::new()
                }
            };
            // What is read after a standstill may be as old as that, and says nothing of what is current now.
            if self.now_ms().saturating_sub(wake_at_ms) > STOOD_STILL_MS {
                return Err(LinkError::StoodStill);
            }
            for frame in said.into_iter().chain(self.client.take_up()).chain(self.ask()) {
                link.say(&frame).await?;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The question of the hooks that wait, where it is to be asked now.
    fn ask(&mut self) -> Option<Up> {
        let deadline_ms = self.questions.take_due(Instant::now())?;
        self.client.drain(Drain::Wait, deadline_ms).map(|(_, frame)| frame)
    }

    /// A lookup wants this name: what is to be said of it, where it is a new one.
    fn wish(&mut self, key: ServiceKey) -> Vec<Up> {
        match self.interest.ask(&key, Instant::now()) {
            Wish::Held => Vec::new(),
            Wish::New { dropped } => {
                let left = dropped.and_then(|dropped| self.forget(&[dropped]));
                self.writer.add([key.clone()]);
                let asked = self.client.subscribe([key]);
                if let Contact::Live { caught_up, .. } = self.writer.contact() {
                    self.writer.set_contact(Contact::Live { caught_up, synced: false });
                }
                left.into_iter().chain(asked).collect()
            }
            Wish::Full => {
                warn!(name = %key, "all subscriptions are taken; this name is not answered");
                Vec::new()
            }
        }
    }

    /// Nobody wants these any more.
    fn forget(&mut self, keys: &[ServiceKey]) -> Option<Up> {
        if keys.is_empty() {
            return None;
        }
        let said = self.client.unsubscribe(keys);
        self.writer.leave(keys);
        self.settle();
        said
    }

    fn apply(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Welcomed { replica, pod } => {
                info!(replica, namespace = %pod.namespace, pod = pod.name, "in session");
                self.writer.at_home_in(&pod.namespace);
                self.writer.change_around(|around| around.pod = Some(pod));
                self.writer.set_contact(Contact::Live { caught_up: false, synced: false });
                // Where nothing was asked for, nothing can be out of step.
                self.settle();
            }
            Event::Changed { key, service } => {
                self.interest.learn(&key, true, now);
                self.writer.set_service(&key, service);
            }
            Event::Gone { key } | Event::TooLarge { key } => {
                self.interest.learn(&key, false, now);
                self.writer.set(&key, Known::Unknown);
            }
            Event::Synced => self.settle(),
            Event::Drained { drained, .. } => self.questions.answered(&drained),
            // The session looks at it itself; of the others, nothing here asks for any.
            Event::Dismissed { .. }
            | Event::SummaryChanged
            | Event::DutiesChanged
            | Event::Told { .. }
            | Event::Registered { .. }
            | Event::Rejected { .. } => {}
        }
    }

    /// Says that the session has caught up, once it has.
    fn settle(&self) {
        let contact = self.writer.contact();
        if self.client.in_step() && matches!(contact, Contact::Live { .. }) && contact != IN_STEP {
            // Before the state says so: no reader may see `caught_up` with the age of the session before.
            self.writer.current();
            self.writer.set_contact(IN_STEP);
        }
    }
}
