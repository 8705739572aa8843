//! One session: what is said in it, and what becomes of what is heard.

use std::convert::Infallible;

use rollcall_wire::{
    Down, Drain, Up, Upsert,
    client::{Event, Violation},
    server::reason,
};
use tokio::{
    task::yield_now,
    time::{Duration, Instant, interval, sleep},
};
use tracing::{debug, info, warn};

use super::{Agent, STOOD_STILL_MS};
use crate::{
    interest::Learned,
    session::{Link, LinkError, Shown},
    store::{Contact, Known},
};

/// How often names are looked through for those nobody asks for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// Bytes of why something is refused: it is a sentence or two, and is logged and held.
const REASON_BYTES_MAX: usize = 1_024;

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default()
}

// === impl Agent ===

impl Agent {
    /// One session from `hello` to its end; there is always an error that ends it.
    pub(super) async fn session(&mut self, mut link: Link) -> LinkError {
        let Err(error) = self.converse(&mut link).await;
        let unknown_frames = self.client.unknown_frames();
        debug!(unknown_frames, "the session ends");
        if matches!(error, LinkError::Codec(_)) {
            self.client.garbled();
        }
        error
    }

    async fn converse(&mut self, link: &mut Link) -> Result<Infallible, LinkError> {
        for frame in self.client.open(self.now_ms()) {
            link.say(&frame, self.client.silence_max()).await?;
        }
        let (file, token) = (self.args.token_file.clone(), link.token().clone());
        let mut shown = Shown::new(file, token, &mut self.jitter);
        let mut expiry = interval(EXPIRE_EVERY);
        loop {
            let wake_at_ms = self.client.wake_at_ms();
            let idle = Duration::from_millis(wake_at_ms.saturating_sub(self.now_ms()));
            let said: Vec<Up> = tokio::select! {
                frame = link.hear() => {
                    for event in self.hear(frame?)? {
                        if let Event::Dismissed { reason, dial } = event {
                            info!(reason, ?dial, "the controller said goodbye");
                            return Err(match reason.as_str() {
                                reason::SUPERSEDED => LinkError::Superseded,
                                _ => LinkError::Dismissed { dial },
                            });
                        }
                        match event {
                            Event::Way { ca, controller } => self.hear_way(ca.as_deref(), controller, link.proof()),
                            event => self.apply(event),
                        }
                    }
                    self.writer.heard();
                    Vec::new()
                }
                said = self.hear_us() => said,
                _ = expiry.tick() => {
                    self.forget_untold(link.proof());
                    self.expire()
                }
                () = shown.due() => self.show_token(&mut shown).into_iter().collect(),
                () = sleep(idle) => {
                    self.client.tick(self.now_ms())?;
                    Vec::new()
                }
            };
            // What is read after a standstill may be as old as that, and says nothing of what is current now.
            if self.now_ms().saturating_sub(wake_at_ms) > STOOD_STILL_MS {
                return Err(LinkError::StoodStill);
            }
            let due = self.client.take_up();
            for frame in said.into_iter().chain(due).chain(self.ask_for_drains()) {
                link.say(&frame, self.client.silence_max()).await?;
            }
            // Between two frames lookups have their turn: a thousand of them may have come at once.
            yield_now().await;
        }
    }

    /// What a frame comes to, with what is alike of it held once.
    fn hear(&mut self, mut frame: Down) -> Result<Vec<Event>, Violation> {
        if let Down::Upsert(Upsert { service, instances, .. }) = &mut frame {
            self.alike.share(instances, self.writer.held(service).as_deref());
        }
        self.client.hear(frame, self.now_ms())
    }

    /// Takes this frame as the session does, from whoever plays its other end; a `welcome` opens it. What lookups have wished for
    /// is asked for first, and what is to be said is said to nobody.
    pub(crate) fn hear_alone(&mut self, frame: Down) -> Result<(), Violation> {
        while let Ok(errand) = self.inbox.0.try_recv() {
            self.run_errand(errand);
        }
        if matches!(frame, Down::Welcome { .. }) {
            self.client.open(self.now_ms());
        }
        for event in self.hear(frame)? {
            self.apply(event);
        }
        self.writer.heard();
        self.client.take_up();
        Ok(())
    }

    /// The token, where it was renewed since it was shown.
    pub(super) fn show_token(&mut self, shown: &mut Shown) -> Option<Up> {
        let token = shown.renewed(&mut self.jitter)?;
        let said = self.client.renew(token.clone())?;
        shown.told(token);
        Some(said)
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The question of the hooks that wait, and the app's word on draining, where they are to be said now.
    pub(super) fn ask_for_drains(&mut self) -> Vec<Up> {
        let now = Instant::now();
        let mut frames = Vec::new();
        if let Some(deadline_ms) = self.hooks.due(now)
            && let Some((ask, frame)) = self.client.drain(Drain::Wait, deadline_ms)
        {
            self.hooks.asked(ask, now);
            frames.push(frame);
        }
        if let Some((drain, deadline_ms)) = self.drains.due(now)
            && let Some((ask, frame)) = self.client.drain(drain, deadline_ms)
        {
            self.drains.said(ask);
            frames.push(frame);
        }
        frames
    }

    pub(super) fn apply(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Welcomed { replica, pod } => {
                info!(replica, namespace = %pod.namespace, pod = pod.name, "in session");
                self.writer.at_home_in(&pod.namespace);
                self.writer.change_around(|around| around.pod = Some(pod));
                self.writer.set_contact(Contact::Live { caught_up: false, synced: false });
                self.own.set_in_session(true);
                self.usage.begin();
                // Where nothing was asked for, nothing can be out of step.
                self.settle();
            }
            Event::Changed { key, service } => {
                self.interest.learn(&key, Learned::Known, now);
                self.writer.set_service(&key, service);
            }
            Event::TooLarge { key } => {
                warn!(name = %key, "this service does not fit; give the sidecar more memory, and set ROLLCALL_MEMORY_MAX_MIB");
                self.interest.learn(&key, Learned::TooLarge, now);
                self.writer.set(&key, Known::TooLarge);
                self.settle();
            }
            Event::Gone { key } => {
                self.interest.learn(&key, Learned::Unknown, now);
                self.writer.set(&key, Known::Unknown);
            }
            Event::Synced => {
                self.writer.set_position(self.client.position());
                self.settle();
            }
            Event::SummaryChanged => {
                let summary = self.client.summary().cloned();
                self.writer.change_around(|around| around.summary = summary);
            }
            Event::Registered { key } => self.own.registered(&key),
            Event::Rejected { key, reason, field } => {
                let (reason, field) = (cut(&reason), field.as_deref().map(cut));
                if self.may_warn() {
                    warn!(service = %key.service, reason, field, "the controller refuses a registration");
                }
                self.own.rejected(&key, reason, field);
            }
            Event::DutiesChanged => self.own.set_duties(self.client.duties()),
            Event::Told { ask, told } => {
                if let Some(answer) = self.asks.remove(&ask) {
                    // It may have given up meanwhile.
                    let _ = answer.send(told);
                }
            }
            Event::Drained { ask, drained } => {
                if !self.hooks.answered(ask, &drained) {
                    self.drains.answered(ask, &drained);
                    self.own.set_drain(self.drains.word());
                }
            }
            // The session looks at these itself.
            Event::Dismissed { .. } | Event::Way { .. } => {}
        }
    }
}
