//! One link with another replica: its machine, and everything that moves it.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rollcall_net::Shutdown;
use rollcall_wire::{
    Decoder, Token,
    limits::{PEER_WORDS_MAX, TOKEN_SHOWN_EVERY},
    peer::{Beat, Frame, Heard, Introduction, Link, Note, Violation},
    server::reason,
};
use tokio::{
    sync::{
        mpsc,
        watch::{self, error::RecvError},
    },
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info};

use super::handle::Reviewer;
use crate::{
    auth::{AuthError, KnownTokens, TOLD_MAX},
    owner::{IndexHandle, OwnerGone},
};

/// Notes that the owner is given at once: as many as it takes in one turn beside everything else.
const BATCH_MAX: usize = 256;

/// What the last word gets to reach the other end.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// Orders that wait for a link to take them: as many drains as may be asked for at once. Who does not take them is slow,
/// and his link ends.
pub(super) const ORDERS_MAX: usize = 1_024;

/// Who shows a token over a link was let in before; all of them have the reviews of one address between them.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Names a link of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinkId(pub(super) u64);

/// Says what a link has heard that the hub is to know.
#[derive(Debug)]
pub(super) enum Event {
    Heard(Heard),
    /// It dialled ourselves.
    Ourselves,
    Ended(String),
}

/// Says what a link is to do.
#[derive(Debug)]
pub(super) enum Order {
    Say(Frame),
    GoAway(&'static str),
}

/// Holds the two directions of an open request, whoever made it.
pub(crate) struct Way {
    pub(crate) incoming: Incoming,
    /// Has room for one frame, and takes it when the socket has taken the one before.
    pub(crate) outgoing: mpsc::Sender<Bytes>,
    /// HTTP/2's own work, where nobody else does it.
    pub(crate) connection: Option<BoxFuture<'static, ()>>,
}

/// Holds what a link needs of the process.
#[derive(Clone)]
pub(super) struct Needs {
    pub(super) who: Introduction,
    pub(super) index: IndexHandle,
    pub(super) tokens: Arc<KnownTokens>,
    /// Our own token, as others are shown it.
    pub(super) token: watch::Receiver<Option<Token>>,
    pub(super) reviewer: Reviewer,
    pub(super) beat: watch::Receiver<Beat>,
    pub(super) events: mpsc::Sender<(LinkId, Event)>,
}

/// Holds a link at work. Dropping it ends the link.
pub(crate) struct Moving {
    id: LinkId,
    needs: Needs,
    link: Link,
    way: Way,
    orders: mpsc::Receiver<Order>,
    ledger: watch::Receiver<u64>,
    told_tokens: u64,
    tokens: watch::Receiver<u64>,
    decoder: Decoder<Frame>,
    /// What was heard and is not passed on.
    heard: VecDeque<Heard>,
    /// The first of them, where they are notes.
    notes: Vec<Arc<Note>>,
    /// Something is passed on; nothing is heard meanwhile.
    passing: Option<BoxFuture<'static, Result<(), OwnerGone>>>,
    /// The review of the other end's newest token.
    renewal: Option<BoxFuture<'static, ()>>,
    /// Our own is told then at the earliest.
    shows_at: Instant,
}

/// Says what moved a link.
enum Moved {
    Room,
    Taken(Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>),
    Passed(Result<(), OwnerGone>),
    Ordered(Option<Order>),
    Beat,
    /// Our own token is another one.
    Renewed,
    /// There is more to tell.
    More,
    Due,
    Ended,
    Shutdown,
}

// === impl Moving ===

impl Moving {
    pub(super) fn new(id: LinkId, mut needs: Needs, way: Way, orders: mpsc::Receiver<Order>) -> Self {
        let beat = needs.beat.borrow().clone();
        let link = Link::new(needs.who.clone(), beat, needs.index.ledger().clone(), needs.index.now_ms());
        // Who has dialled us was not shown ours.
        needs.token.mark_changed();
        let (ledger, tokens) = (needs.index.ledger_changes(), needs.tokens.changes());
        Self {
            id,
            needs,
            link,
            way,
            orders,
            ledger,
            told_tokens: 0,
            tokens,
            decoder: Decoder::default(),
            heard: VecDeque::new(),
            notes: Vec::new(),
            passing: None,
            renewal: None,
            shows_at: Instant::now(),
        }
    }

