//! The wiring: every part is a task, and the end of any of them is seen.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use kube::{Client, Config};
use rollcall_injection::Settings;
use rollcall_net::{
    Jitter, Kernel, LogFilter, Trigger, bind_any, client_config, raise_descriptors, server_config, shutdown,
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use crate::{
    admission::{self, Installation, Names, Trust},
    args::{Args, LivenessMode},
    auth::{KubeReviewer, user_of},
    ca::{Authority, CaError},
    index::{Index, ObjectKey},
    lease,
    operate::{Metrics, WriteCounts, api, health::Health},
    parts::Beneath,
    peers::{self, Means, peers},
    sessions::{DESCRIPTORS, Sessions},
    told,
};

/// The pause between two tries for the authority, drawn from this range: the API server may be starting as well.
const CA_RETRY_MAX: Duration = Duration::from_secs(5);
/// Reading the authority and, the first time, creating it: two or three small calls.
const AUTHORITY_MAX: Duration = Duration::from_secs(15);
/// The longest silence of the API server on a connection. A watch call ends after 60 s even where nothing happens;
/// whatever says nothing for longer than that is dead.
const READ_MAX: Duration = Duration::from_secs(75);
/// Sessions are sent to the other replicas within 5 s; so long, at most, everything else waits for those that are slow.
const LEAVE_MAX: Duration = Duration::from_secs(6);
/// All parts have ended by then, or are cut off: what sessions there still are say goodbye within 1.5 s.
const END_MAX: Duration = Duration::from_millis(1_900);

/// Runs the controller until it is told to end, or until a part of it does.
pub async fn run(args: Args, logs: LogFilter) -> anyhow::Result<()> {
    if let Some(descriptors) = raise_descriptors().filter(|descriptors| *descriptors < DESCRIPTORS) {
        warn!(
            descriptors,
            needed = DESCRIPTORS,
            "too few open files for all sessions: raise the limit of the container runtime"
        );
    }
    let client = client().await.context("no way to the API server: run in a cluster, or set KUBECONFIG")?;
    let ((trigger, ear), (farewell, leaving)) = (shutdown(), shutdown());
    let metrics = Metrics::new();
    let settings =
        admission::read_settings(args.injection_file.as_deref(), &args.service_name, &args.namespace)?;
    let beneath = Beneath {
        client: client.clone(),
        index: index(&args, &settings)?,
        lease: lease::Settings {
            namespace: args.namespace.clone(),
            name: args.lease_name.clone(),
            replica: args.replica.clone(),
        },
        metrics: metrics.clone(),
    };
    // Ports first: a conflict must fail the start, not the first request.
    let health_listener = bind_any(args.health_listen)
        .with_context(|| format!("--health-listen {}: cannot listen", args.health_listen))?;
    let sessions_listener = bind_any(args.sessions_listen)
        .with_context(|| format!("--sessions-listen {}: cannot listen", args.sessions_listen))?;
    let admission = admission(&args, settings)?;
    let read_listeners = api::listen(args.read_listen, args.read_listen_v6)?;

    let mut parts = JoinSet::new();
    let (index, asks_outside) = beneath.start(&mut parts, &ear);
    let (replicas, others) =
        peers(among(&args, sessions_listener.local_addr()?), index.clone(), metrics.clone());
    let (believed, belief) = oneshot::channel();
    let (peer_client, peer_ear) = (client.clone(), ear.clone());
    parts.spawn(async move {
        // Nobody is met before the process ends, where the authority never comes.
        let Ok(tls) = belief.await else { return Ok("peers") };
        let means = Means { client: peer_client, network: Arc::new(Kernel), tls, asks_outside };
        others.run(means, peer_ear).await?;
        Ok("peers")
    });
    let health = Health {
        index: index.clone(),
        serving: Arc::default(),
        admitting: Arc::new(AtomicBool::new(admission.is_none())),
        fleet: replicas.fleet(),
        leaving: Arc::default(),
        metrics: metrics.clone(),
    };
    let (trusted, trust) = oneshot::channel();
    if let Some((installation, listener)) = admission {
        let (client, metrics, ear) = (client.clone(), metrics.clone(), ear.clone());
        let admitting = health.admitting.clone();
        parts.spawn(async move {
            // Nobody is to be believed before the process ends, where the authority never comes.
            let Ok(trust) = trust.await else { return Ok("admission") };
            admission::run(installation, trust, client, listener, metrics, admitting, ear).await?;
            Ok("admission")
        });
    }
    let mut early = leaving.clone();
    let (serving, health_ear) = (health.serving.clone(), ear.clone());
    let (is_leaving, fleet) = (health.leaving.clone(), replicas.fleet());
    parts.spawn(async move {
        health.serve(health_listener, health_ear).await;
        Ok("health")
    });
    let api = api::Api::new(index.clone(), logs, &args.replica);
    for listener in read_listeners {
        let (api, ear) = (api.clone(), ear.clone());
        parts.spawn(async move {
            api.serve(listener, ear).await;
            Ok("read API")
        });
    }
    let mut ends = ear.clone();
    parts.spawn(async move {
        // A loop that waits for the API server must not outlive the word to end.
        let trust = tokio::select! {
            trust = authority(&client, &args, metrics.writes()) => trust?,
            () = early.requested() => return Ok("sessions"),
            () = ends.requested() => return Ok("sessions"),
        };
        let tls = server_config(trust.leaf.certificate_pem.as_bytes(), trust.leaf.key_pem.as_bytes())?;
        // They wait for it until the process ends.
        let _ = believed.send(client_config(trust.authority_pem.as_bytes())?);
        let (_telling, told) = told::feed(&trust.authority_pem);
        // Nobody waits for it without a webhook.
        let _ = trusted.send(trust);
        let replica_user = user_of(&args.namespace, &args.service_account);
        let reviewer = KubeReviewer { client, writes: metrics.writes().clone(), replica_user };
        let sessions = Sessions::among(replicas, args.replica.clone(), index, reviewer, metrics, told);
        serving.store(true, Ordering::Release);
        let leaves = async {
            early.requested().await;
            sessions.leave();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = sessions.clone().serve(sessions_listener, tls, ear) => served?,
            () = leaves => {}
        }
        Ok("sessions")
    });

    let result = tokio::select! {
        signal = Trigger::signalled() => {
            info!(signal = signal?, "shutting down");
            Ok(())
        }
        Some(ended) = parts.join_next() => match ended {
            Ok(Ok(part)) => Err(anyhow::anyhow!("{part} ended by itself; this is a bug")),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.into()),
        },
    };
    is_leaving.store(true, Ordering::Release);
    // Whoever is alone has nobody to send them to, and whoever is broken no time.
    if result.is_ok() && fleet.borrow().others.iter().any(|other| other.serves) {
        farewell.pull();
        leave(&mut parts).await;
    }
    trigger.pull();
    if timeout(END_MAX, async { while parts.join_next().await.is_some() {} }).await.is_err() {
        warn!("some parts were cut off");
    }
    result
}

