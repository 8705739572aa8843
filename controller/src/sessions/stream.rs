//! The body of one session's answer: a stream that hyper polls when the socket takes more.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use rollcall_net::Shutdown;
use rollcall_wire::{
    Decoder, Up,
    limits::{HEARTBEAT_EVERY, SILENCE_MAX},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info};

use super::conversation::Conversation;
use crate::{
    operate::{Metrics, Resync},
    owner::{Dismissal, Presence, View},
};

/// Holds one session: its conversation, and everything that moves it. Dropping it ends the session.
pub(crate) struct SessionStream {
    pub(crate) conversation: Conversation,
    pub(crate) incoming: Incoming,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) presence: Presence,
    pub(crate) shutdown: Shutdown,
    pub(crate) pulse: Pulse,
    pub(crate) metrics: Metrics,
    /// The session's place among all, given back with the rest.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// Holds when a connection's session was last asked for more, which hyper does only while the peer reads. A peer
/// that keeps its connection open and reads nothing is as silent as a dead one.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    begin: Instant,
    last_ms: Arc<AtomicU64>,
}

struct Running {
    session: SessionStream,
    decoder: Decoder<Up>,
    last_heard: Instant,
    beat_due: Instant,
    /// The session says its last word, or has said it.
    ending: bool,
}

// === impl SessionStream ===

impl SessionStream {
    /// The frames of this session as they become due.
    pub(crate) fn frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        let now = Instant::now();
        let running = Running {
            session: self,
            decoder: Decoder::default(),
            last_heard: now,
            beat_due: now + HEARTBEAT_EVERY,
            ending: false,
        };
        stream::unfold(running, |mut running| async move {
            let bytes = running.next().await?;
            Some((Ok(Frame::data(bytes.into())), running))
        })
    }
}

// === impl Running ===

impl Running {
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            self.session.pulse.beat();
            if self.session.conversation.closed() {
                return None;
            }
            if self.ending {
                // A peer that never said hello gets no frame but the last one.
                return self.session.conversation.speak(&self.session.view.borrow().catalogue);
            }
            let has_more = self.session.conversation.has_more();
            tokio::select! {
                () = async {}, if has_more => {
                    let view = self.session.view.borrow().clone();
                    if let Some(bytes) = self.session.conversation.speak(&view.catalogue) {
                        self.beat_due = Instant::now() + HEARTBEAT_EVERY;
                        return Some(bytes);
                    }
                }
                frame = self.session.incoming.frame() => match frame {
                    Some(Ok(frame)) => self.hear(frame),
                    Some(Err(error)) => {
                        debug!(pod = self.session.conversation.pod().name, %error, "a session broke off");
                        self.session.presence.ended_by_peer();
                        return None;
                    }
                    None => {
                        self.session.presence.ended_by_peer();
                        return None;
                    }
                },
                changed = self.session.view.changed() => match changed {
                    Ok(()) => {
                        let view = self.session.view.borrow_and_update().clone();
                        self.session.conversation.look(&view.catalogue);
                    }
                    Err(_) => self.end("shutdown"),
                },
                () = sleep_until(self.beat_due) => {
                    self.beat_due = Instant::now() + HEARTBEAT_EVERY;
                    if let Some(bytes) = self.session.conversation.heartbeat() {
                        return Some(bytes);
                    }
                }
                () = sleep_until(self.last_heard + SILENCE_MAX) => self.end("silent"),
                dismissal = self.session.presence.dismissed() => self.end(match dismissal {
                    Dismissal::PodGone => "pod-gone",
                    Dismissal::Superseded => "superseded",
                }),
                () = self.session.shutdown.requested() => self.end("shutdown"),
            }
        }
    }

    fn hear(&mut self, frame: Frame<Bytes>) {
        let Ok(chunk) = frame.into_data() else { return };
        self.last_heard = Instant::now();
        self.session.presence.heard();
        self.decoder.push(&chunk);
        loop {
            let result = match self.decoder.next_frame() {
                Ok(Some(frame)) => self.session.conversation.hear(frame).map_err(|error| error.to_string()),
                Ok(None) => return,
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = result {
                self.end(&reason);
                return;
            }
            if self.session.conversation.was_out_of_step() {
                self.session.metrics.resynced(Resync::Digest);
            }
        }
    }

    fn end(&mut self, reason: &str) {
        let pod = self.session.conversation.pod();
        info!(namespace = %pod.namespace, pod = pod.name, reason, "a session is ended");
        self.session.conversation.go_away(reason);
        self.ending = true;
    }
}

// === impl Pulse ===

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), last_ms: Arc::default() }
    }

    fn beat(&self) {
        let since = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(since, Ordering::Relaxed);
    }

    /// Whether nothing was asked for in longer than any living peer takes.
    pub(crate) fn stopped(&self) -> bool {
        let last = std::time::Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.begin.elapsed().saturating_sub(last) > SILENCE_MAX + HEARTBEAT_EVERY
    }
}