    pub(super) fn id(&self) -> LinkId {
        self.id
    }

    /// Moves the link until it has ended.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        let ending = loop {
            self.hear_what_came();
            self.tell_tokens();
            if self.link.closed() && self.passing.is_none() {
                break self.link.farewell().unwrap_or(reason::SHUTDOWN).to_owned();
            }
            let moved = self.moved(&mut shutdown).await;
            if let Some(ending) = self.apply(moved) {
                break ending;
            }
        };
        let ended = self.needs.events.send((self.id, Event::Ended(ending)));
        // A hub that is gone is a process that ends.
        let _ = ended.await;
        self.linger().await;
    }

    /// Lets the last word reach the other end.
    async fn linger(self) {
        let Way { incoming, outgoing, connection } = self.way;
        drop(outgoing);
        if let Some(connection) = connection {
            // However it ends, the link is over.
            let _ = timeout(LINGER_MAX, connection).await;
        }
        drop(incoming);
    }

    /// Waits for whatever comes first. Safe to drop: nothing is taken that is not given.
    async fn moved(&mut self, shutdown: &mut Shutdown) -> Moved {
        let wait_ms = self.link.wake_at_ms().saturating_sub(self.needs.index.now_ms());
        let wakes_at = Instant::now() + Duration::from_millis(wait_ms);
        let is_open = !self.link.closed();
        let hears = is_open && self.passing.is_none();
        let stays = is_open && self.link.farewell().is_none();
        let shows = stays && self.link.other().is_some();
        let shows_at = self.shows_at;
        let Self { link, way, orders, ledger, tokens, needs, passing, renewal, .. } = self;
        tokio::select! {
            room = way.outgoing.reserve(), if is_open && link.has_more() => match room {
                Ok(_) => Moved::Room,
                Err(_) => Moved::Ended,
            },
            passed = passed(passing) => Moved::Passed(passed),
            frame = way.incoming.frame(), if hears => Moved::Taken(frame),
            order = orders.recv(), if stays => Moved::Ordered(order),
            Ok(()) = needs.beat.changed(), if stays => Moved::Beat,
            Ok(()) = renewed(&mut needs.token, shows_at), if shows => Moved::Renewed,
            () = moves(renewal) => Moved::More,
            Ok(()) = ledger.changed(), if stays => Moved::More,
            Ok(()) = tokens.changed(), if stays => Moved::More,
            // While nothing is heard, nobody's silence is judged; the machine knows a clock that is late.
            () = sleep_until(wakes_at), if hears => Moved::Due,
            () = moves(&mut way.connection) => Moved::Ended,
            () = shutdown.requested(), if stays => Moved::Shutdown,
        }
    }

    /// Does what follows; gives how the link ends, where it ends without another word.
    fn apply(&mut self, moved: Moved) -> Option<String> {
        match moved {
            Moved::Room => {
                if let Some(frame) = self.link.speak(self.needs.index.now_ms()) {
                    // Nobody else fills the room that there was; a reader that is gone is noticed with the next.
                    let _ = self.way.outgoing.try_send(frame);
                }
            }
            Moved::Taken(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    self.decoder.push(&chunk);
                }
            }
            Moved::Taken(Some(Err(error))) => {
                debug!(%error, "a link broke off");
                return Some("broken off".to_owned());
            }
            Moved::Taken(None) | Moved::Ended => return Some("closed".to_owned()),
            Moved::Passed(Ok(())) => self.passing = None,
            Moved::Passed(Err(OwnerGone)) => {
                self.passing = None;
                self.link.go_away(reason::SHUTDOWN);
            }
            Moved::Ordered(Some(Order::Say(frame))) => self.link.say(frame),
            Moved::Ordered(Some(Order::GoAway(reason))) => self.link.go_away(reason),
            Moved::Ordered(None) | Moved::Shutdown => self.link.go_away(reason::SHUTDOWN),
            Moved::Beat => {
                let beat = self.needs.beat.borrow_and_update().clone();
                self.link.set_beat(beat);
            }
            Moved::Renewed => {
                self.shows_at = Instant::now() + TOKEN_SHOWN_EVERY;
                if let Some(token) = self.needs.token.borrow_and_update().clone() {
                    self.link.say(Frame::Renewed { token });
                }
            }
            Moved::More => {}
            Moved::Due => self.link.tick(self.needs.index.now_ms()),
        }
        None
    }

    /// Hears what is there, and passes it on in its order: who is told that all has come finds it in the index.
    fn hear_what_came(&mut self) {
        while self.passing.is_none() {
            match self.heard.pop_front() {
                Some(Heard::Note(note)) => self.notes.push(note),
                Some(heard) if self.notes.is_empty() => self.pass_on(Event::Heard(heard)),
                Some(heard) => {
                    self.heard.push_front(heard);
                    self.give_notes();
                }
                None if self.link.closed() => return self.give_notes(),
                None => match self.decoder.next_frame() {
                    Ok(Some(frame)) => self.understand(frame),
                    Ok(None) => return self.give_notes(),
                    Err(error) => return self.link.go_away(error.to_string()),
                },
            }
            if self.notes.len() >= BATCH_MAX {
                self.give_notes();
            }
        }
    }

    fn understand(&mut self, frame: Frame) {
        match self.link.hear(frame, self.needs.index.now_ms()) {
            Ok(heard) => self.heard.extend(heard),
            Err(Violation::Ourselves) => self.pass_on(Event::Ourselves),
            // The machine says goodbye by itself.
            Err(violation) => debug!(%violation, "a link is at fault"),
        }
    }

    fn give_notes(&mut self) {
        if self.notes.is_empty() {
            return;
        }
        let (index, notes) = (self.needs.index.clone(), std::mem::take(&mut self.notes));
        self.passing = Some(async move { index.hear_notes(notes).await }.boxed());
    }

    fn pass_on(&mut self, event: Event) {
        if let Event::Heard(Heard::Token { digest, pod, good_for_seconds }) = &event {
            self.needs.tokens.hear(digest, pod, *good_for_seconds);
            return;
        }
        if let Event::Heard(Heard::Renewed(token)) = event {
            return self.review(token);
        }
        let (events, id) = (self.needs.events.clone(), self.id);
        let passed = async move { events.send((id, event)).await.map_err(|_| OwnerGone) };
        self.passing = Some(passed.boxed());
    }

    /// One at a time: an older one is of no use any more. What comes of it is nothing to the link.
    fn review(&mut self, token: Token) {
        let Some(reviewer) = self.needs.reviewer.get().cloned() else { return };
        let judged = reviewer.renew_replica(token, NOWHERE);
        let told = |error: AuthError| info!(%error, "a replica's renewed token is not taken");
        self.renewal = Some(judged.map(move |judged| judged.err().into_iter().for_each(told)).boxed());
    }

    /// Tells of some more tokens when the other end has taken those before, so that there is room for all other words.
    fn tell_tokens(&mut self) {
        let is_greeted = self.link.other().is_some() && self.link.farewell().is_none();
        if !is_greeted || self.link.room() + TOLD_MAX < PEER_WORDS_MAX {
            return;
        }
        self.tokens.borrow_and_update();
        for (number, frame) in self.needs.tokens.told_after(self.told_tokens) {
            self.told_tokens = number;
            self.link.say(frame);
        }
    }
}

async fn passed(passing: &mut Option<BoxFuture<'static, Result<(), OwnerGone>>>) -> Result<(), OwnerGone> {
    match passing {
        Some(passing) => passing.await,
        None => std::future::pending().await,
    }
}

/// Returns when there is another token than was told last, and it may be told. Safe to drop and call again.
async fn renewed(token: &mut watch::Receiver<Option<Token>>, at: Instant) -> Result<(), RecvError> {
    sleep_until(at).await;
    token.changed().await
}

/// Moves a connection that nobody else moves; it is done with when it has ended.
async fn moves(connection: &mut Option<BoxFuture<'static, ()>>) {
    match connection {
        Some(moving) => moving.await,
        None => std::future::pending().await,
    }
    *connection = None;
}
