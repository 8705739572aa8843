//! An hour of a small installation: two controllers and six sidecars, well, until a story says otherwise.

use crate::engine::{Scrape, Target};
use crate::real::of_a_controller;
use anyhow::{Context, Result};
use rollcall_controller::operate::Metrics;
use rollcall_controller::peers::Counts;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often everybody is scraped, and the alerts looked at.
pub const STEP_S: u64 = 30;
/// The end of every story: long enough for the alert that waits longest (30 minutes) and the widest look back that it begins
/// from (15 minutes).
pub const UNTIL_S: u64 = 3_600;

/// What the index does in one step of a quiet hour: it assesses each second.
const TURNS_OF_A_STEP: u64 = STEP_S;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const OLDER_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Holds all endpoints that Prometheus scrapes.
#[derive(Debug)]
pub struct Story {
    pub controllers: Vec<Endpoint>,
    pub sidecars: Vec<Endpoint>,
}

/// Holds what one endpoint answers over the time.
#[derive(Debug)]
pub struct Endpoint {
    labels: BTreeMap<String, String>,
    source: Source,
    changes: Vec<Change>,
    /// When it is scraped first, and when Prometheus no longer knows it.
    pub lives_s: (u64, u64),
    /// When it does not answer, though it is known.
    pub silent_s: (u64, u64),
    /// How long things take here. A sidecar has no such measurements.
    pub pace: fn(u64) -> Pace,
}

/// Says how long a change of a pod, and a turn of the index, take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub propagation_s: f64,
    pub turn: Duration,
}

#[derive(Debug)]
enum Source {
    Controller(Metrics),
    Sidecar(String),
}

/// Says what becomes of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Course {
    /// It is this, as long as it lasts.
    Is(f64),
    /// It is the seconds since this began, as long as it lasts.
    Ages,
    /// It grows by so much a second, and stays there.
    Grows(f64),
}

#[derive(Debug)]
struct Change {
    sample: String,
    from_s: u64,
    until_s: u64,
    course: Course,
}

// === impl Story ===

impl Story {
    /// All is well. `sidecar` is what a sidecar answers.
    pub fn quiet(sidecar: &str) -> Self {
        let mut story = Self { controllers: Vec::new(), sidecars: Vec::new() };
        story.controller("a", (0, UNTIL_S + STEP_S));
        story.controller("b", (0, UNTIL_S + STEP_S));
        // The one that holds the Lease.
        let holder = &mut story.controllers[0];
        holder.always("rollcall_api_writes_total{kind=\"lease\"}", Course::Grows(0.5));
        holder.always("rollcall_api_writes_total{kind=\"status\"}", Course::Grows(0.02));
        for (namespace, pods) in [("shop", 4), ("billing", 2)] {
            for number in 0..pods {
                story.sidecar(sidecar, namespace, number);
            }
        }
        story
    }

    /// A controller that is there for so long.
    pub fn controller(&mut self, name: &str, lives_s: (u64, u64)) -> &mut Endpoint {
        let metrics = Metrics::new();
        metrics.serving(true);
        metrics.sessions(3);
        metrics.registrations(3);
        metrics.peers(Counts { linked: 1, ..Counts::default() });
        let pod = format!("rollcall-controller-{name}");
        let labels =
            [("service", "rollcall-controller"), ("job", "rollcall-controller"), ("endpoint", "metrics")];
        let mut endpoint =
            Endpoint::new("rollcall-system", &pod, &labels, Source::Controller(metrics), lives_s);
        endpoint.always("rollcall_services", Course::Is(2.0));
        endpoint.always("rollcall_instances{state=\"Serving\"}", Course::Is(6.0));
        endpoint.always("rollcall_evictions_total{reason=\"Terminating\"}", Course::Grows(0.01));
        endpoint.always("rollcall_injections_total{result=\"injected\"}", Course::Grows(0.01));
        endpoint.always("rollcall_sessions_ended_total{reason=\"closed\"}", Course::Grows(0.01));
        for kind in ["Pod", "ServiceRegistration", "Service", "EndpointSlice", "Namespace", "Node"] {
            endpoint.always(&format!("rollcall_watch_age_seconds{{kind=\"{kind}\"}}"), Course::Is(45.0));
        }
        for (of, seconds) in [("leaf", 1_728_000.0), ("authority", 15_552_000.0)] {
            endpoint
                .always(&format!("rollcall_certificate_expiry_seconds{{of=\"{of}\"}}"), Course::Is(seconds));
        }
        self.controllers.push(endpoint);
        let last = self.controllers.len() - 1;
        &mut self.controllers[last]
    }

