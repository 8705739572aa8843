//! What sidecars ask for people: answered one at a time for all sessions, beside what lookups need.

use std::time::{Duration, SystemTime};

use rollcall_catalogue::{Namespace, Query, States};
use rollcall_wire::{Found, Question, Told};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{
    index::Index,
    owner::{IndexHandle, OwnerGone},
};

/// So many times what an answer took, nobody is answered after it: together, the questions of all sessions take a tenth
/// of the owner's time. The largest service takes it some milliseconds, and whoever asks for it all the time must not be
/// felt by others.
const PAUSE_FACTOR: u32 = 9;

/// A process that stood still while it answered makes nobody wait for that.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Holds the one place at which questions are answered. Who waits comes in the order of asking, each session once.
#[derive(Debug)]
pub(crate) struct Inquiries {
    index: IndexHandle,
    free_at: Mutex<Instant>,
}

// === impl Inquiries ===

impl Inquiries {
    pub(crate) fn new(index: IndexHandle) -> Self {
        Self { index, free_at: Mutex::new(Instant::now()) }
    }

    /// Answers as far as a caller in this namespace may see.
    pub(crate) async fn answer(&self, home: Namespace, question: Question) -> Result<Told, OwnerGone> {
        let mut free_at = self.free_at.lock().await;
        sleep_until(*free_at).await;
        let (told, took) = match question {
            Question::Explain { service, id } => {
                let explained = move |index: &mut Index| {
                    let began = Instant::now();
                    let told = match index.explain_to(&home, &service) {
                        None => Told::UnknownService,
                        Some(witnessed) => {
                            let now_ms = now_ms();
                            let wanted = |id_of: &_| id.as_ref().is_none_or(|id| id == id_of);
                            let wanted = witnessed.iter().filter(|one| wanted(&one.instance.id));
                            let explained: Vec<_> = wanted.map(|one| one.explained(now_ms)).collect();
                            let unknown = id.is_some() && explained.is_empty();
                            if unknown { Told::UnknownInstance } else { Told::Explained(explained) }
                        }
                    };
                    (told, began.elapsed())
                };
                self.index.ask(explained).await?
            }
            Question::Address(address) => {
                let began = Instant::now();
                let catalogue = self.index.view().borrow().catalogue.clone();
                let query = Query { address: Some(address), states: States::All, ..Query::default() };
                let found = catalogue.all_seen_from(&home).into_iter().flat_map(|(key, service)| {
                    let found = query.select(service);
                    found
                        .into_iter()
                        .map(|one| Found { service: key.clone(), instance: (**one.instance).clone() })
                });
                (Told::Found(found.collect()), began.elapsed())
            }
        };
        *free_at = Instant::now() + took.saturating_mul(PAUSE_FACTOR).min(PAUSE_MAX);
        Ok(told)
    }
}

/// As the index has it of instances that changed their state.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
