//! The wiring: every part is a task, and the end of any of them is seen.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::Context;
use kube::{Client, Config};
use rollcall_injection::Settings;
use rollcall_net::{
    Kernel, LogFilter, Shutdown, Trigger, bind_any, raise_descriptors, server_config_showing, shutdown,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    admission::{self, Installation, Names},
    args::{Args, LivenessMode},
    auth::{KubeReviewer, user_of},
    authority::{self, Terms, Trust},
    index::{Index, ObjectKey},
    lease,
    operate::{Metrics, api, health::Health},
    parts::Beneath,
    peers::{self, Means, peers},
    sessions::{Consumers, DESCRIPTORS, Sessions},
};

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
    let terms = args.terms()?;
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
    let (trusted, trust) = watch::channel(None);
    let keeping = authority(&args, terms, client.clone(), metrics.clone());
    let keeper_ear = ear.clone();
    parts.spawn(async move {
        keep(keeping, trusted, keeper_ear).await?;
        Ok("authority")
    });
    let (peer_client, mut peer_ear) = (client.clone(), ear.clone());
    let mut peer_trust = trust.clone();
    parts.spawn(async move {
        let Some(trust) = trust_of(&mut peer_trust, &mut peer_ear).await else { return Ok("peers") };
        let means =
            Means { client: peer_client, network: Arc::new(Kernel), tls: trust.believed, asks_outside };
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
        beside: None,
    };
    if let Some((installation, listener)) = admission {
        let (client, metrics, mut ear) = (client.clone(), metrics.clone(), ear.clone());
        let (admitting, mut trust) = (health.admitting.clone(), trust.clone());
        parts.spawn(async move {
            let Some(trust) = trust_of(&mut trust, &mut ear).await else { return Ok("admission") };
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
    let consumers = Consumers::default();
    let api = api::Api::new(index.clone(), consumers.clone(), logs, &args.replica);
    for listener in read_listeners {
        let (api, ear) = (api.clone(), ear.clone());
        parts.spawn(async move {
            api.serve(listener, ear).await;
            Ok("read API")
        });
    }
    let (mut ends, mut trust) = (ear.clone(), trust);
    parts.spawn(async move {
        // Whoever waits for the API server must not outlive the word to end.
        let trust = tokio::select! {
            trust = trust_of(&mut trust, &mut ends) => trust,
            () = early.requested() => None,
        };
        let Some(trust) = trust else { return Ok("sessions") };
        let told = trust.told.subscribe();
        let tls = server_config_showing(trust.shown)?;
        let replica_user = user_of(&args.namespace, &args.service_account);
        let reviewer = KubeReviewer { client, writes: metrics.writes().clone(), replica_user };
        let sessions =
            Sessions::shown_by(&consumers, replicas, args.replica.clone(), index, reviewer, metrics, told);
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

/// What the authority is kept by.
fn authority(args: &Args, terms: Terms, client: Client, metrics: Metrics) -> authority::Setting {
    authority::Setting {
        client,
        namespace: args.namespace.clone(),
        secret: args.ca_secret.clone(),
        source: args.authority_secret_from.clone(),
        lease_name: args.lease_name.clone(),
        replica: args.replica.clone(),
        terms,
        names: Names::of(args).map(|names| names.of_certificate().to_vec()).unwrap_or_default(),
        metrics,
        clock: Arc::new(SystemTime::now),
    }
}

/// Keeps the authority until the process ends; everyone else hears of it as soon as there is one.
async fn keep(
    setting: authority::Setting,
    trusted: watch::Sender<Option<Trust>>,
    mut ear: Shutdown,
) -> anyhow::Result<()> {
    let (keeper, trust) = tokio::select! {
        begun = authority::begin(setting) => begun?,
        () = ear.requested() => return Ok(()),
    };
    trusted.send_replace(Some(trust));
    keeper.run(ear).await;
    Ok(())
}

/// Whom to believe and what to show, once that is known; none where the process is to end before.
async fn trust_of(trust: &mut watch::Receiver<Option<Trust>>, ear: &mut Shutdown) -> Option<Trust> {
    tokio::select! {
        known = trust.wait_for(Option::is_some) => known.ok().and_then(|trust| trust.clone()),
        () = ear.requested() => None,
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
