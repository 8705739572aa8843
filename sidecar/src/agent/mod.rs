//! The agent: the one task that keeps the session and writes the store.
//!
//! ```text
//!  lookups, people ── Errands ─►┐                 ┌─► Writer (what lookups are answered from)
//!  hooks ───────── Questions ──►│ Agent [ Client ]├─► answers to who asked
//!  the app, its probes ── Own ─►┘   ║             └─► Own (what became of its words, what it is to look after)
//!                               the session
//! ```

mod drains;
mod errands;
mod session;
mod usage;
mod way;

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc};

use rollcall_catalogue::ServiceKey;
use rollcall_net::{Jitter, Network};
use rollcall_wire::{Told, Up, client::Client, limits::HEARTBEAT_EVERY};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep},
};
use tracing::{info, warn};

pub(crate) use self::errands::{Errands, Inbox, TooMany, errands, without_session};
use self::{drains::Drains, errands::Errand, usage::Usage, way::Ways};
use crate::{
    args::Args,
    disk::State,
    interest::{Interest, Wish},
    own::{Doubt, Own, Say},
    prestop::Questions,
    session::{Call, Dial, Failure, Link, LinkError, Lookout, Loss, Plan, Trust, connect},
    store::{Alike, Contact, Writer},
};

/// A session that lived so long was a good one, and so is one that is in step when it is lost: the next loss begins with
/// a short pause again. Otherwise a session that is lost soon after an outage, without the controller hearing of it, is
/// missed for longer than the session clock waits, and the pod goes out of the lookups though nothing is wrong with it.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// Who stood still for so long holds what the controller may have called out of date meanwhile.
const STOOD_STILL_MS: u64 = 2 * HEARTBEAT_EVERY.as_millis() as u64;
/// The list of all services is kept for so long after somebody looked at it.
const SUMMARY_FOR: Duration = Duration::from_secs(60);

/// What a peer or an app can make us say as often as it likes is logged so often.
const WARN_EVERY: Duration = Duration::from_secs(1);

const IN_STEP: Contact = Contact::Live { caught_up: true, synced: true };

/// Holds the session, the interest, and the store's only writer.
pub(crate) struct Agent {
    args: Args,
    writer: Writer,
    interest: Interest,
    inbox: Inbox,
    hooks: Questions,
    own: Own,
    drains: Drains,
    /// Who waits for the answer of this number, in the session that is open.
    asks: BTreeMap<u64, oneshot::Sender<Told>>,
    /// When the list of all services was wished for last.
    summary_wished: Option<Instant>,
    client: Client,
    usage: Usage,
    alike: Alike,
    /// When the last of those warnings was logged that may come as often as somebody likes.
    warned: Option<Instant>,
    network: Arc<dyn Network>,
    trust: Trust,
    ways: Ways,
    jitter: Jitter,
    /// Where the client's clock begins.
    begin: Instant,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn new(
        args: Args,
        network: Arc<dyn Network>,
        trust: Trust,
        writer: Writer,
        inbox: Inbox,
        hooks: Questions,
        own: Own,
    ) -> Self {
        let mut jitter = Jitter::from_entropy();
        let client = Client::new(format!("{:016x}", jitter.next_u64()), args.held_bytes_max());
        if let Some(home) = &args.namespace {
            writer.at_home_in(home);
        }
        Self {
            args,
            writer,
            interest: Interest::default(),
            inbox,
            hooks,
            own,
            drains: Drains::default(),
            asks: BTreeMap::new(),
            summary_wished: None,
            client,
            usage: Usage::new(Instant::now()),
            alike: Alike::default(),
            warned: None,
            network,
            trust,
            ways: Ways::default(),
            jitter,
            begin: Instant::now(),
        }
    }

