//! Looks at the Secret, tells what is to be believed, shows what signs, and writes what is due.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{Client, api::PostParams};
use rollcall_net::{Backoff, Jitter, ShownCertificate, Shutdown, TlsError, client_config};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    allowance::Allowance,
    events::Voice,
    leaf::{self, LeafWish},
    pair::{Authority, CaError},
    plan::{Awaited, Due, Held, Plan, Situation, Source, Why, plan},
    secret::{Seen, read, read_source, written},
    state::State,
    terms::Terms,
};
use crate::{
    operate::{Metrics, WriteKind},
    own_objects::OwnObjects,
    status::FIELD_MANAGER,
    told::{self, Told},
};

/// A call that takes longer has failed: a loaded API server answers small calls within a second.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Whoever has nothing to go by yet looks so often: everyone waits for it.
const AWAITED_EVERY: Duration = Duration::from_secs(2);

/// Says what time of day it is.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Holds what a keeper is made of.
pub struct Setting {
    pub client: Client,
    /// The controller's own.
    pub namespace: String,
    /// The Secret of ours.
    pub secret: String,
    /// A Secret of somebody else's, whose authority is to be ours.
    pub source: Option<String>,
    /// The Lease by which it is seen whether other replicas are there.
    pub lease_name: String,
    pub replica: String,
    pub terms: Terms,
    /// Names by which others than sidecars call us.
    pub names: Vec<String>,
    pub metrics: Metrics,
    pub clock: Clock,
}

/// Holds what the keeper tells, and what it has servers show. Clones are of the same.
#[derive(Clone)]
pub struct Trust {
    /// What servers show.
    pub shown: Arc<ShownCertificate>,
    /// What other replicas are dialled with.
    pub believed: watch::Receiver<Arc<ClientConfig>>,
    /// Whom to believe, and where we are reached; whoever knows the latter sets it.
    pub told: watch::Sender<Told>,
}

/// Holds a process's part in keeping the authority.
pub struct Keeper {
    looker: Looker,
    held: Held,
    told_at: Instant,
    leaf: leaf::Held,
    trust: Trust,
    config: watch::Sender<Arc<ClientConfig>>,
}

/// Says why there is nothing to show.
#[derive(Debug, Error)]
pub enum KeeperError {
    #[error(transparent)]
    Authority(#[from] CaError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Looks and writes: all of the keeper that the API server knows of.
struct Looker {
    setting: Setting,
    secrets: OwnObjects<Secret>,
    leases: OwnObjects<Lease>,
    voice: Voice,
    allowance: Allowance,
    jitter: Jitter,
    backoff: Backoff,
    /// When the Secret was last seen.
    seen_at: Instant,
    /// What was said last: what lasts is said once.
    said: Option<String>,
    of_source: Option<String>,
}

/// Holds what one look found.
struct Look {
    seen: Seen,
    there: Option<Secret>,
    source: Source,
}

/// Says what is wrong, and what helps.
#[derive(Debug, Error)]
enum Trouble {
    #[error("Secret {0}: cannot be read; check the controller's Role: {1}")]
    Unreadable(String, String),
    #[error(
        "Secret {0}: cannot be written, so that what is due there waits; check the controller's Role: {1}"
    )]
    Unwritable(String, String),
    #[error("{0}; it is written anew from memory")]
    Broken(CaError),
    #[error(
        "{0}; no controller is left that knows what stood there: put it back from a backup, or delete the Secret, and make pods anew"
    )]
    Lost(String),
    #[error(
        "there is no Secret {0}, which another controller may put back from memory; a new one is made after {1:?}"
    )]
    Awaited(String, Duration),
    #[error(
        "Secret {0}: somebody keeps writing something else there, and we write at most once in {1:?} from now on; take it from that tool, or give it what is there"
    )]
    Contested(String, Duration),
    #[error("no authority yet: {0}")]
    NoSource(String),
    #[error("Secret {0}: another authority cannot be made")]
    NotMade(String, #[source] CaError),
}

