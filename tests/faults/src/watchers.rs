//! Lookups in pods, all the time: each by a thread in the pod's own network, through its localhost.
//!
//! Not by a program in the pod: that one would have to be copied there, and what it wrote down be fetched from a node that may
//! be cut off; and a shell that starts a program for each question would take the processor from those whom it asks.

use std::{
    fs::File,
    mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use serde::Deserialize;

use crate::{Caller, Client, History, Instance, Look, Said, Told};

/// Where every sidecar answers its app.
const LOOKUPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7300);

/// Says where somebody looks.
#[derive(Debug, Clone)]
pub struct Subject {
    pub client: Client,
    /// The file of its network.
    pub network: PathBuf,
}

/// Holds those who look, until they are told to end.
#[derive(Debug)]
pub struct Watchers {
    begin: Instant,
    end: Arc<AtomicBool>,
    running: Vec<JoinHandle<Result<History>>>,
}

/// Holds what one client knows while it asks.
struct Watcher {
    begin: Instant,
    caller: Caller,
    services: Vec<Service>,
    looks: Vec<Look>,
}

/// Holds a service, and its last answer: most are the same again.
struct Service {
    name: Arc<str>,
    path: String,
    body: Vec<u8>,
    instances: Arc<[Instance]>,
    revision: u64,
}

#[derive(Deserialize)]
struct Body {
    revision: u64,
    instances: Vec<Instance>,
}

// === impl Watchers ===

impl Watchers {
    /// All of them look all services up, once in so long, from now on. Their times count from this beginning.
    pub fn begin(begin: Instant, subjects: &[Subject], services: &[&str], each: Duration) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let running = subjects.iter().zip(0..).map(|(subject, number)| {
            let (subject, end) = (subject.clone(), end.clone());
            let services = services.iter().map(|name| Service::new(name)).collect();
            // Not all at the same moment.
            let first = begin.elapsed() + each * number / u32::try_from(subjects.len()).unwrap_or(1).max(1);
            thread::spawn(move || {
                let network =
                    File::open(&subject.network).with_context(|| subject.network.display().to_string())?;
                // Only this thread moves there, and it ends with the watch.
                setns(network, CloneFlags::CLONE_NEWNET)?;
                let watcher = Watcher { begin, caller: Caller::new(LOOKUPS), services, looks: Vec::new() };
                let looks = watcher.watch(first, each, &end);
                Ok(History { client: subject.client, from_ms: whole_ms(first), until_ms: None, looks })
            })
        });
        Self { begin, end: end.clone(), running: running.collect() }
    }

    /// How long they have looked.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Each ends with its next question; nobody waits for that.
    pub fn stop(&self) {
        self.end.store(true, Ordering::Relaxed);
    }

    /// Ends them, and gives what they were told.
    pub fn finish(mut self) -> Result<Vec<History>> {
        self.stop();
        let ended = mem::take(&mut self.running)
            .into_iter()
            .map(|running| running.join().map_err(|_| anyhow!("a watcher died"))?);
        ended.collect()
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Watcher ===

impl Watcher {
    fn watch(mut self, first: Duration, each: Duration, end: &AtomicBool) -> Vec<Look> {
        let mut due = first;
        while !end.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_sub(self.begin.elapsed()));
            for number in 0..self.services.len() {
                self.look(number);
            }
            // Who was late asks on from now: questions that were not asked tell nothing.
            due = (due + each).max(self.begin.elapsed());
        }
        self.looks
    }

    fn look(&mut self, number: usize) {
        let Some(service) = self.services.get_mut(number) else { return };
        let asked_ms = millis(self.begin);
        let said = match service.ask(&mut self.caller) {
            Ok(told) => Said::Told(told),
            Err(error) => Said::Failed(format!("{error:#}")),
        };
        let answered_ms = millis(self.begin);
        self.looks.push(Look { asked_ms, answered_ms, service: service.name.clone(), said });
    }
}

// === impl Service ===

impl Service {
    fn new(name: &str) -> Self {
        let path = format!("/v1/services/{name}");
        Self { name: name.into(), path, body: Vec::new(), instances: Arc::default(), revision: 0 }
    }

    fn ask(&mut self, caller: &mut Caller) -> Result<Told> {
        let answer = caller.get(&self.path)?;
        if answer.status != 200 {
            return Err(anyhow!("{}", answer.text()));
        }
        let age_s = answer.header("age").context("no Age")?.parse().context("its Age")?;
        let is_live = answer.header("x-rollcall-source") == Some("live");
        if answer.body != self.body {
            let body: Body = serde_json::from_slice(answer.body).context("its body")?;
            (self.instances, self.revision) = (body.instances.into(), body.revision);
            answer.body.clone_into(&mut self.body);
        }
        Ok(Told { instances: self.instances.clone(), revision: self.revision, age_s, is_live })
    }
}

fn millis(begin: Instant) -> u64 {
    whole_ms(begin.elapsed())
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What one client is told of these services now.
pub fn ask_once(subject: &Subject, services: &[&str]) -> Result<Vec<Told>> {
    let network = File::open(&subject.network).with_context(|| subject.network.display().to_string())?;
    let mut services: Vec<_> = services.iter().map(|name| Service::new(name)).collect();
    let asking = thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET)?;
        let mut caller = Caller::new(LOOKUPS);
        services.iter_mut().map(|service| service.ask(&mut caller)).collect()
    });
    asking.join().map_err(|_| anyhow!("a question died"))?
}