    /// Takes over what the process before this one left: lookups are answered from it until a session knows better.
    pub(crate) fn restore(&mut self, state: State) {
        let current_at = state.current_at();
        let State { pod, names, services, position, of_another_build, .. } = state;
        self.writer.set_position(&position);
        self.client.restore_position(position);
        if let Some(pod) = pod {
            if self.args.namespace.is_none() {
                self.writer.at_home_in(&pod.namespace);
            }
            self.writer.change_around(|around| around.pod = Some(pod));
        }
        let now = Instant::now();
        let names: Vec<_> = names.into_iter().filter(|name| self.interest.restore(name, now)).collect();
        self.writer.add(names.iter().cloned());
        // Nothing was told to anybody else yet, so that nothing is copied here.
        self.client.restore(services.into_iter().map(|(key, held)| (key, Arc::unwrap_or_clone(held))));
        if of_another_build {
            self.client.doubt_held();
        }
        // Some of them did not fit on the disk, and may fit here.
        let _ = self.client.subscribe(names);
        for (key, service) in self.client.held() {
            self.writer.set_restored(key, service.clone());
        }
        if let Some(at) = current_at {
            self.writer.current_since(at);
        }
    }

    /// Takes over what the app said to the process before this one.
    pub(crate) fn restore_words(&mut self, said: &[u8], doubt: Doubt) {
        self.own.restore(said, doubt);
        if let Some(drain) = self.own.drain() {
            self.drains.restore(drain, Instant::now());
        }
    }