    fn sidecar(&mut self, text: &str, namespace: &str, number: usize) {
        let labels = [
            ("container", "rollcall-sidecar"),
            ("job", "rollcall-system/rollcall-sidecars"),
            ("endpoint", "rollcall"),
        ];
        let lives_s = (0, UNTIL_S + STEP_S);
        let source = Source::Sidecar(text.to_owned());
        let mut endpoint =
            Endpoint::new(namespace, &format!("{namespace}-{number}"), &labels, source, lives_s);
        endpoint.always("rollcall_age_seconds", Course::Is(0.0));
        endpoint.session("in-step", 0, UNTIL_S);
        endpoint.always("rollcall_subscriptions", Course::Is(2.0));
        endpoint.always("rollcall_lookups_total{api=\"native\"}", Course::Grows(10.0));
        endpoint.always("rollcall_dns_queries_total{result=\"NOERROR\"}", Course::Grows(2.0));
        self.sidecars.push(endpoint);
    }

    /// What becomes of a sample at all controllers.
    pub fn at_all(&mut self, sample: &str, from_s: u64, until_s: u64, course: Course) {
        for controller in &mut self.controllers {
            controller.change(sample, from_s, until_s, course);
        }
    }

    /// What Prometheus gets to see.
    pub fn told(self) -> Result<Vec<Target>> {
        self.controllers.into_iter().chain(self.sidecars).map(Endpoint::told).collect()
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn new(namespace: &str, pod: &str, labels: &[(&str, &str)], source: Source, lives_s: (u64, u64)) -> Self {
        let own = [("namespace", namespace), ("pod", pod), ("instance", pod)];
        let labels =
            own.iter().chain(labels).map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        let pace = |_| Pace { propagation_s: 0.4, turn: Duration::from_micros(40) };
        Self { labels: labels.collect(), source, changes: Vec::new(), lives_s, silent_s: (0, 0), pace }
    }

    /// What becomes of a sample in this time.
    pub fn change(&mut self, sample: &str, from_s: u64, until_s: u64, course: Course) {
        self.changes.push(Change { sample: sample.to_owned(), from_s, until_s, course });
    }

    fn always(&mut self, sample: &str, course: Course) {
        self.change(sample, self.lives_s.0, UNTIL_S + STEP_S, course);
    }

    /// What a sidecar's session is like in this time; out of step, its age grows.
    pub fn session(&mut self, state: &str, from_s: u64, until_s: u64) {
        for other in ["never", "catching-up", "in-step", "lost"] {
            let sample = format!("rollcall_session_state{{state=\"{other}\"}}");
            self.change(&sample, from_s, until_s, Course::Is(if other == state { 1.0 } else { 0.0 }));
        }
        if state != "in-step" {
            self.change("rollcall_age_seconds", from_s, until_s, Course::Ages);
        }
    }

    fn told(self) -> Result<Target> {
        let (from_s, until_s) = self.lives_s;
        let mut scrapes = Vec::new();
        for at_s in (from_s..=UNTIL_S.min(until_s)).step_by(usize::try_from(STEP_S)?) {
            let gone = at_s >= until_s;
            let answers = !gone && !(self.silent_s.0..self.silent_s.1).contains(&at_s);
            let (content_type, text) = self.answer(at_s)?;
            scrapes.push(Scrape { at_s, content_type, text: answers.then_some(text), gone });
        }
        Ok(Target { labels: self.labels, scrapes })
    }

    fn answer(&self, at_s: u64) -> Result<(&'static str, String)> {
        let (content_type, mut text) = match &self.source {
            Source::Controller(metrics) => {
                let Pace { propagation_s, turn } = (self.pace)(at_s);
                metrics.propagated(propagation_s);
                (0..TURNS_OF_A_STEP).for_each(|_| metrics.turned(turn));
                (OPEN_METRICS, of_a_controller(metrics))
            }
            Source::Sidecar(text) => (OLDER_TEXT, text.clone()),
        };
        for change in self.changes.iter().filter(|change| change.from_s <= at_s) {
            text = change.made(&text, at_s)?;
        }
        Ok((content_type, text))
    }
}

// === impl Change ===

impl Change {
    /// The text with another number of the sample; a sample that is not in the text is a mistake of the story.
    fn made(&self, text: &str, at_s: u64) -> Result<String> {
        let line = text
            .lines()
            .find(|line| line.strip_prefix(&self.sample).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.with_context(|| format!("no sample {} is answered", self.sample))?;
        let is_over = at_s >= self.until_s;
        // Seconds of a story are few: none is lost.
        let lasted_s = u32::try_from(at_s.min(self.until_s) - self.from_s).map(f64::from)?;
        let number = match self.course {
            Course::Is(_) | Course::Ages if is_over => return Ok(text.to_owned()),
            Course::Is(number) => number,
            Course::Ages => lasted_s,
            Course::Grows(by) => line.rsplit(' ').next().unwrap_or_default().parse::<f64>()? + by * lasted_s,
        };
        Ok(text.replacen(&format!("\n{line}\n"), &format!("\n{} {number}\n", self.sample), 1))
    }
}