/// Waits until there is an authority to go by; then there is something to tell and to show.
pub async fn begin(setting: Setting) -> Result<(Keeper, Trust), KeeperError> {
    let mut looker = Looker::new(setting);
    let begun = Instant::now();
    let state = loop {
        let pause = match looker.first(begun).await {
            Ok(state) => break state,
            Err(Awaited::ApiServer) => looker.backoff.next(&mut looker.jitter),
            Err(_) => AWAITED_EVERY.min(looker.setting.terms.look_every()),
        };
        sleep(pause).await;
    };
    let now = looker.now();
    let leaf = looker.leaf(&state, now)?;
    let shown = ShownCertificate::new(leaf.leaf.certificate_pem.as_bytes(), leaf.leaf.key_pem.as_bytes())?;
    let bundle = state.bundle();
    let (config, believed) = watch::channel(client_config(bundle.as_bytes())?);
    let (told, _) = told::feed(&bundle);
    let trust = Trust { shown, believed, told };
    let held = Held { state, told_for: Duration::ZERO, unseen_for: Duration::ZERO };
    let keeper = Keeper { looker, held, told_at: Instant::now(), leaf, trust: trust.clone(), config };
    keeper.measure();
    Ok((keeper, trust))
}

// === impl Keeper ===

impl Keeper {
    /// Keeps it until the process is to end.
    pub async fn run(mut self, mut ear: Shutdown) {
        let pauses = async {
            loop {
                let pause = self.turn().await;
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = ear.requested() => {}
            () = pauses => {}
        }
    }

    /// One look, and what it calls for; gives the time until the next.
    async fn turn(&mut self) -> Duration {
        let look = self.looker.look().await;
        let now = self.looker.now();
        self.held.told_for = self.told_at.elapsed();
        self.held.unseen_for = self.looker.seen_at.elapsed();
        let made = self.looker.planned(&look, Some(&self.held), now, false);
        if let Some(state) = made.state.clone() {
            self.take(state, now);
        }
        // Whoever signs changes by time alone, whatever the API server says.
        self.renew(now);
        let pause = match self.looker.write(look, made).await {
            Wrote::Nothing => self.looker.pause(),
            Wrote::State(state) => {
                self.take(state, now);
                self.renew(now);
                self.looker.pause()
            }
            Wrote::Failed => self.looker.backoff.next(&mut self.looker.jitter),
        };
        self.measure();
        pause
    }

    /// Goes by this state from now on.
    fn take(&mut self, state: State, now: SystemTime) {
        let bundle = state.bundle();
        if bundle != *self.trust.told.borrow().ca_pem {
            match client_config(bundle.as_bytes()) {
                Ok(config) => self.config.send_replace(config),
                Err(error) => {
                    error!(%error, "an authority that cannot be believed is not told; this is a bug");
                    return;
                }
            };
            self.trust.told.send_modify(|told| told.ca_pem = bundle.into());
            self.told_at = Instant::now();
            self.held.told_for = Duration::ZERO;
            let signs = if state.signer(now) == &state.current { "at once" } else { "later" };
            info!(
                believed = 1 + usize::from(state.outgoing.is_some()),
                signs, "whom to believe has changed, and is told"
            );
        }
        self.held.state = state;
    }

    /// Shows a new certificate where one is due.
    fn renew(&mut self, now: SystemTime) {
        if !self.leaf.is_due(self.held.state.signer(now), now) {
            return;
        }
        let shown = self.looker.leaf(&self.held.state, now).map_err(KeeperError::from).and_then(|made| {
            self.trust.shown.show(made.leaf.certificate_pem.as_bytes(), made.leaf.key_pem.as_bytes())?;
            Ok(made)
        });
        match shown {
            Ok(made) => {
                let by_another = made.signer != self.leaf.signer;
                info!(by_another, "a new certificate is shown");
                self.leaf = made;
            }
            Err(error) => error!(%error, "no new certificate; the one before is shown"),
        }
    }

    fn measure(&self) {
        let metrics = &self.looker.setting.metrics;
        metrics.certificates_end(self.leaf.leaf.ends, self.held.state.current.ends);
    }
}

/// Says what came of a plan.
enum Wrote {
    Nothing,
    State(State),
    Failed,
}

// === impl Looker ===

impl Looker {
    fn new(setting: Setting) -> Self {
        let Setting { client, namespace, replica, terms, metrics, .. } = &setting;
        let now = Instant::now();
        Self {
            secrets: OwnObjects::new(client.clone(), namespace),
            leases: OwnObjects::new(client.clone(), namespace),
            voice: Voice::new(client.clone(), namespace, replica, metrics.writes().clone()),
            allowance: Allowance::new(*terms, now),
            jitter: Jitter::from_entropy(),
            backoff: Backoff::default(),
            seen_at: now,
            said: None,
            of_source: None,
            setting,
        }
    }