    /// Keeps a session for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut plan = Plan::new(self.args.controller);
        plan.configure(self.controller());
        let mut dial = plan.next(&mut self.jitter);
        let mut lookout = Lookout::new(Instant::now(), &mut self.jitter);
        loop {
            let Dial { address, pause } = dial;
            self.attend(sleep(pause)).await;
            let begin = Instant::now();
            let error = match self.connect(address, plan.is_door(address)).await {
                Ok(link) => {
                    let error = self.session(link).await;
                    lookout = Lookout::new(Instant::now(), &mut self.jitter);
                    // What it dialled is judged by what was known then.
                    plan.lost(address, self.loss(&error, begin), self.client.replicas(), &mut self.jitter);
                    plan.configure(self.controller());
                    self.lost();
                    error
                }
                Err(error) => {
                    let (named, retry_after) = (error.named(), error.retry_after());
                    plan.failed(Failure { named, retry_after, is_ours: error.is_ours() });
                    if error.is_answer() {
                        lookout = Lookout::new(Instant::now(), &mut self.jitter);
                    }
                    error
                }
            };
            if lookout.is_due(Instant::now()) {
                plan.find(self.find().await);
                lookout = Lookout::new(Instant::now(), &mut self.jitter);
            }
            dial = plan.next(&mut self.jitter);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let (next, pause_ms) = (dial.address, dial.pause.as_millis());
            if error.named() == Some(next) && dial.pause.is_zero() {
                info!(%error, %address, %next, "another replica is asked");
            } else {
                warn!(%error, cause, %address, %next, pause_ms, "no session; lookups go on from the last state");
            }
        }
    }

    /// What the session was like that has begun then and ended so.
    fn loss(&self, error: &LinkError, begin: Instant) -> Loss {
        let was_long = begin.elapsed() >= GOOD_AFTER;
        Loss {
            was_good: was_long || self.client.in_step(),
            was_long,
            dismissed: matches!(error, LinkError::Dismissed { .. }),
            named: error.named(),
            superseded: matches!(error, LinkError::Superseded),
        }
    }

    /// Opens a session with the replica at this address.
    async fn connect(&mut self, address: SocketAddr, is_door: bool) -> Result<Link, LinkError> {
        let (args, network) = (self.args.clone(), self.network.clone());
        let mut trust = std::mem::take(&mut self.trust);
        let call = Call { address, is_door, now_ms: self.now_ms() };
        let link = self.attend(connect(&*network, &args, call, &mut trust)).await;
        self.trust = trust;
        self.show_believed();
        link
    }

    /// Waits for this while everyone in the process is still heard: what they want is said in the next session.
    async fn attend<F: Future>(&mut self, wait: F) -> F::Output {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                output = wait.as_mut() => return output,
                _ = self.hear_us() => {}
            }
        }
    }

    /// The session is over, and what was asked in it has no answer.
    fn lost(&mut self) {
        self.client.closed();
        self.asks.clear();
        self.drains.lost();
        self.hooks.lost();
        self.own.set_in_session(false);
        if self.writer.contact() != Contact::Never {
            self.writer.set_contact(Contact::Lost);
        }
    }

    /// Returns when somebody in this process wanted something, with what is to be said for it now. Safe to drop and call
    /// again.
    async fn hear_us(&mut self) -> Vec<Up> {
        loop {
            tokio::select! {
                Some(errand) = self.inbox.0.recv() => return self.run_errand(errand),
                () = self.hooks.hear() => return Vec::new(),
                () = self.own.due() => return self.say_own(),
                () = self.usage.due() => {
                    let news = self.say_usage();
                    if !news.is_empty() {
                        return news;
                    }
                }
            }
        }
    }

    /// How the app uses services, where something of it is new. Without a session it is only noticed.
    fn say_usage(&mut self) -> Vec<Up> {
        let now = Instant::now();
        self.usage.look(&self.writer.names(), now);
        self.client.tell_usage(|| self.usage.take_news(now))
    }

    fn run_errand(&mut self, errand: Errand) -> Vec<Up> {
        match errand {
            Errand::Wish(key) => self.wish(key),
            Errand::WishSummary => {
                self.summary_wished = Some(Instant::now());
                let said = self.client.want_summary(true);
                self.await_more();
                said.into_iter().collect()
            }
            Errand::Ask { question, answer } => {
                let Some((ask, said)) = self.client.ask(question) else { return Vec::new() };
                self.asks.retain(|_, answer| !answer.is_closed());
                self.asks.insert(ask, answer);
                vec![said]
            }
            Errand::Drain { drain, until, answer } => {
                self.drains.hear(drain, until, answer);
                self.own.set_drain(self.drains.word());
                Vec::new()
            }
        }
    }

    /// What the app said of itself, and its probes of it.
    fn say_own(&mut self) -> Vec<Up> {
        let mut frames = Vec::new();
        for said in self.own.take() {
            let frame = match said {
                Say::Register(registration) => {
                    let key = registration.key();
                    self.client.register(registration).unwrap_or_else(|full| {
                        self.own.rejected(&key, &full.to_string(), None);
                        None
                    })
                }
                Say::Deregister(key) => self.client.deregister(&key),
                Say::Health { of, probe } => self.client.health(of, probe).unwrap_or_else(|full| {
                    warn!(%full, "a word on the app's health is not said");
                    None
                }),
            };
            frames.extend(frame);
        }
        frames
    }

    /// Whether one of the warnings that may come often is to be logged now.
    fn may_warn(&mut self) -> bool {
        let now = Instant::now();
        let quiet = self.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY);
        if quiet {
            self.warned = Some(now);
        }
        quiet
    }

    /// Lookups of known names pass us by; what they asked for is heard here.
    fn hear_lookups(&mut self) {
        let now = Instant::now();
        self.writer.take_asked().iter().for_each(|key| self.interest.looked_up(key, now));
    }

    /// A lookup wants this name: what is to be said of it, where it is a new one.
    fn wish(&mut self, key: ServiceKey) -> Vec<Up> {
        if self.interest.is_full() {
            self.hear_lookups();
        }
        let names = self.writer.names();
        let is_followed = |name: &ServiceKey| names.get(name).is_some_and(|slot| slot.is_followed());
        match self.interest.ask(&key, Instant::now(), is_followed) {
            Wish::Held => Vec::new(),
            Wish::New { dropped } => {
                let left = dropped.and_then(|dropped| self.forget(&[dropped]));
                self.writer.add([key.clone()]);
                let asked = self.client.subscribe([key]);
                self.await_more();
                left.into_iter().chain(asked).collect()
            }
            Wish::Again => {
                let asked = self.client.subscribe([key]);
                self.await_more();
                asked.into_iter().collect()
            }
            Wish::Full => {
                if self.may_warn() {
                    warn!(name = %key, "all subscriptions are taken; this name is not answered");
                }
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

    /// What nobody wants any more is left.
    fn expire(&mut self) -> Vec<Up> {
        self.hear_lookups();
        let now = Instant::now();
        let expired = self.interest.expire(now);
        let mut said: Vec<_> = self.forget(&expired).into_iter().collect();
        if self.summary_wished.is_some_and(|at| now.saturating_duration_since(at) >= SUMMARY_FOR) {
            self.summary_wished = None;
            said.extend(self.client.want_summary(false));
            self.writer.change_around(|around| around.summary = None);
            self.settle();
        }
        said
    }

    /// Something more was asked for: what was held before is as current as it was.
    fn await_more(&self) {
        if let Contact::Live { caught_up, .. } = self.writer.contact()
            && !self.client.in_step()
        {
            self.writer.set_contact(Contact::Live { caught_up, synced: false });
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

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod fleet_tests;
