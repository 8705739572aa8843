//! The controller's measurements. docs/metrics.md lists them for people; a test holds the two together.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use rollcall_catalogue::{Snapshot, State, changes::Delta};
use rollcall_wire::server::Resync;

use super::{
    evictions::{EVICTIONS, evictions},
    format::Format,
    writes::{WriteCounts, WriteKind},
};
use crate::{
    admission::Outcome,
    authority::Why,
    index::{Alarms, FALSE_ALARMS, Kind, OBSERVED, WithoutSidecar},
    kubernetes::{Drift, WatchAges},
    owner::View,
    peers::Counts,
    sessions::Ending,
};

/// From a pod's own turn to the snapshot that has it, in seconds. Kubernetes tells most turns in whole seconds, so that
/// the lower half is for what sessions tell; the bounds are those that the design promises (2, 10, 50 and 250 ms, 1 s,
/// 10 s, 20 s), with some between them, and one above which something is broken.
const PROPAGATION_SECONDS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 20.0, 60.0];
/// One turn of the owner, in seconds. An idle one takes tens of microseconds; 20 ms is what a change may take from its
/// event to the snapshot; beyond a second, sessions miss their beats.
const TURN_SECONDS: [f64; 11] =
    [0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0];

const RESYNCS: [Resync; 2] = [Resync::Cursor, Resync::Digest];
const STATES: [State; 5] = [State::Starting, State::Serving, State::Suspect, State::Failing, State::Draining];

/// Holds the measurements of this process. Clones are of the same ones.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

/// The names of labels are ours, and so are all their values: none is chosen by anyone else.
type Label = [(&'static str, &'static str); 1];
type Counters = Family<Label, Counter>;

#[derive(Debug)]
struct Inner {
    registry: Registry,
    ages: WatchAges,
    drifted: Drift,
    writes: Arc<WriteCounts>,
    evictions: Counters,
    freeze: Gauge,
    false_alarms: Counters,
    observed_evictions: Counters,
    serving: Gauge,
    peers: Family<Label, Gauge>,
    sessions: Gauge,
    places_missing: Gauge,
    consumers: Gauge,
    apps_failing: Gauge,
    services: Gauge,
    registrations: Gauge,
    instances: Family<Label, Gauge>,
    without_sidecar: Family<Label, Gauge>,
    propagation: Histogram,
    turn: Histogram,
    watch_age: Family<Label, Gauge<f64, AtomicU64>>,
    api_writes: Counters,
    resyncs: Counters,
    sessions_ended: Counters,
    relists: Counters,
    drift: Counters,
    relist_doubts: Counters,
    injections: Counters,
    events_dropped: Counter,
    certificate_ends: Mutex<Option<Ends>>,
    certificate_expiry: Family<Label, Gauge<f64, AtomicU64>>,
    authority_writes: Counters,
    authority_unsaved: Gauge,
}

/// Holds when what we show and whom it is signed by end.
#[derive(Debug, Clone, Copy)]
struct Ends {
    leaf: SystemTime,
    authority: SystemTime,
}

// === impl Metrics ===

