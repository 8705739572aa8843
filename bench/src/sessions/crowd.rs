//! The crowd: as many clients as sidecars are wanted.

use std::{
    iter::once,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use rollcall_catalogue::ServiceKey;
use rollcall_cluster::interrupt;
use rollcall_net::client_config;
use rollcall_wire::client::{Client, Event};
use rustls::ClientConfig;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    HELD,
    link::{News, converse},
    seen::Seen,
    told::Told,
};
use crate::fleet::{INSTANCES, key};

/// How often it is looked whether all have come so far.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A refused one comes back after this; the controller says when, and the crowd is less patient.
const PAUSE: Duration = Duration::from_millis(200);

/// Holds all clients, and what they were told.
pub(crate) struct Crowd {
    members: Vec<Arc<Member>>,
    tasks: Mutex<JoinSet<()>>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Holds where a controller has its sessions, and by whom it is known.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// Who signs for it, in PEM.
    pub(crate) authority: String,
}

struct Member {
    number: u32,
    token: String,
    client: tokio::sync::Mutex<Client>,
    in_step: watch::Sender<bool>,
    tls: Arc<ClientConfig>,
}

struct Shared {
    all_hold: ServiceKey,
    told: Mutex<Told>,
    measuring: AtomicBool,
}

// === impl Crowd ===

impl Crowd {
    /// Of clients that hold nothing, and no tickets: one for each of these tokens, in a cluster of so many instances. The name
    /// sets them apart from another crowd of the same pods: to the controller they are new processes, and no late ones of the
    /// other.
    pub(crate) fn new(name: &str, door: &Door, instances: u32, tokens: &[String]) -> anyhow::Result<Self> {
        Self::of(name, door, &(0..instances / INSTANCES).map(key).collect::<Vec<_>>(), tokens)
    }

    /// The same in a cluster of these services, of which the first one (`ALL_HOLD`) is everyone's.
    pub(crate) fn of(
        name: &str,
        door: &Door,
        services: &[ServiceKey],
        tokens: &[String],
    ) -> anyhow::Result<Self> {
        let (all_hold, others) = services.split_first().context("no services")?;
        ensure!(others.len() >= HELD as usize, "too few services");
        let member = |(number, token): (u32, &String)| {
            let mut client = Client::new(format!("{name}-{number}"), usize::MAX);
            // One service is everyone's, the first; the others lie apart.
            let own = (1..HELD)
                .filter_map(|n| others.get((number.wrapping_mul(31) + n * 97) as usize % others.len()));
            client.subscribe(once(all_hold).chain(own).cloned());
            let tls = client_config(door.authority.as_bytes())?;
            let (client, token) = (tokio::sync::Mutex::new(client), token.clone());
            anyhow::Ok(Arc::new(Member { number, token, client, in_step: watch::channel(false).0, tls }))
        };
        let members = (0..).zip(tokens).map(member).collect::<Result<_, _>>()?;
        let shared =
            Shared { all_hold: all_hold.clone(), told: Mutex::default(), measuring: AtomicBool::default() };
        Ok(Self { members, tasks: Mutex::default(), address: door.address, shared: Arc::new(shared) })
    }

    /// All of them, at once.
    pub(crate) fn connect(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for member in &self.members {
            tasks.spawn(member.clone().run(self.address, self.shared.clone()));
        }
    }

    /// All of them, at once, without a word; none of them does anything any more.
    pub(crate) async fn disconnect(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        for member in &self.members {
            member.in_step.send_replace(false);
        }
    }

    pub(crate) async fn in_step(&self, patience: Duration) -> anyhow::Result<()> {
        let all = async {
            for member in &self.members {
                while !*member.in_step.borrow() {
                    interrupt::check()?;
                    sleep(LOOK_EVERY).await;
                }
            }
            anyhow::Ok(())
        };
        match timeout(patience, all).await {
            Ok(all) => all,
            Err(_) => anyhow::bail!("{} are missing", self.members.len() - self.how_many_in_step()),
        }
    }

    /// Returns once all have noticed that the controller is gone: their sockets say so at once.
    pub(crate) async fn all_lost(&self, patience: Duration) -> anyhow::Result<()> {
        let all = async {
            while self.how_many_in_step() > 0 {
                interrupt::check()?;
                sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(())
        };
        match timeout(patience, all).await {
            Ok(lost) => lost,
            Err(_) => {
                anyhow::bail!("{} have not noticed that the controller is gone", self.how_many_in_step())
            }
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// How many are in step.
    pub(crate) fn how_many_in_step(&self) -> usize {
        self.members.iter().filter(|member| *member.in_step.borrow()).count()
    }

    /// Until all were told of so many changes of the service that all hold, or the patience is over.
    pub(crate) async fn told_of_all(&self, changes: usize, patience: Duration) {
        let deliveries = changes * self.members.len();
        let all = async {
            while self.shared.told().of_all() < deliveries {
                sleep(LOOK_EVERY).await;
            }
        };
        // Whoever asks counts what is missing then.
        let _ = timeout(patience, all).await;
    }

    pub(crate) fn measure(&self, on: bool) {
        self.shared.measuring.store(on, Ordering::Relaxed);
    }

    pub(crate) fn told(&self) -> Told {
        std::mem::take(&mut *self.shared.told())
    }
}

// === impl Member ===

impl Member {
    /// Each has an address of its own, as pods do: the controller takes only so many from one.
    fn address(&self) -> Ipv4Addr {
        let [_, _, high, low] = self.number.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    }

    async fn run(self: Arc<Self>, address: SocketAddr, shared: Arc<Shared>) {
        let begin = Instant::now();
        let mut client = self.client.lock().await;
        let mut seen = Seen::default();
        loop {
            client.closed();
            let ended = converse(
                (self.address(), address),
                self.tls.clone(),
                &self.token,
                &mut client,
                begin,
                |news, client| {
                    shared.hear(&news, &mut seen);
                    let in_step = client.in_step();
                    self.in_step.send_if_modified(|held| std::mem::replace(held, in_step) != in_step);
                },
            );
            let Err(error) = ended.await else { return };
            self.in_step.send_replace(false);
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

    fn hear(&self, news: &News, seen: &mut Seen) {
        let is_measuring = self.measuring.load(Ordering::Relaxed);
        match news {
            News::Bytes(bytes) if is_measuring => self.told().came(*bytes),
            News::Said(bytes) if is_measuring => self.told().went(*bytes),
            News::Event(event) => {
                if let Event::Changed { key, service } = &**event {
                    let now_ns = now_ns();
                    // What was changed before is seen as well: later it would be taken for new.
                    for change in seen.news(key, service) {
                        if is_measuring {
                            let is_of_all = *key == self.all_hold;
                            self.told().one(change.made_ns, now_ns, is_of_all, || change.ideal_bytes());
                        }
                    }
                }
            }
            News::Bytes(_) | News::Said(_) => {}
        }
    }
}

pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
