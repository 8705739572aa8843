//! What a pod says to the owner, and what it is answered: words on its health first, the others in the order of saying,
//! drains in theirs beside them, and without holding up its stream.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rollcall_catalogue::{Namespace, liveness::ProbeWitness};
use rollcall_wire::{Down, Drain, HealthOf, Question, RegistrationKey, Told, limits::HEALTH_WORDS_MAX};
use tokio::time::{Instant, sleep_until};

use super::{
    callers::{Callers, Departure},
    inquiries::Inquiries,
};
use crate::owner::{Answer, OwnerGone, Voice, Word};

/// Words that wait for the owner beside those on the health: a sidecar's 16 registrations, and as many that it takes back.
/// The next is heard when one is done, which takes the owner some milliseconds.
const WORDS_MAX: usize = 32;
/// Between two words of one session, once it has said [`WORDS_MAX`] at once: each is a change of up to 16 services, told to
/// all who subscribe to them, and the 4,096 changes that are remembered are everybody's. So one pod leaves the others at
/// least 25 s of them, which is longer than a sidecar takes to come back; an app turns more slowly than that.
const WORDS_APART: Duration = Duration::from_millis(100);
/// Drains that wait for their answers: a sidecar asks once for all who ask it, and may change its mind.
pub(crate) const DRAINS_MAX: usize = 4;

/// Holds what one session has under way.
pub(crate) struct Errands {
    /// Goes before the others: callers wait for it. Of each part of the pod the newest word, in the place of the first.
    health: VecDeque<(Voice, Option<HealthOf>, ProbeWitness)>,
    words: VecDeque<(Voice, Word)>,
    /// The one that is being said.
    saying: Option<BoxFuture<'static, Said>>,
    /// Only the first is moved: the others wait for their turn.
    drains: VecDeque<BoxFuture<'static, Said>>,
    /// When the next word would be due, if words came evenly.
    evenly_at: Instant,
    /// Questions of people; the machine sees to it that they are few.
    asks: VecDeque<BoxFuture<'static, Result<Reply, OwnerGone>>>,
    /// The owner has done its part.
    acknowledged: FuturesUnordered<BoxFuture<'static, Down>>,
}

/// Says what the session has to tell its peer.
#[derive(Debug)]
pub(crate) enum Reply {
    Nothing,
    Frame(Box<Down>),
    Told { ask: u64, told: Told },
}

/// Says what came of a word.
enum Said {
    Nothing,
    Frame(Box<Down>),
    Awaited(BoxFuture<'static, Down>),
    Gone(OwnerGone),
}

// === impl Errands ===

impl Errands {
    pub(crate) fn new() -> Self {
        let (health, words, saying, drains, asks, acknowledged) = Default::default();
        Self { health, words, saying, drains, evenly_at: Instant::now(), asks, acknowledged }
    }

    /// Whether one more word may be heard, whatever it is on.
    pub(crate) fn have_room(&self) -> bool {
        self.words.len() < WORDS_MAX && self.health.len() <= HEALTH_WORDS_MAX
    }

    pub(crate) fn say(&mut self, voice: Voice, word: Word) {
        let Word::Health { of, probe } = word else { return self.words.push_back((voice, word)) };
        match self.health.iter_mut().find(|(_, held, _)| *held == of) {
            Some((_, _, held)) => *held = probe,
            None => self.health.push_back((voice, of, probe)),
        }
    }

    /// What is to be said next, and not too soon.
    fn begin(&mut self) -> Option<BoxFuture<'static, Said>> {
        // What was said of an address goes with its registration: a later word must not come before that.
        let waits = |(_, of, _): &(_, Option<HealthOf>, _)| {
            let key = of.as_ref().and_then(|of| {
                Some(RegistrationKey { service: of.service.clone(), port: Some(u32::from(of.port?)) })
            });
            key.is_some_and(|key| self.words.iter().any(|(_, word)| *word == Word::Deregister(key.clone())))
        };
        let first = self.health.iter().position(|word| !waits(word));
        let health = first.and_then(|first| self.health.remove(first));
        let health = health.map(|(voice, of, probe)| (voice, Word::Health { of, probe }));
        let (voice, word) = health.or_else(|| self.words.pop_front())?;
        let now = Instant::now();
        let said_at = self.evenly_at.max(now);
        self.evenly_at = said_at + WORDS_APART;
        // As many as a sidecar has to say when it begins may come at once.
        let burst = WORDS_APART * u32::try_from(WORDS_MAX).unwrap_or(u32::MAX);
        let due = said_at.checked_sub(burst).unwrap_or(now);
        let saying = async move {
            sleep_until(due).await;
            told(voice.say(word).await)
        };
        Some(saying.boxed())
    }

