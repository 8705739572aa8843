//! `/prestop`: an app's container waits here, before it is told to end, until nobody calls its pod any more.
//!
//! ```text
//!  hook ─► PreStop ── question ──► Questions (the agent's) ── one `drain wait` for all ──► controller
//!    ▲        └─ its own deadline       │
//!    └──────────── answer ◄─────────────┘
//! ```

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use rollcall_wire::{
    api::{drained_body, undrained_body},
    client::Drained,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep},
};

use crate::{agent::without_session, store::Store};

/// Hooks that the agent is told of at a time; the connections of the port are the limit of those that wait, and a hook that
/// is one too many here waits for its deadline. None is refused: a hook that fails ends its container at once.
pub(crate) const QUESTIONS_MAX: usize = 16;
/// No hook waits longer: who has not acknowledged by then is late, and is named.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Kubernetes' own grace period, for who does not say.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// The controller is to answer so much earlier than the hook gives up, so that the late ones are named.
const AHEAD: Duration = Duration::from_millis(250);
/// Hooks that come within this count as one: the kubelet begins those of a pod together.
const TOGETHER: Duration = Duration::from_secs(1);

/// Holds the hooks' way to the agent.
#[derive(Debug, Clone)]
pub(crate) struct PreStop {
    store: Store,
    questions: mpsc::Sender<Question>,
}

/// Holds one hook that waits.
#[derive(Debug)]
struct Question {
    since: Instant,
    until: Instant,
    answer: oneshot::Sender<Drained>,
}

/// Holds the hooks that wait for the controller's answer: they share one.
#[derive(Debug)]
pub(crate) struct Questions {
    incoming: mpsc::Receiver<Question>,
    waiting: Vec<Question>,
    asked: Option<Asked>,
}

/// Holds the question that the controller has.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Under this number.
    ask: u64,
    at: Instant,
    /// It answers before then.
    until: Instant,
}

pub(crate) fn prestop(store: Store) -> (PreStop, Questions) {
    let (questions, incoming) = mpsc::channel(QUESTIONS_MAX);
    let nobody = Questions { incoming, waiting: Vec::new(), asked: None };
    (PreStop { store, questions }, nobody)
}

/// How long the hook of this query waits: `grace=30` is its pod's grace period in seconds. Half of it is the app's own. What
/// is no number counts as not said: a hook that fails ends its container at once.
fn longest(query: Option<&str>) -> Duration {
    let said = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("grace="));
    let grace = said.and_then(|seconds| seconds.parse().ok()).map_or(GRACE_DEFAULT, Duration::from_secs);
    (grace / 2).min(ANSWER_MAX)
}

// === impl PreStop ===

impl PreStop {
    /// Answers when the pod's callers have let go of it, or when there is nothing to wait for any more.
    pub(crate) async fn answer(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let longest = longest(query);
        let since = Instant::now();
        let (answer, answered) = oneshot::channel();
        // Without room, or without an agent, it waits for its deadline like everyone.
        let _ = self.questions.try_send(Question { since, until: since + longest, answer });
        let body = tokio::select! {
            Ok(drained) = answered => drained_body(&drained),
            () = without_session(&self.store) => {
                undrained_body("there is no session with a controller; callers were told nothing")
            }
            () = sleep(longest) => undrained_body("the controller did not answer in time"),
        };
        json(body)
    }
}

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

// === impl Questions ===

impl Questions {
    /// Takes in the next hook. Safe to drop and call again.
    pub(crate) async fn hear(&mut self) {
        match self.incoming.recv().await {
            Some(question) => {
                self.waiting.retain(|held| !held.answer.is_closed());
                self.waiting.push(question);
            }
            None => std::future::pending().await,
        }
    }