    /// The first state, or what is waited for.
    async fn first(&mut self, begun: Instant) -> Result<State, Awaited> {
        let look = self.look().await;
        let has_waited = begun.elapsed() >= self.setting.terms.heard_within();
        let is_alone = match look.seen {
            Seen::Unknown => false,
            _ => has_waited || self.is_alone().await,
        };
        let made = self.planned(&look, None, self.now(), is_alone);
        let (state, due) = (made.state.clone(), made.due.clone());
        match (self.write(look, made).await, state) {
            (Wrote::State(state), _) | (_, Some(state)) => Ok(state),
            (_, None) => Err(match due {
                Due::Wait(awaited) => awaited,
                _ => Awaited::ApiServer,
            }),
        }
    }

    /// Whether no other process can have a state in memory: the Lease is nobody's. One that died holding it costs a moment.
    async fn is_alone(&self) -> bool {
        match called(self.leases.get(&self.setting.lease_name)).await {
            Ok(lease) => {
                lease.spec.and_then(|spec| spec.holder_identity).is_none_or(|holder| holder.is_empty())
            }
            Err(failure) => matches!(failure, Failure::Absent),
        }
    }

    /// Ours first: what the source gives is then at least as new.
    async fn look(&mut self) -> Look {
        let now = self.now();
        let place = self.place(&self.setting.secret);
        let (seen, there) = match called(self.secrets.get(&self.setting.secret)).await {
            Ok(secret) => (Seen::There(read(&secret, &place, now, self.setting.terms)), Some(secret)),
            Err(Failure::Absent) => (Seen::Absent, None),
            Err(failure) => {
                self.say(Some(&Trouble::Unreadable(place, failure.text())));
                (Seen::Unknown, None)
            }
        };
        let source = match (&seen, &self.setting.source) {
            (_, None) => Source::None,
            (Seen::Unknown, Some(_)) => Source::Missing,
            (_, Some(name)) => self.source(&name.clone(), now).await,
        };
        Look { seen, there, source }
    }

    async fn source(&mut self, name: &str, now: SystemTime) -> Source {
        let place = self.place(name);
        let given = match called(self.secrets.get(name)).await {
            Ok(secret) => {
                read_source(&secret, &format!("Secret {place}"), now).map_err(|error| error.to_string())
            }
            Err(Failure::Absent) => Err(format!("Secret {place}: is not there; have it made")),
            Err(failure) => Err(format!(
                "Secret {place}: cannot be read; check the controller's Role: {}",
                failure.text()
            )),
        };
        let trouble = given.as_ref().err().cloned();
        if self.of_source != trouble {
            if let Some(trouble) = &trouble {
                warn!("{trouble}; until then it goes on with the authority that there is");
            }
            self.of_source = trouble;
        }
        given.map_or(Source::Missing, |authority| Source::Gives(Arc::new(authority)))
    }

    fn planned(&mut self, look: &Look, held: Option<&Held>, now: SystemTime, is_alone: bool) -> Plan {
        let Look { seen, source, .. } = look;
        if !matches!(seen, Seen::Unknown) {
            self.seen_at = Instant::now();
        }
        plan(&Situation { seen, held, source, now, terms: self.setting.terms, is_alone })
    }

