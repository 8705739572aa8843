//! What the pod says of itself: registrations, beats, its health; and what the controller answers.
//!
//! ```text
//!  environment, files ──┐                        ┌─► due, take ──► Agent ──► controller
//!  /v1/self, classic ───┼─► Own [ Ledger ] ──────┤
//!  probes ──────────────┘        ▲               └─► saved ──► disk
//!                                └── registered, rejected, duties ◄── Agent
//! ```
//!
//! The ledger decides; it is a value without clock and IO. Its lock is held for a few microseconds, and never over a wait.

mod address;
mod body;
mod entry;
mod environment;
mod files;
mod health;
mod ledger;
mod saved;
mod shown;
mod value;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rollcall_catalogue::{Namespace, ServiceName, liveness::ProbeWitness};
use rollcall_net::Shutdown;
use rollcall_wire::{Drain, Duty, PodIdentity, RegistrationKey, SelfRegistration};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Duration, Instant, sleep_until, timeout, timeout_at},
};
use tracing::warn;

pub use self::environment::Declared;
pub(crate) use self::{
    address::is_local,
    body::{BODY, ClassicBody, classic, health, registration},
    entry::{Refusal, Source},
    health::{AppWord, Spot},
    ledger::{Doubt, NoRoom, Say, Settled, Ticket},
    value::Value,
};
use self::{
    files::{Directory, Files, LOOK_EVERY},
    ledger::Ledger,
    saved::Saved,
    shown::SelfBody,
};

/// How long who registers waits for the controller's word: it takes a few milliseconds, and an app that starts waits for
/// this.
pub(crate) const WORD_MAX: Duration = Duration::from_secs(2);
/// How long a caller waits for the disk: it takes less than a millisecond, and a slow one is no reason to hold up an app.
const KEPT_WAIT_MAX: Duration = Duration::from_millis(100);
/// Where nothing beats, the clock need not be looked at; a bound, so that no slip can stop it for good.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

/// Holds what the pod says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Own(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Where the ledger's clock begins.
    begin: Instant,
    /// Something is to be said.
    due: Notify,
    /// The time of the next look at the clock may be another.
    clock: Notify,
    /// The controller said something.
    heard: watch::Sender<()>,
    duties: watch::Sender<Arc<[Duty]>>,
    saved: watch::Sender<u64>,
    /// Up to which of these changes what is to survive is on the disk; none while nobody can keep it.
    kept: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    files: Files,
    /// Of what is to survive.
    saved_hash: u64,
}

// === impl Own ===

impl Default for Own {
    /// One of a pod that says nothing yet.
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            begin: Instant::now(),
            due: Notify::new(),
            clock: Notify::new(),
            heard: watch::channel(()).0,
            duties: watch::channel(Arc::from([])).0,
            saved: watch::channel(0).0,
            kept: watch::channel(None).0,
        }))
    }
}

impl Own {
    /// What is declared counts from the first session on: a `hello` without it would take it back. Reads the directory.
    pub(crate) fn new(declared: &Declared, directory: PathBuf) -> (Self, Mounted) {
        let own = Self::default();
        let (said, problems) = declared.registration();
        for problem in problems {
            warn!(%problem, "a value of the environment is left out");
        }
        if let Some(said) = said
            && let Err(error) =
                own.change(|state, now_ms| state.ledger.put(Source::Environment, said, now_ms))
        {
            warn!(%error, "what the environment registers is refused");
        }
        let mut directory = Directory::new(directory);
        own.look(&mut directory);
        (own, Mounted(directory))
    }

    // --- the agent's side ---

