//! Whether the app drains its pod: the last word stands, in each session, and who waits for what comes of it.

use rollcall_wire::{Drain, client::Drained};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::errands::TooMany;

/// Callers that wait for an answer: one person or one hook asks at a time, with room for retries.
const WAITING_MAX: usize = 16;
/// Questions without an answer in one session: a controller takes four, and hooks have one of them.
const OPEN_MAX: usize = 3;
/// The controller is to answer so much earlier than the caller gives up, so that the late ones are named.
const AHEAD: Duration = Duration::from_millis(250);

/// Holds the app's last word, and those who wait for what comes of it.
#[derive(Debug, Default)]
pub(super) struct Drains {
    word: Option<Word>,
    waiting: Vec<Waiting>,
    /// Questions of this session without an answer; `said` is one of them, or was.
    open: Vec<u64>,
}

/// Holds what the app said last.
#[derive(Debug)]
struct Word {
    drain: Drain,
    /// Under which number it was said in this session.
    said: Option<u64>,
    /// For so long the controller was given then.
    until: Instant,
}

/// Holds one caller.
#[derive(Debug)]
struct Waiting {
    until: Instant,
    answer: oneshot::Sender<Result<Drained, TooMany>>,
}

// === impl Drains ===

impl Drains {
    /// The app has spoken. Who still waits for what came of another word before is told nothing more.
    pub(super) fn hear(
        &mut self,
        drain: Drain,
        until: Instant,
        answer: oneshot::Sender<Result<Drained, TooMany>>,
    ) {
        if self.word.as_ref().is_none_or(|word| word.drain != drain) {
            self.waiting.clear();
            self.word = Some(Word { drain, said: None, until });
        }
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(Waiting { until, answer });
        } else {
            // It may have given up meanwhile.
            let _ = answer.send(Err(TooMany));
        }
    }

    /// What the app said to the process before this one: nobody waits for what comes of it.
    pub(super) fn restore(&mut self, drain: Drain, now: Instant) {
        self.word = Some(Word { drain, said: None, until: now });
    }

    /// What the next process is to say, if this one ends now.
    pub(super) fn word(&self) -> Option<Drain> {
        self.word.as_ref().map(|word| word.drain)
    }

    /// What is to be said now, and in how many milliseconds the controller is to answer; 0 where nobody waits.
    pub(super) fn due(&self, now: Instant) -> Option<(Drain, u64)> {
        let word = self.word.as_ref().filter(|_| self.open.len() < OPEN_MAX)?;
        let unanswered = word.said.is_some_and(|said| self.open.contains(&said));
        if unanswered || (word.said.is_some() && self.waiting.is_empty()) {
            return None;
        }
        let until = self.waiting.iter().map(|waiting| waiting.until).max();
        let left = until.map(|until| until.saturating_duration_since(now).saturating_sub(AHEAD));
        Some((word.drain, left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))))
    }

    /// It was said, under this number.
    pub(super) fn said(&mut self, ask: u64) {
        let until = self.waiting.iter().map(|waiting| waiting.until).max();
        if let Some(word) = &mut self.word {
            word.said = Some(ask);
            word.until = until.unwrap_or(word.until);
        }
        self.open.push(ask);
    }

    /// The controller's answer. That somebody is late is none to who can wait longer than was asked for.
    pub(super) fn answered(&mut self, ask: u64, drained: &Drained) {
        self.open.retain(|open| *open != ask);
        let Some(word) = self.word.as_ref().filter(|word| word.said == Some(ask)) else { return };
        let ends = |waiting: &mut Waiting| drained.complete || waiting.until <= word.until;
        let ended: Vec<_> = self.waiting.extract_if(.., ends).collect();
        for waiting in ended {
            // It may have given up meanwhile.
            let _ = waiting.answer.send(Ok(drained.clone()));
        }
        // Of a drain that is stopped there is nothing left to say.
        if word.drain == Drain::Stop {
            self.word = None;
        }
    }

    /// The session is gone, and its questions with it: the next one is told the word again.
    pub(super) fn lost(&mut self) {
        self.open.clear();
        self.word.iter_mut().for_each(|word| word.said = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(complete: bool) -> Drained {
        Drained { complete, terminating: false, acked: 1, subscribers: 2, late: vec![], elapsed_ms: 5 }
    }

    fn hear(drains: &mut Drains, drain: Drain, seconds: u64) -> oneshot::Receiver<Result<Drained, TooMany>> {
        let (answer, answered) = oneshot::channel();
        drains.hear(drain, Instant::now() + Duration::from_secs(seconds), answer);
        answered
    }

    /// Says what is due, under this number.
    fn say(drains: &mut Drains, ask: u64) -> Option<(Drain, u64)> {
        let due = drains.due(Instant::now())?;
        drains.said(ask);
        assert_eq!(drains.due(Instant::now()), None, "it is said once");
        Some(due)
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_is_said_in_each_session_until_it_is_stopped() {
        let mut drains = Drains::default();
        assert_eq!(say(&mut drains, 1), None);
        let waits = hear(&mut drains, Drain::Start, 10);
        assert_eq!(say(&mut drains, 1), Some((Drain::Start, 9_750)));
        drains.lost();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(say(&mut drains, 2), Some((Drain::Start, 5_750)), "with what is left of the time");
        drains.answered(2, &drained(true));
        assert!(waits.await.unwrap().unwrap().complete);
        drains.lost();
        assert_eq!(say(&mut drains, 3), Some((Drain::Start, 0)), "nobody waits, and it still drains");
        drains.answered(3, &drained(true));

        drains.lost();
        let stopped = hear(&mut drains, Drain::Stop, 5);
        assert_eq!(say(&mut drains, 4), Some((Drain::Stop, 4_750)), "and not the start again");
        drains.answered(3, &drained(true));
        drains.lost();
        assert_eq!(say(&mut drains, 5), Some((Drain::Stop, 4_750)), "nobody has said that it was heard");
        drains.answered(5, &drained(true));
        assert!(stopped.await.is_ok());
        drains.lost();
        assert_eq!(say(&mut drains, 6), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_one_word_shares_its_answer_and_another_word_ends_that() {
        let mut drains = Drains::default();
        let first = hear(&mut drains, Drain::Start, 5);
        assert_eq!(say(&mut drains, 1), Some((Drain::Start, 4_750)));
        let longer = hear(&mut drains, Drain::Start, 20);
        assert_eq!(drains.due(Instant::now()), None, "the answer to the first may do for both");
        drains.answered(1, &drained(false));
        assert!(!first.await.unwrap().unwrap().complete);
        assert_eq!(
            say(&mut drains, 2),
            Some((Drain::Start, 19_750)),
            "it can wait longer than was asked for"
        );
        let stopped = hear(&mut drains, Drain::Stop, 5);
        assert!(longer.await.is_err(), "it does not drain any more");
        assert_eq!(say(&mut drains, 3), Some((Drain::Stop, 4_750)), "at once");
        drains.answered(2, &drained(true));
        drains.answered(3, &drained(true));
        assert!(stopped.await.unwrap().unwrap().complete);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_it_turns_few_questions_are_open_and_the_last_word_is_said() {
        let mut drains = Drains::default();
        let mut said = Vec::new();
        for ask in 1..=40 {
            let drain = if ask % 2 == 0 { Drain::Stop } else { Drain::Start };
            drop(hear(&mut drains, drain, 5));
            said.extend(say(&mut drains, ask).map(|(drain, _)| drain));
        }
        assert_eq!(said.len(), OPEN_MAX);
        drains.answered(1, &drained(true));
        assert_eq!(say(&mut drains, 41).map(|(drain, _)| drain), Some(Drain::Stop));
        let mut waits: Vec<_> = (0..2 * WAITING_MAX).map(|_| hear(&mut drains, Drain::Stop, 5)).collect();
        assert_eq!(drains.waiting.len(), WAITING_MAX);
        let told: Vec<_> = waits.iter_mut().filter_map(|waits| waits.try_recv().ok()).collect();
        assert!(told.len() == WAITING_MAX && told.iter().all(|told| *told == Err(TooMany)), "{told:?}");
        drop(waits);
        drop(hear(&mut drains, Drain::Stop, 5));
        assert_eq!(drains.waiting.len(), 1, "who has given up makes room");
    }
}