/// Waits until all sessions are gone to other replicas, while everything else goes on; not for long, and not where somebody
/// is in a hurry.
async fn leave(parts: &mut JoinSet<anyhow::Result<&'static str>>) {
    tokio::select! {
        ended = parts.join_next() => match ended {
            Some(Ok(Ok("sessions"))) => debug!("all sessions are gone"),
            other => warn!(?other, "a part ended before the sessions were gone"),
        },
        _ = Trigger::signalled() => info!("told to end again: the sessions that are left are cut"),
        () = sleep(LEAVE_MAX) => info!("some sessions are slow to go"),
    }
}

/// Who we are among the replicas, which all have their sessions on the same port.
fn among(args: &Args, sessions: SocketAddr) -> peers::Settings {
    peers::Settings {
        replica: args.replica.clone(),
        namespace: args.namespace.clone(),
        lease_name: args.lease_name.clone(),
        port: sessions.port(),
        named: args.peers.clone(),
        token_file: args.replica_token_file.clone(),
    }
}

/// An index as the flags and the settings want it.
fn index(args: &Args, settings: &Settings) -> anyhow::Result<Index> {
    let namespace = args.namespace.parse().with_context(|| format!("--namespace {}", args.namespace))?;
    let lease = ObjectKey { namespace, name: args.lease_name.as_str().into() };
    let (own, observes) = (lease.namespace.clone(), args.liveness_mode == LivenessMode::Observe);
    let service = ObjectKey { namespace: own.clone(), name: args.service_name.as_str().into() };
    let index = Index::allowing(args.allowed_addresses.clone())
        .speaking_of(lease)
        .behind(service)
        .observing(observes);
    Ok(match &args.webhook {
        Some(_) => index.expecting_sidecars(settings.namespaces.clone(), own),
        None => index,
    })
}

