//! The crowd: as many clients as sidecars are wanted.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::ensure;
use rollcall_catalogue::Service;
use rollcall_net::client_config;
use rollcall_wire::{Client, ClientEvent};
use rustls::ClientConfig;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    HELD,
    link::{News, converse},
    told::Told,
};
use crate::fleet::{INSTANCES, key, uid};

/// What a change carries: the moment at which it was made.
pub(super) const MADE: &str = "made";
/// How often it is looked whether all are in step.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A refused one comes back after this; the controller says when, and the crowd is less patient.
const PAUSE: Duration = Duration::from_millis(200);

/// Holds all clients, and what they were told.
pub(super) struct Crowd {
    members: Vec<Arc<Member>>,
    tasks: Mutex<JoinSet<()>>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Member {
    number: u32,
    client: tokio::sync::Mutex<Client>,
    in_step: watch::Sender<bool>,
    tls: Arc<ClientConfig>,
}

#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    measuring: AtomicBool,
}

// === impl Crowd ===

impl Crowd {
    pub(super) fn new(
        address: SocketAddr,
        authority: &str,
        instances: u32,
        sessions: usize,
    ) -> anyhow::Result<Self> {
        let services = instances / INSTANCES;
        ensure!(services > HELD, "too few services");
        let member = |number: u32| {
            let mut client = Client::new(format!("crowd-{number}"));
            // The first service is everyone's; the others lie apart.
            let others = (1..HELD).map(|n| 1 + (number.wrapping_mul(31) + n * 97) % (services - 1));
            client.subscribe([0].into_iter().chain(others).map(key));
            let tls = client_config(authority.as_bytes())?;
            let client = tokio::sync::Mutex::new(client);
            anyhow::Ok(Arc::new(Member { number, client, in_step: watch::channel(false).0, tls }))
        };
        let members = (0..u32::try_from(sessions)?).map(member).collect::<Result<_, _>>()?;
        Ok(Self { members, tasks: Mutex::default(), address, shared: Arc::default() })
    }

    /// All of them, at once.
    pub(super) fn connect(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for member in &self.members {
            tasks.spawn(member.clone().run(self.address, self.shared.clone()));
        }
    }

    /// All of them, at once, without a word.
    pub(super) fn disconnect(&self) {
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = JoinSet::new();
        for member in &self.members {
            member.in_step.send_replace(false);
        }
    }

    pub(super) async fn in_step(&self, patience: Duration) -> anyhow::Result<()> {
        let all = async {
            for member in &self.members {
                while !*member.in_step.borrow() {
                    sleep(LOOK_EVERY).await;
                }
            }
        };
        if timeout(patience, all).await.is_err() {
            let missing = self.members.iter().filter(|member| !*member.in_step.borrow()).count();
            anyhow::bail!("{missing} are missing");
        }
        Ok(())
    }

    pub(super) fn measure(&self, on: bool) {
        self.shared.measuring.store(on, Ordering::Relaxed);
    }

    pub(super) fn told(&self) -> Told {
        std::mem::take(&mut *self.shared.told())
    }
}

// === impl Member ===

impl Member {
    async fn run(self: Arc<Self>, address: SocketAddr, shared: Arc<Shared>) {
        let token = uid(self.number);
        let begin = Instant::now();
        let mut client = self.client.lock().await;
        loop {
            client.closed(0);
            let ended = converse(address, self.tls.clone(), &token, &mut client, begin, |news, client| {
                shared.hear(&news);
                let in_step = client.in_step();
                self.in_step.send_if_modified(|held| std::mem::replace(held, in_step) != in_step);
            });
            let Err(error) = ended.await else { return };
            if std::env::var_os("ROLLCALL_BENCH_SAYS_WHY").is_some() {
                eprintln!("session {}: {error:#}", self.number);
            }
            sleep(PAUSE).await;
        }
    }
}

// === impl Shared ===

impl Shared {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, news: &News) {
        if !self.measuring.load(Ordering::Relaxed) {
            return;
        }
        match news {
            News::Bytes(bytes) => self.told().came(*bytes),
            News::Event(event) => {
                if let ClientEvent::Changed { service, .. } = &**event
                    && let Some((made_ns, ideal)) = newest(service)
                {
                    self.told().one(made_ns, now_ns(), ideal);
                }
            }
        }
    }
}

/// The newest change of this service, and the bytes of the one instance that it is of.
fn newest(service: &Service) -> Option<(u64, usize)> {
    let changed = service.instances.iter().filter_map(|one| {
        let made: u64 = one.profile.metadata.get(MADE)?.parse().ok()?;
        Some((made, one))
    });
    let (made, one) = changed.max_by_key(|(made, _)| *made)?;
    Some((made, serde_json::to_vec(one).map_or(0, |json| json.len())))
}

pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