impl Metrics {
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("rollcall"),
            ages: WatchAges::new(),
            drifted: Drift::default(),
            writes: Arc::default(),
            evictions: Counters::default(),
            freeze: Gauge::default(),
            false_alarms: Counters::default(),
            observed_evictions: Counters::default(),
            serving: Gauge::default(),
            peers: Family::default(),
            sessions: Gauge::default(),
            places_missing: Gauge::default(),
            consumers: Gauge::default(),
            apps_failing: Gauge::default(),
            services: Gauge::default(),
            registrations: Gauge::default(),
            instances: Family::default(),
            without_sidecar: Family::default(),
            propagation: Histogram::new(PROPAGATION_SECONDS),
            turn: Histogram::new(TURN_SECONDS),
            watch_age: Family::default(),
            api_writes: Counters::default(),
            resyncs: Counters::default(),
            sessions_ended: Counters::default(),
            relists: Counters::default(),
            drift: Counters::default(),
            relist_doubts: Counters::default(),
            injections: Counters::default(),
            events_dropped: Counter::default(),
            certificate_ends: Mutex::default(),
            certificate_expiry: Family::default(),
            authority_writes: Counters::default(),
            authority_unsaved: Gauge::default(),
        };
        inner.register();
        inner.begin_at_zero();
        let metrics = Self(Arc::new(inner));
        metrics.without_sidecar(WithoutSidecar::default());
        metrics.peers(Counts::default());
        metrics
    }

    /// The catalogue went on from `before` by these deltas.
    pub fn stepped(&self, before: &Snapshot, deltas: &[Arc<Delta>]) {
        for (reason, count) in evictions(before, deltas) {
            self.0.evictions.get_or_create(&[("reason", reason)]).inc_by(count);
        }
    }

    /// Whether the mass-loss guard holds.
    pub fn frozen(&self, frozen: bool) {
        self.0.freeze.set(i64::from(frozen));
    }

    /// What came of the sessions' evidence.
    pub(crate) fn alarmed(&self, alarms: &Alarms) {
        for (reason, count) in &alarms.false_alarms {
            self.0.false_alarms.get_or_create(&[("reason", reason)]).inc_by(*count);
        }
        for (reason, count) in &alarms.observed {
            self.0.observed_evictions.get_or_create(&[("reason", reason)]).inc_by(*count);
        }
    }

    /// Whether this replica serves sessions.
    pub fn serving(&self, serves: bool) {
        self.0.serving.set(i64::from(serves));
    }

    /// How many places are missing here for the sessions of another replica that is lost.
    pub fn places_missing(&self, missing: usize) {
        self.0.places_missing.set(count(missing));
    }

    /// How many subscriptions the sessions here have.
    pub fn consumers(&self, subscriptions: usize) {
        self.0.consumers.set(count(subscriptions));
    }

    /// How many pods fail that nobody restarts.
    pub(crate) fn apps_failing(&self, pods: usize) {
        self.0.apps_failing.set(count(pods));
    }

    /// How the other replicas stand.
    pub fn peers(&self, counts: Counts) {
        let Counts { linked, missed, lost } = counts;
        for (state, peers) in [("linked", linked), ("missed", missed), ("lost", lost)] {
            self.0.peers.get_or_create(&[("state", state)]).set(count(peers));
        }
    }

    pub fn sessions(&self, open: usize) {
        self.0.sessions.set(count(open));
    }

    pub fn registrations(&self, known: usize) {
        self.0.registrations.set(count(known));
    }

    pub(crate) fn without_sidecar(&self, pods: WithoutSidecar) {
        let WithoutSidecar { exempt, missed } = pods;
        for (reason, pods) in [("exempt", exempt), ("missed", missed)] {
            self.0.without_sidecar.get_or_create(&[("reason", reason)]).set(count(pods));
        }
    }

    /// A pod's turn is in the snapshot, so many seconds after it. The two moments are of two machines' clocks, so that
    /// it may come out as less than nothing.
    pub fn propagated(&self, seconds: f64) {
        self.0.propagation.observe(seconds.max(0.0));
    }

    /// The owner took a turn.
    pub fn turned(&self, took: Duration) {
        self.0.turn.observe(took.as_secs_f64());
    }

    pub fn resynced(&self, why: Resync) {
        self.0.resyncs.get_or_create(&[("reason", resync_word(why))]).inc();
    }

    pub fn session_ended(&self, ending: Ending) {
        self.0.sessions_ended.get_or_create(&[("reason", ending.as_str())]).inc();
    }

    /// The API server has asked what a pod gets.
    pub fn reviewed(&self, outcome: Outcome) {
        self.0.injections.get_or_create(&[("result", outcome.as_str())]).inc();
    }

    /// What we show, and the authority that signs or is about to, are good until then.
    pub(crate) fn certificates_end(&self, leaf: SystemTime, authority: SystemTime) {
        // Nobody leaves it half written.
        let mut ends = self.0.certificate_ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends = Some(Ends { leaf, authority });
    }

    /// The authority's Secret was written.
    pub(crate) fn authority_written(&self, why: Why) {
        self.0.authority_writes.get_or_create(&[("reason", why.as_str())]).inc();
    }

    /// Whether the Secret has what this process goes by.
    pub(crate) fn authority_saved(&self, saved: bool) {
        self.0.authority_unsaved.set(i64::from(!saved));
    }

    /// Whoever feeds the index by hand has no watch that could fail, and says so more often than every two minutes: lost sessions
    /// evict nobody while a watch may have failed.
    pub fn watches_work(&self) {
        Kind::ALL.into_iter().for_each(|kind| self.watch_ages().proven(kind));
    }

    /// Where the watches note that they work.
    pub(crate) fn watch_ages(&self) -> &WatchAges {
        &self.0.ages
    }

    /// Where the watches note what they missed.
    pub(crate) fn drift(&self) -> &Drift {
        &self.0.drifted
    }

    /// Where it is noted what is written to Kubernetes.
    pub fn writes(&self) -> &Arc<WriteCounts> {
        &self.0.writes
    }

    /// All of them, with what the view says at this moment.
    pub fn render(&self, view: &View, format: Format) -> String {
        self.0.look_at(view);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        match format {
            Format::OpenMetrics => text,
            Format::Text => as_older_text(&text),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Inner ===

impl Inner {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register(
            "evictions",
            "Instances that left the lookups, by the reason of their new state",
            self.evictions.clone(),
        );
        registry.register(
            "freeze",
            "1 while the mass-loss guard holds, and evicts nobody for a lost session",
            self.freeze.clone(),
        );
        registry.register(
            "false_alarms",
            "Instances that were doubted for their session alone and came back by it, by the worst that was said",
            self.false_alarms.clone(),
        );
        registry.register(
            "observed_evictions",
            "Instances that would have left the lookups by what sidecars tell, if that were not only observed",
            self.observed_evictions.clone(),
        );
        registry.register(
            "serving",
            "1 where this replica serves the sessions of sidecars, 0 where it has just begun or is about to end",
            self.serving.clone(),
        );
        registry.register("peers", "Other replicas, by how they stand", self.peers.clone());
        registry.register("sessions", "Open sessions of sidecars at this replica", self.sessions.clone());
        registry.register(
            "session_places_missing",
            "Places that are missing here for this replica's share of the sessions of the largest other one",
            self.places_missing.clone(),
        );
        registry.register(
            "consumers",
            "Subscriptions of the sessions at this replica: pairs of a pod and a service that it asks for",
            self.consumers.clone(),
        );
        registry.register(
            "apps_failing",
            "Pods whose app has failed for 2 minutes by its sidecar's word, and that no livenessProbe restarts",
            self.apps_failing.clone(),
        );
        registry.register("services", "Services of the catalogue", self.services.clone());
        registry.register("registrations", "ServiceRegistrations that are known", self.registrations.clone());
        registry.register("instances", "Instances of the catalogue, by their state", self.instances.clone());
        registry.register(
            "pods_without_sidecar",
            "Pods that asked for a sidecar and have none, by why",
            self.without_sidecar.clone(),
        );
        registry.register(
            "propagation_seconds",
            "From a pod's own turn to the snapshot that has it; Kubernetes tells most turns in whole seconds",
            self.propagation.clone(),
        );
        registry.register(
            "index_turn_seconds",
            "What one turn of the index takes: some inputs applied, and the next snapshot published",
            self.turn.clone(),
        );
        registry.register(
            "watch_age_seconds",
            "Since the watch of this kind last gave a sign of life, or since the start where it never did",
            self.watch_age.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the API server, by what was written",
            self.api_writes.clone(),
        );
        registry.register(
            "stream_resyncs",
            "Sidecars that had to be told everything that they hold anew, by why",
            self.resyncs.clone(),
        );
        registry.register(
            "sessions_ended",
            "Sessions of sidecars that have ended, by why",
            self.sessions_ended.clone(),
        );
        registry.register(
            "relists",
            "Lists that were made only to look whether the watch had missed anything, by their kind",
            self.relists.clone(),
        );
        registry.register(
            "events_dropped",
            "Events for people that nobody will see: too many waited to be written, or the API server did not take them",
            self.events_dropped.clone(),
        );
        registry.register(
            "relist_drift",
            "Objects that a list found and the watch had not told of, by their kind",
            self.drift.clone(),
        );
        registry.register(
            "relist_doubts",
            "Lists that lacked so much of what is known that they removed nothing, by their kind",
            self.relist_doubts.clone(),
        );
        registry.register(
            "injections",
            "Questions of the API server what a pod gets, by what came of them",
            self.injections.clone(),
        );
        registry.register(
            "certificate_expiry_seconds",
            "Until the certificate that is shown ends, and the authority that signs or is about to; 0 before there is one",
            self.certificate_expiry.clone(),
        );
        registry.register(
            "authority_writes",
            "Writes of the authority's Secret that succeeded, by why",
            self.authority_writes.clone(),
        );
        registry.register(
            "authority_unsaved",
            "1 while the Secret does not have what this replica goes by, and cannot be written",
            self.authority_unsaved.clone(),
        );
    }

    /// A counter that appears with its first count hides that count from `rate()`.
    fn begin_at_zero(&self) {
        for reason in EVICTIONS {
            self.evictions.get_or_create(&[("reason", reason)]).inc_by(0);
        }
        for reason in FALSE_ALARMS {
            self.false_alarms.get_or_create(&[("reason", reason)]).inc_by(0);
        }
        for reason in OBSERVED {
            self.observed_evictions.get_or_create(&[("reason", reason)]).inc_by(0);
        }
        for why in RESYNCS {
            self.resyncs.get_or_create(&[("reason", resync_word(why))]).inc_by(0);
        }
        for ending in Ending::ALL {
            self.sessions_ended.get_or_create(&[("reason", ending.as_str())]).inc_by(0);
        }
        for why in Why::ALL {
            self.authority_writes.get_or_create(&[("reason", why.as_str())]).inc_by(0);
        }
        for outcome in Outcome::ALL {
            self.injections.get_or_create(&[("result", outcome.as_str())]).inc_by(0);
        }
    }

    fn look_at(&self, view: &View) {
        self.services.set(count(view.catalogue.len()));
        let mut states = STATES.map(|state| (state, 0));
        for instance in view.catalogue.iter().flat_map(|(_, service)| service.instances.iter()) {
            if let Some((_, count)) = states.iter_mut().find(|(state, _)| *state == instance.state) {
                *count += 1;
            }
        }
        for (state, instances) in states {
            self.instances.get_or_create(&[("state", state.as_str())]).set(instances);
        }
        for kind in Kind::ALL {
            let label = [("kind", kind.as_str())];
            self.watch_age.get_or_create(&label).set(self.ages.age(kind).as_secs_f64());
            read(&self.relists.get_or_create(&label), self.drifted.lists(kind));
            read(&self.drift.get_or_create(&label), self.drifted.total(kind));
            read(&self.relist_doubts.get_or_create(&label), self.drifted.doubts(kind));
        }
        for kind in WriteKind::ALL {
            read(&self.api_writes.get_or_create(&[("kind", kind.as_str())]), self.writes.of(kind));
        }
        read(&self.events_dropped, self.writes.events_dropped());
        let ends = *self.certificate_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let (leaf, authority) = ends.map_or((0.0, 0.0), |ends| (until(ends.leaf), until(ends.authority)));
        for (of, left) in [("leaf", leaf), ("authority", authority)] {
            self.certificate_expiry.get_or_create(&[("of", of)]).set(left);
        }
    }
}

/// Seconds until then by this machine's clock; less than 0 after it.
fn until(end: SystemTime) -> f64 {
    let now = SystemTime::now();
    match end.duration_since(now) {
        Ok(left) => left.as_secs_f64(),
        Err(ago) => -ago.duration().as_secs_f64(),
    }
}

/// Shows what somebody else counts.
fn read(counter: &Counter, counted: u64) {
    counter.inner().store(counted, Ordering::Relaxed);
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn resync_word(why: Resync) -> &'static str {
    match why {
        Resync::Cursor => "cursor",
        Resync::Digest => "digest",
    }
}

/// The same in the older text, in which a counter is called as its sample is, and which knows of no end.
fn as_older_text(open_metrics: &str) -> String {
    let counter = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: Vec<String> = open_metrics.lines().filter_map(counter).collect();
    let mut text = String::with_capacity(open_metrics.len() + counters.len() * 16);
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let named =
            ["# HELP ", "# TYPE "].into_iter().find_map(|head| Some((head, line.strip_prefix(head)?)));
        match named.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) if counters.iter().any(|counter| counter == name) => {
                text.extend([head, name, "_total ", rest, "\n"]);
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