    /// Writes what is due, if anything is.
    async fn write(&mut self, look: Look, made: Plan) -> Wrote {
        let place = self.place(&self.setting.secret);
        let (next, why) = match made.due {
            Due::Nothing if matches!(look.seen, Seen::Unknown) => return Wrote::Failed,
            Due::Nothing => {
                self.is_saved(true);
                return Wrote::Nothing;
            }
            Due::Wait(awaited) => {
                self.say_awaited(awaited, &look, place);
                return Wrote::Nothing;
            }
            Due::Write(next, why) => (next, why),
            Due::Make(why) => match self.made(made.state.as_ref(), &place) {
                Ok(next) => (next, why),
                Err(error) => {
                    self.say(Some(&Trouble::NotMade(place, error)));
                    return Wrote::Failed;
                }
            },
        };
        if !self.allowance.take(Instant::now()) {
            let pause = self.allowance.another_after();
            self.say(Some(&Trouble::Contested(place, pause)));
            self.setting.metrics.authority_saved(false);
            return Wrote::Nothing;
        }
        if let Seen::There(reading) = look.seen
            && let (Why::Repaired, Some(damage)) = (why, reading.damage)
        {
            self.say(Some(&Trouble::Broken(damage)));
        }
        self.setting.metrics.writes().count(WriteKind::Secret);
        let name = &self.setting.secret;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let is_new = look.there.is_none();
        let secret = written(&next, name, look.there);
        let answer = match is_new {
            true => called(self.secrets.create(&params, &secret)).await,
            false => called(self.secrets.replace(name, &params, &secret)).await,
        };
        match answer {
            Ok(secret) => {
                info!(secret = place, why = why.as_str(), "the authority's Secret is written");
                self.setting.metrics.authority_written(why);
                self.is_saved(true);
                self.voice.tell(&secret, why).await;
                Wrote::State(next)
            }
            Err(Failure::Conflict) => {
                debug!(secret = place, "another replica was faster");
                self.allowance.give_back();
                Wrote::Failed
            }
            Err(failure) => {
                self.say(Some(&Trouble::Unwritable(place, failure.text())));
                self.setting.metrics.authority_saved(false);
                Wrote::Failed
            }
        }
    }

    /// The state that begins with a new authority of ours.
    fn made(&self, state: Option<&State>, place: &str) -> Result<State, CaError> {
        let (now, terms) = (self.now(), self.setting.terms);
        let new = Arc::new(Authority::made(&format!("Secret {place}"), terms.authority, now)?);
        Ok(match state {
            None => State::steady(new),
            Some(state) => state.announcing(new, now, state.run_up(now, terms)),
        })
    }

    fn leaf(&self, state: &State, now: SystemTime) -> Result<leaf::Held, CaError> {
        let wish = LeafWish { names: &self.setting.names, lifetime: self.setting.terms.leaf, now };
        let signer = state.signer(now);
        let leaf = signer.leaf_for(&self.place(&self.setting.secret), &wish)?;
        Ok(leaf::Held { leaf, signer: Authority::clone(signer) })
    }

    fn pause(&mut self) -> Duration {
        self.backoff.reset();
        let every = self.setting.terms.look_every();
        every - self.jitter.up_to(every / 5)
    }

    fn now(&self) -> SystemTime {
        (self.setting.clock)()
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.setting.namespace)
    }

    fn is_saved(&mut self, saved: bool) {
        self.setting.metrics.authority_saved(saved);
        if saved {
            self.say(None);
        }
    }

    fn say_awaited(&mut self, awaited: Awaited, look: &Look, place: String) {
        let trouble = match awaited {
            // It is said by whoever asked.
            Awaited::ApiServer => return,
            Awaited::Others => Trouble::Awaited(place, self.setting.terms.heard_within()),
            Awaited::Source => Trouble::NoSource(self.of_source.clone().unwrap_or_default()),
            Awaited::Person => Trouble::Lost(match &look.seen {
                Seen::There(reading) => reading.damage.as_ref().map(ToString::to_string).unwrap_or_default(),
                _ => place,
            }),
        };
        self.say(Some(&trouble));
    }

    /// Says what is wrong, where that was not what was said last; and when it is over.
    fn say(&mut self, trouble: Option<&Trouble>) {
        let text = trouble.map(ToString::to_string);
        if self.said == text {
            return;
        }
        match (trouble, &text) {
            (None, _) | (_, None) => debug!("the authority's Secret is as it should be again"),
            (Some(Trouble::Broken(_) | Trouble::Awaited(..) | Trouble::Contested(..)), Some(text)) => {
                warn!("{text}");
            }
            (Some(_), Some(text)) => error!("{text}"),
        }
        self.said = text;
    }
}

/// Says what a failed call means.
enum Failure {
    Absent,
    Conflict,
    Other(String),
}

async fn called<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(CALL_MAX, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 => Failure::Absent,
            409 => Failure::Conflict,
            code => Failure::Other(format!("{code}: {}", status.message)),
        }),
        Ok(Err(error)) => Err(Failure::Other(error.to_string())),
        Err(_) => Err(Failure::Other(format!("no answer in {CALL_MAX:?}"))),
    }
}

// === impl Failure ===

impl Failure {
    fn text(self) -> String {
        match self {
            Self::Absent => "it is gone".to_owned(),
            Self::Conflict => "somebody else wrote it as well".to_owned(),
            Self::Other(text) => text,
        }
    }
}