/// What is injected, and where the API server asks for it; none where it is not to ask.
fn admission(args: &Args, settings: Settings) -> anyhow::Result<Option<(Installation, TcpListener)>> {
    let Some(names) = Names::of(args) else { return Ok(None) };
    let dns = admission::cluster_dns(&args.namespace);
    let listener = bind_any(args.admission_listen)
        .with_context(|| format!("--admission-listen {}: cannot listen", args.admission_listen))?;
    Ok(Some((Installation { names, settings, dns }, listener)))
}

/// The way to the API server.
async fn client() -> anyhow::Result<Client> {
    Ok(Client::try_from(tuned(Config::infer().await?))?)
}

fn tuned(mut config: Config) -> Config {
    // Retries beneath our own would multiply them, and hide from the back-off that anything is wrong.
    config.default_retry = false;
    config.read_timeout = Some(READ_MAX);
    // The limit counts from the question, not from when its connection went idle.
    config.reset_reader_on_write = true;
    config
}

/// The certificate for sessions and the webhook, and whose it is. An API server that is away is waited for; a broken Secret is not.
async fn authority(client: &Client, args: &Args, writes: &WriteCounts) -> anyhow::Result<Trust> {
    let names = Names::of(args).map(|names| names.of_certificate().to_vec()).unwrap_or_default();
    let mut jitter = Jitter::from_entropy();
    loop {
        let load = Authority::load_or_create(client.clone(), &args.namespace, &args.ca_secret, writes);
        match timeout(AUTHORITY_MAX, load).await {
            Ok(Ok(authority)) => {
                let leaf = authority.leaf_also_for(&args.ca_secret, &names)?;
                let secret = args.ca_secret.clone();
                return Ok(Trust { authority_pem: authority.certificate_pem, secret, leaf });
            }
            Ok(Err(CaError::Api(place, source))) => {
                error!(place, error = %source, "the authority cannot be read or created, and is tried again");
            }
            Ok(Err(broken)) => bail!(broken),
            Err(_) => error!(limit = ?AUTHORITY_MAX, "no answer about the authority, and it is tried again"),
        }
        sleep(jitter.up_to(CA_RETRY_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rollcall_catalogue::{PodFacts, liveness::PodLife};
    use rollcall_injection::Wish;

    use super::*;
    use crate::index::{Change, InjectionFacts, PodSeen};

    #[tokio::test(start_paused = true)]
    async fn an_end_waits_for_sessions_that_go_and_not_for_long() {
        let table = [(Some(2), 2), (Some(60), LEAVE_MAX.as_secs()), (None, LEAVE_MAX.as_secs())];
        for (gone_after_seconds, expected_seconds) in table {
            let mut parts = JoinSet::new();
            parts.spawn(std::future::pending());
            if let Some(after) = gone_after_seconds {
                parts.spawn(async move {
                    sleep(Duration::from_secs(after)).await;
                    Ok("sessions")
                });
            }
            let begin = tokio::time::Instant::now();
            leave(&mut parts).await;
            assert_eq!(begin.elapsed().as_secs(), expected_seconds, "{gone_after_seconds:?}");
        }
        assert!(LEAVE_MAX + END_MAX <= Duration::from_secs(8), "in all");
    }

    #[test]
    fn sidecars_are_expected_where_there_is_a_webhook_and_not_in_our_own_namespace() {
        for (flags, missed) in [
            (&["--webhook=a", "--namespace=own"][..], 1),
            (&["--webhook=a", "--namespace=shop"], 0),
            (&["--namespace=own"], 0),
        ] {
            let args = Args::try_parse_from([&["controller"], flags].concat()).unwrap();
            let mut index = index(&args, &Settings::default()).unwrap();
            let injection = InjectionFacts { wish: Wish::Asked, exemption: None };
            let facts = PodFacts {
                uid: "u1".into(),
                namespace: "shop".parse().unwrap(),
                name: "orders-1".into(),
                node: None,
                addresses: Default::default(),
                labels: Arc::default(),
                has_sidecar: false,
                asks_to_drain: false,
                registration: None,
                life: PodLife::READY,
            };
            index.apply(Change::Pod(Box::new(PodSeen { injection, ..facts.into() })));
            assert_eq!(index.without_sidecar().missed, missed, "{flags:?}");
        }
    }

    #[test]
    fn our_back_off_is_the_only_one() {
        let config = tuned(Config::new(http::Uri::from_static("https://api.example")));
        assert!(!config.default_retry);
        assert!(config.read_timeout.is_some() && config.connect_timeout.is_some());
    }
}