    /// Asks who still calls the pod; false where too many such questions are open.
    pub(crate) fn drain(
        &mut self,
        voice: Voice,
        callers: Callers,
        drain: Drain,
        deadline_ms: u64,
        ask: Option<u64>,
    ) -> bool {
        let waiting = self.acknowledged.len();
        if self.drains.len() >= DRAINS_MAX || (waiting >= DRAINS_MAX && drain != Drain::Stop) {
            return false;
        }
        let asked = Instant::now();
        // The machine has seen to it that it is some seconds.
        let deadline = asked + Duration::from_millis(deadline_ms);
        let question = async move {
            let (terminating, number, services) = match voice.say(Word::Drain(drain)).await {
                Ok(Answer::Drained { terminating, number, services }) => (terminating, number, services),
                Ok(other) => return told(Ok(other)),
                Err(gone) => return Said::Gone(gone),
            };
            let goes = drain == Drain::Start || terminating;
            if drain == Drain::Stop || !goes {
                return Said::Frame(Box::new(Down::Drained {
                    ask,
                    complete: true,
                    terminating,
                    acked: 0,
                    subscribers: 0,
                    late: Vec::new(),
                    elapsed_ms: since(asked),
                }));
            }
            let awaited = async move {
                // Of a pod that Kubernetes ends, all hear that from there.
                let version = if terminating { None } else { callers.version() };
                let departure = Departure { services, number, version };
                let (complete, outcome) = callers.let_go(departure, deadline).await;
                Down::Drained {
                    ask,
                    complete,
                    terminating,
                    acked: outcome.acked,
                    subscribers: outcome.subscribers,
                    late: outcome.late,
                    elapsed_ms: since(asked),
                }
            };
            Said::Awaited(awaited.boxed())
        };
        self.drains.push_back(question.boxed());
        true
    }

    /// Whether nobody waits for an answer, and nothing is left to be said to the owner.
    pub(crate) fn are_done(&self) -> bool {
        self.health.is_empty()
            && self.words.is_empty()
            && self.saying.is_none()
            && self.drains.is_empty()
            && self.asks.is_empty()
            && self.acknowledged.is_empty()
    }

    /// A person asks, who may see what this namespace may.
    pub(crate) fn ask(&mut self, inquiries: Arc<Inquiries>, home: Namespace, ask: u64, question: Question) {
        let answer = async move {
            let told = inquiries.answer(home, question).await?;
            Ok(Reply::Told { ask, told })
        };
        self.asks.push_back(answer.boxed());
    }

    /// Nobody is left who could be told.
    pub(crate) fn forget_asks(&mut self) {
        self.asks.clear();
    }

    /// Returns when one of them is done, with what is to be said: then there may be room for more. People are answered only
    /// where `may_answer`. Safe to drop and call again.
    pub(crate) async fn next(&mut self, may_answer: bool) -> Result<Reply, OwnerGone> {
        poll_fn(|context| self.poll_next(may_answer, context)).await
    }

    fn poll_next(&mut self, may_answer: bool, context: &mut Context<'_>) -> Poll<Result<Reply, OwnerGone>> {
        loop {
            self.saying = self.saying.take().or_else(|| self.begin());
            let Some(Poll::Ready(said)) = self.saying.as_mut().map(|saying| saying.poll_unpin(context))
            else {
                break;
            };
            self.saying = None;
            if let Some(reply) = self.done(said) {
                return Poll::Ready(reply);
            }
        }
        while let Some(first) = self.drains.front_mut() {
            let Poll::Ready(said) = first.poll_unpin(context) else { break };
            self.drains.pop_front();
            if let Some(reply) = self.done(said) {
                return Poll::Ready(reply);
            }
        }
        if let Some(first) = self.asks.front_mut().filter(|_| may_answer)
            && let Poll::Ready(told) = first.poll_unpin(context)
        {
            self.asks.pop_front();
            return Poll::Ready(told);
        }
        match ready!(self.acknowledged.poll_next_unpin(context)) {
            Some(frame) => Poll::Ready(Ok(Reply::Frame(Box::new(frame)))),
            None => Poll::Pending,
        }
    }

    /// What there is to be told of what is done; none where more is to come.
    fn done(&mut self, said: Said) -> Option<Result<Reply, OwnerGone>> {
        match said {
            Said::Nothing => Some(Ok(Reply::Nothing)),
            Said::Frame(frame) => Some(Ok(Reply::Frame(frame))),
            Said::Awaited(awaited) => {
                self.acknowledged.push(awaited);
                None
            }
            Said::Gone(gone) => Some(Err(gone)),
        }
    }
}

fn told(answer: Result<Answer, OwnerGone>) -> Said {
    match answer {
        Ok(Answer::Registered(key)) => Said::Frame(Box::new(Down::Registered { key })),
        Ok(Answer::Rejected { key, reason, field }) => {
            Said::Frame(Box::new(Down::Rejected { key, reason, field }))
        }
        Ok(Answer::Done | Answer::Drained { .. }) => Said::Nothing,
        Err(gone) => Said::Gone(gone),
    }
}

fn since(asked: Instant) -> u64 {
    u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX)
}