    /// In how many milliseconds the controller is to answer a question that must be asked now.
    pub(crate) fn due(&self, now: Instant) -> Option<u64> {
        let until = self.until().filter(|_| self.asked.is_none())?;
        let left = until.saturating_duration_since(now).saturating_sub(AHEAD);
        Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// It was asked, under this number.
    pub(crate) fn asked(&mut self, ask: u64, now: Instant) {
        self.asked = self.until().map(|until| Asked { ask, at: now, until });
    }

    /// The controller's answer. That the pod does not end is none to a hook that came since it was asked: the end may
    /// have come with it. That somebody is late is none to a hook that can wait longer than was asked for. False where it
    /// answers another question.
    pub(crate) fn answered(&mut self, ask: u64, drained: &Drained) -> bool {
        let Some(asked) = self.asked.take_if(|asked| asked.ask == ask) else { return false };
        for held in std::mem::take(&mut self.waiting) {
            let ends = match (drained.terminating, drained.complete) {
                (false, _) => held.since <= asked.at,
                (true, true) => true,
                (true, false) => held.until <= asked.until + TOGETHER,
            };
            if ends {
                // It may have given up meanwhile.
                let _ = held.answer.send(drained.clone());
            } else {
                self.waiting.push(held);
            }
        }
        true
    }

    /// The session is gone, and the question with it.
    pub(crate) fn lost(&mut self) {
        self.asked = None;
    }

    fn until(&self) -> Option<Instant> {
        self.waiting.iter().map(|held| held.until).max()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use tokio::time::timeout;

    use super::*;
    use crate::store::{Contact, Writer, store};

    fn drained(complete: bool, terminating: bool) -> Drained {
        Drained { complete, terminating, acked: 1, subscribers: 2, late: vec![], elapsed_ms: 5 }
    }

    fn contact(writer: &Writer, contact: Contact) {
        writer.set_contact(contact);
    }

    async fn body(response: Response<Full<Bytes>>) -> (StatusCode, String) {
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Asks what is due, under this number.
    fn take_due(questions: &mut Questions, ask: u64) -> Option<u64> {
        let due = questions.due(Instant::now())?;
        questions.asked(ask, Instant::now());
        Some(due)
    }

    const LIVE: Contact = Contact::Live { caught_up: true, synced: true };

    #[test]
    fn half_of_the_grace_period_is_the_apps_own() {
        let table = [
            (None, 10_000),
            (Some(""), 10_000),
            (Some("grace=30"), 10_000),
            (Some("x=1&grace=8"), 4_000),
            (Some("grace=1"), 500),
            (Some("grace=0"), 0),
            (Some("grace=600"), 10_000),
            (Some("grace=soon"), 10_000),
            (Some("grace=-1"), 10_000),
        ];
        for (query, ms) in table {
            assert_eq!(longest(query), Duration::from_millis(ms), "{query:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hooks_share_a_question_and_who_can_wait_longer_is_asked_for_again() {
        let (writer, store) = store();
        contact(&writer, LIVE);
        let (hooks, mut questions) = prestop(store);
        let hook = |query: &'static str| {
            let hooks = hooks.clone();
            tokio::spawn(async move { body(hooks.answer(Some(query)).await).await.1 })
        };
        let short = hook("grace=8");
        questions.hear().await;
        assert_eq!(take_due(&mut questions, 1), Some(3_750));
        assert_eq!(take_due(&mut questions, 2), None);
        tokio::time::advance(Duration::from_millis(100)).await;
        let same = hook("grace=8");
        questions.hear().await;
        tokio::time::advance(Duration::from_millis(900)).await;
        let long = hook("grace=30");
        questions.hear().await;
        assert_eq!(take_due(&mut questions, 2), None, "it waits for the answer too");
        assert!(!questions.answered(7, &drained(true, true)), "somebody else's");
        assert!(questions.answered(1, &drained(false, true)));
        for hook in [short, same] {
            assert!(hook.await.unwrap().contains(r#""subscribers":2"#));
        }
        assert_eq!(take_due(&mut questions, 2), Some(9_750));
        questions.lost();
        assert_eq!(take_due(&mut questions, 3), Some(9_750), "the next session is asked");
        // One that comes after the question is not told what was true before it came.
        tokio::time::advance(Duration::from_millis(1)).await;
        let later = hook("grace=30");
        questions.hear().await;
        assert!(questions.answered(3, &drained(true, false)));
        assert!(long.await.unwrap().contains(r#""complete":true"#));
        assert!(take_due(&mut questions, 4).is_some(), "the later one is asked for");
        assert!(questions.answered(4, &drained(true, true)));
        assert!(later.await.unwrap().contains(r#""terminating":true"#));
        assert_eq!(take_due(&mut questions, 5), None, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_ends_by_itself_and_none_is_refused() {
        let (writer, store) = store();
        let (hooks, mut questions) = prestop(store);
        let timed = async |hooks: PreStop| {
            let begin = Instant::now();
            let (status, body) = body(hooks.answer(None).await).await;
            assert_eq!(status, StatusCode::OK);
            (begin.elapsed().as_secs(), body)
        };
        let (took, text) = timed(hooks.clone()).await;
        assert!(took == 3 && text.contains("no session"), "{took} {text}");

        // Away for less than that, twice; then it is there, and says nothing.
        let waits = tokio::spawn(timed(hooks.clone()));
        for next in [LIVE, Contact::Lost, LIVE] {
            sleep(Duration::from_secs(2)).await;
            contact(&writer, next);
        }
        let (took, text) = waits.await.unwrap();
        assert!(took == 10 && text.contains("in time"), "{took} {text}");

        let mut all = tokio::task::JoinSet::new();
        for _ in 0..2 * QUESTIONS_MAX {
            all.spawn(timed(hooks.clone()));
        }
        for (took, text) in all.join_all().await {
            assert!(took == 10 && text.contains("in time"), "{took} {text}");
        }
        while timeout(Duration::from_millis(1), questions.hear()).await.is_ok() {}
        assert_eq!(questions.waiting.len(), 1, "who has given up is forgotten when the next one comes");
    }
}