    /// Resolves when [`Own::take`] has something to say.
    pub(crate) async fn due(&self) {
        while !self.state().ledger.is_due() {
            self.0.due.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Vec<Say> {
        self.state().ledger.take()
    }

    pub(crate) fn registered(&self, key: &RegistrationKey) {
        self.change(|state, _| state.ledger.registered(key));
        self.0.heard.send_replace(());
    }

    pub(crate) fn rejected(&self, key: &RegistrationKey, reason: &str, field: Option<&str>) {
        let refusal = Refusal { reason: reason.to_owned(), field: field.map(Into::into) };
        self.change(|state, now_ms| {
            let State { ledger, files, .. } = state;
            if let Some((Source::File, said)) = ledger.rejected(key, refusal.clone(), now_ms) {
                files.unwanted(&said, refusal);
            }
        });
        self.save();
        self.0.heard.send_replace(());
    }

    pub(crate) fn set_duties(&self, duties: &[Duty]) {
        if self.change(|state, now_ms| state.ledger.set_duties(duties, now_ms)) {
            let duties = self.state().ledger.duties.as_slice().into();
            self.0.duties.send_replace(duties);
        }
    }

    pub(crate) fn set_in_session(&self, in_session: bool) {
        self.change(|state, now_ms| {
            if in_session {
                state.files.begin();
            }
            state.ledger.set_in_session(in_session, now_ms);
        });
        self.0.heard.send_replace(());
    }

    /// The app's word on draining, while it is to be said in each session; it is kept for the next process.
    pub(crate) fn set_drain(&self, drain: Option<Drain>) {
        if std::mem::replace(&mut self.state().ledger.drain, drain) != drain {
            self.save();
        }
    }

    pub(crate) fn drain(&self) -> Option<Drain> {
        self.state().ledger.drain
    }

    // --- the disk's side ---

    /// What is to survive a restart: of registrations and words at run time, within the ledger's own bounds.
    pub(crate) fn saved(&self) -> Vec<u8> {
        Saved::of(&self.state().ledger).to_json()
    }

    /// What is said of all that the app is, as [`Own::saved`] has it: whether it is well, and whether it drains.
    pub(crate) fn said_of_all(&self) -> Vec<u8> {
        Saved::of_all(&self.state().ledger).to_json()
    }

    /// Takes up what an earlier process saved. What cannot be read is left out.
    pub(crate) fn restore(&self, bytes: &[u8], doubt: Doubt) {
        match serde_json::from_slice::<Saved>(bytes) {
            Ok(saved) => self.change(|state, now_ms| saved.restore(&mut state.ledger, doubt, now_ms)),
            Err(error) => warn!(%error, "the registrations that were kept cannot be read"),
        }
        self.save();
    }

    /// Says when [`Own::saved`] is another than before.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.saved.subscribe()
    }

    /// What was to survive after so many changes is on the disk; none: it cannot be kept now.
    pub(crate) fn set_kept(&self, until: Option<u64>) {
        self.0.kept.send_replace(until);
    }

    /// Returns once all that was said until now is on the disk. Nobody waits for one that is broken, or slow.
    pub(crate) async fn kept(&self) {
        let said = *self.0.saved.borrow();
        let mut kept = self.0.kept.subscribe();
        let on_disk = kept.wait_for(|kept| kept.is_none_or(|until| until >= said));
        // That it took too long is no news to the app.
        let _ = timeout(KEPT_WAIT_MAX, on_disk).await;
    }

    // --- the prober's side ---

    pub(crate) fn duties(&self) -> watch::Receiver<Arc<[Duty]>> {
        self.0.duties.subscribe()
    }

    /// What asking this instance came to; none where it is not asked any more.
    pub(crate) fn probed(&self, spot: &Spot, probe: Option<ProbeWitness>) {
        self.change(|state, _| state.ledger.probed(spot, probe));
    }

    // --- the callers' side ---

    /// The app registers itself.
    pub(crate) fn put(&self, said: SelfRegistration) -> Result<Ticket, NoRoom> {
        let ticket = self.change(|state, now_ms| state.ledger.put(Source::App, said, now_ms))?;
        self.save();
        Ok(ticket)
    }

    pub(crate) fn put_classic(&self, said: SelfRegistration) -> Result<Ticket, NoRoom> {
        let ticket = self.change(|state, now_ms| state.ledger.put_classic(said, now_ms))?;
        self.save();
        Ok(ticket)
    }

    /// The controller's word on this, once there is one, or [`Settled::Open`] after the time that it may take.
    pub(crate) async fn word(&self, ticket: &Ticket) -> Settled {
        let mut heard = self.0.heard.subscribe();
        let until = Instant::now() + WORD_MAX;
        loop {
            let (settled, alone_since_ms) = {
                let state = self.state();
                (state.ledger.settled(ticket), state.ledger.alone_since_ms())
            };
            if settled != Settled::Open {
                return settled;
            }
            // A process that has just started, or has just lost its session, has one soon; another one may not.
            let alone_until = alone_since_ms.map(|ms| self.0.begin + Duration::from_millis(ms) + WORD_MAX);
            let until = alone_until.map_or(until, |alone| alone.min(until));
            if timeout_at(until, heard.changed()).await.is_err() {
                return Settled::Open;
            }
        }
    }

    /// Takes back what the app registered of this service, or all of it; gives how many there were.
    pub(crate) fn remove(&self, service: Option<&ServiceName>) -> usize {
        self.remove_where(&[Source::App, Source::Classic], |key, _| {
            service.is_none_or(|service| key.service == *service)
        })
    }

    /// Takes back what a classic caller registered under this name, version and port.
    pub(crate) fn remove_classic(&self, service: &ServiceName, version: &str, port: u16) -> usize {
        self.remove_where(&[Source::Classic], |key, said| {
            key.service == *service
                && key.port == Some(port.into())
                && said.version.as_deref() == Some(version)
        })
    }

    /// Whether there is anything of this name and version that beats.
    pub(crate) fn beat(&self, service: &ServiceName, version: &str, port: Option<u16>) -> bool {
        self.change(|state, now_ms| state.ledger.beat(service, version, port, now_ms))
    }

    pub(crate) fn app_says(&self, word: AppWord) {
        self.change(|state, now_ms| state.ledger.app_says(word, now_ms));
        self.save();
    }

    /// Returns once the controller has said what becomes of all that is registered now.
    pub(crate) async fn answered(&self) {
        let mut heard = self.0.heard.subscribe();
        while !self.state().ledger.is_answered() {
            // Who holds this holds the other end as well.
            let _ = heard.changed().await;
        }
    }

    /// Where nothing is registered, nothing can be from now on. Says whether that is so.
    pub(crate) fn close(&self) -> bool {
        self.state().ledger.close()
    }

    /// The answer of `GET /v1/self`, in a pod of this name and namespace where they are known; with what is said at the other
    /// addresses of a machine, of which this one is none.
    pub(crate) fn shown(
        &self,
        others: &[(IpAddr, Self)],
        pod: Option<&PodIdentity>,
        home: Option<&Namespace>,
    ) -> Vec<u8> {
        // All in one order, so that of two who do this each gets what it waits for.
        let state = self.state();
        let others: Vec<_> = others.iter().map(|(address, own)| (*address, own.state())).collect();
        let mut body = SelfBody::of(&state.ledger, &state.files, pod, home);
        others.iter().for_each(|(address, state)| body.add(*address, &state.ledger, &state.files));
        body.to_json()
    }

    // --- within ---

    fn remove_where(
        &self,
        sources: &[Source],
        meant: impl Fn(&RegistrationKey, &SelfRegistration) -> bool,
    ) -> usize {
        let removed = self.change(|state, now_ms| {
            sources.iter().map(|source| state.ledger.remove(*source, &meant, now_ms)).sum()
        });
        self.save();
        removed
    }

    /// What the directory registers now. Blocks for as long as the disk does.
    fn look(&self, directory: &mut Directory) {
        let Some(found) = directory.look() else { return };
        self.change(|state, now_ms| {
            let State { ledger, files, .. } = state;
            let all = files.take(found);
            ledger.remove(Source::File, |key, _| !all.contains_key(key), now_ms);
            for (key, (name, said)) in all {
                let counts = ledger.entries.get(&key).and_then(|entry| entry.by(Source::File)) == Some(&said);
                if counts || files.is_unwanted(&name) {
                    continue;
                }
                if let Err(error) = ledger.put(Source::File, said, now_ms) {
                    files.unplaced(name, Refusal { reason: error.to_string(), field: None });
                }
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, u64) -> T) -> T {
        let (changed, due) = {
            let mut state = self.state();
            let changed = change(&mut state, self.now_ms());
            (changed, state.ledger.is_due())
        };
        if due {
            self.0.due.notify_one();
        }
        self.0.clock.notify_one();
        changed
    }

    /// Says so, if what is to survive is another than before.
    fn save(&self) {
        let mut state = self.state();
        let mut hasher = DefaultHasher::new();
        Saved::of(&state.ledger).to_json().hash(&mut hasher);
        let hash = hasher.finish();
        if std::mem::replace(&mut state.saved_hash, hash) != hash {
            self.0.saved.send_modify(|count| *count += 1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic ends the process; where it does not, as in a test, each change leaves the ledger whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Holds the directory of registrations, as it was when it was read first.
#[derive(Debug)]
pub(crate) struct Mounted(Directory);

/// Looks at the clock, at the directory, and at the app, until the process ends.
pub(crate) async fn run(own: Own, Mounted(directory): Mounted, mut shutdown: Shutdown) {
    tokio::select! {
        () = clock(&own) => {}
        () = watch_directory(&own, directory) => {}
        () = crate::probe::run(&own) => {}
        () = shutdown.requested() => {}
    }
}

/// Finds what beats and was not heard in time.
async fn clock(own: &Own) {
    loop {
        let wake_at_ms = own.state().ledger.wake_at_ms();
        let wait =
            wake_at_ms.map_or(IDLE_MAX, |at_ms| Duration::from_millis(at_ms.saturating_sub(own.now_ms())));
        tokio::select! {
            () = sleep_until(Instant::now() + wait) => {
                if wake_at_ms.is_some() {
                    own.change(|state, now_ms| state.ledger.tick(now_ms));
                }
            }
            () = own.0.clock.notified() => {}
        }
    }
}

async fn watch_directory(own: &Own, mut directory: Directory) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looker = own.clone();
        let looked = spawn_blocking(move || {
            looker.look(&mut directory);
            directory
        });
        match looked.await {
            Ok(back) => directory = back,
            Err(error) => return warn!(%error, "the directory of registrations cannot be looked at any more"),
        }
    }
}

#[cfg(test)]
#[path = "own_tests/mod.rs"]
mod tests;
