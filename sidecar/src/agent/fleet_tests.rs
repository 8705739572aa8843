//! The agent among replicas that a test plays: real TLS and HTTP/2 over a network of the test's own, in virtual time.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use clap::Parser;
use futures::{FutureExt, future::BoxFuture, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollcall_catalogue::{ContentHash, Instance, Policy, Service, changes::Head, changes::Position};
use rollcall_controller::Authority;
use rollcall_net::{Stream, server_config};
use rollcall_wire::{Decoder, Down, PodIdentity, SERVING, Upsert, encode};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{advance, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::*;
use crate::{
    finder::Find,
    prestop::prestop,
    store::{Known, Store, store},
};

/// The promises: of a replica that is gone, and of one that stands still.
const LOST_MAX: Duration = Duration::from_secs(2);
const FROZEN_MAX: Duration = Duration::from_secs(6);
const CONFIGURED: u8 = 100;

/// Says what a replica tells.
#[derive(Debug, Clone, Default)]
struct Script {
    /// The instances of `orders`; none where there is no such service.
    orders: Vec<u8>,
    position: u64,
    replicas: Vec<u8>,
    goaway: Option<(&'static str, Option<u8>)>,
    /// Its callers are told to go there.
    stands_by_for: Option<u8>,
    /// Where it says that the controller is.
    controller: Option<u8>,
}

#[derive(Debug)]
struct Replica {
    script: watch::Sender<Script>,
    /// It does nothing, and its kernel takes connections all the same.
    frozen: Arc<AtomicBool>,
    connections: Mutex<JoinSet<()>>,
}

/// Says what is at an address.
#[derive(Debug, Clone)]
enum Place {
    Replica(Arc<Replica>),
    Nobody,
    /// Packets are lost.
    Void,
    /// Any of the replicas, the first one that lives.
    Any,
}

#[derive(Debug)]
struct Fleet {
    tls: Arc<ServerConfig>,
    places: Mutex<BTreeMap<u8, Place>>,
    dials: Mutex<Vec<(Instant, u8)>>,
    /// Where the controller is by DNS, and when that was asked.
    by_dns: Mutex<Vec<u8>>,
    lookups: Mutex<Vec<Instant>>,
}

/// Holds the way to the fleet's DNS.
struct ByDns(Arc<Fleet>);

impl Find for ByDns {
    fn find(&self, port: u16) -> BoxFuture<'_, Vec<SocketAddr>> {
        async move {
            assert_eq!(port, 7310, "that of the address");
            self.0.lookups.lock().unwrap().push(Instant::now());
            let found = self.0.by_dns.lock().unwrap().iter().copied().map(at).collect();
            // As long as a real one may take.
            sleep(Duration::from_secs(5)).await;
            found
        }
        .boxed()
    }
}

/// Holds an agent in session with the fleet.
struct World {
    fleet: Arc<Fleet>,
    store: Store,
    errands: Errands,
    _parts: JoinSet<()>,
    _files: tempfile::TempDir,
}

/// A connection of a process that may stand still.
struct Freezing(DuplexStream, Arc<AtomicBool>);

fn at(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 7310).into()
}

fn orders(revision: u64, numbers: &[u8]) -> Down {
    let key: ServiceKey = "orders.shop".parse().unwrap();
    let instance = |number: &u8| -> Arc<Instance> {
        let json = serde_json::json!({
            "id": format!("u{number}-8080"), "address": format!("10.1.0.{number}"), "port": 8080,
            "ports": {"http": 8080}, "weight": 100, "state": "Serving", "reason": "Ready", "revision": 1,
        });
        Arc::new(serde_json::from_value(json).unwrap())
    };
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let service = Service::of(head, numbers.iter().map(instance).collect());
    Down::Upsert(Upsert {
        revision,
        hash: service.content_hash(&key),
        service: key,
        base: None,
        policy: head.policy,
        truncated: false,
        instances: service.instances.iter().cloned().collect(),
        removed: vec![],
        more: false,
    })
}

// === impl Freezing ===

impl AsyncRead for Freezing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.1.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.0).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Freezing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.1.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.0).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

// === impl Fleet ===

impl Network for Fleet {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let number = (0..=u8::MAX).find(|number| at(*number) == address).unwrap();
            self.dials.lock().unwrap().push((Instant::now(), number));
            let places = self.places.lock().unwrap().clone();
            let first = || places.values().find(|place| matches!(place, Place::Replica(_)));
            let place = match places.get(&number) {
                Some(Place::Any) => first(),
                place => place,
            };
            match place.cloned() {
                Some(Place::Replica(replica)) => {
                    let (near, far) = duplex(64 * 1024);
                    let frozen = replica.frozen.clone();
                    let task = serve(self.tls.clone(), Freezing(far, frozen), replica.clone());
                    replica.connections.lock().unwrap().spawn(task);
                    Ok(Box::new(near) as Box<dyn Stream>)
                }
                Some(Place::Void) => std::future::pending().await,
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
        .boxed()
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn serve(tls: Arc<ServerConfig>, stream: Freezing, replica: Arc<Replica>) {
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let replica = replica.clone();
        async move { Ok::<_, Infallible>(answer(request.into_body(), &replica)) }
    });
    // However it ends, the next one begins anew.
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn answer(body: Incoming, replica: &Arc<Replica>) -> Answer {
    let (frames, taken) = mpsc::channel::<Bytes>(64);
    let body_of = |taken| {
        let frames = stream::unfold(taken, |mut taken: mpsc::Receiver<Bytes>| async move {
            Some((Ok::<_, Infallible>(Frame::data(taken.recv().await?)), taken))
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    };
    if let Some(other) = replica.script.borrow().stands_by_for {
        drop(frames);
        let away = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        return away.header(SERVING, at(other).to_string()).body(body_of(taken)).unwrap();
    }
    // With the connection it ends when nobody takes its frames.
    tokio::spawn(session(body, frames, replica.clone()));
    Response::new(body_of(taken))
}

async fn session(mut body: Incoming, frames: mpsc::Sender<Bytes>, replica: Arc<Replica>) -> Option<()> {
    let mut told = replica.script.subscribe();
    let mut decoder = Decoder::<Up>::default();
    let mut beat = interval(Duration::from_secs(3));
    let position = |script: &Script| {
        let mut position = Position::default();
        position.saw("pods", script.position);
        position
    };
    let script = told.borrow().clone();
    let pod: PodIdentity = serde_json::from_str(r#"{"namespace":"shop","name":"web-1","uid":"u9"}"#).unwrap();
    let welcome = Down::Welcome {
        protocol: rollcall_wire::PROTOCOL.to_owned(),
        replica: "played".to_owned(),
        epoch: format!("{:p}", Arc::as_ptr(&replica)),
        replicas: script.replicas.iter().copied().map(at).collect(),
        ca: None,
        controller: script.controller.map(at),
        pod,
        position: position(&script),
        changed: Default::default(),
    };
    frames.send(encode(&welcome).unwrap().into()).await.ok()?;
    let (mut names, mut cursor, mut last) = (Vec::new(), 0, None);
    loop {
        let mut due = Vec::new();
        tokio::select! {
            chunk = body.frame() => decoder.push(&chunk?.ok()?.into_data().ok()?),
            _ = beat.tick() => due.push(Down::Heartbeat),
            // Only of what it tells, not of how far it has read: that is to be asked for.
            Ok(()) = told.changed() => {}
        }
        let script = told.borrow().clone();
        if let Some((reason, dial)) = script.goaway {
            let goaway = Down::Goaway { reason: reason.to_owned(), dial: dial.map(at) };
            frames.send(encode(&goaway).unwrap().into()).await.ok()?;
            return None;
        }
        let mut asked = Vec::new();
        while let Some(frame) = decoder.next_frame().ok()? {
            match frame {
                // What is held goes by `remove` only.
                Up::Hello { held, .. } => last = (!held.is_empty()).then(|| vec![0]),
                Up::Subscribe { services, .. } => {
                    asked.extend(services.iter().map(|name| name.resolve(&"shop".parse().unwrap())));
                }
                _ => {}
            }
        }
        names.extend(asked.iter().cloned());
        let is_news = !names.is_empty() && last.as_ref() != Some(&script.orders);
        if is_news && !script.orders.is_empty() {
            cursor += 1;
            due.push(orders(cursor, &script.orders));
        } else if is_news && last.as_ref().is_some_and(|last: &Vec<u8>| !last.is_empty()) {
            due.push(Down::Remove { service: "orders.shop".parse().unwrap(), ids: vec![] });
        }
        if is_news || !asked.is_empty() {
            last = Some(script.orders.clone());
            due.push(Down::Synced {
                cursor,
                services: asked,
                summary: false,
                position: position(&script),
                changed: Default::default(),
            });
        }
        for frame in due {
            frames.send(encode(&frame).unwrap().into()).await.ok()?;
        }
    }
}

// === impl World ===

impl World {
    /// An agent in step with the first of so many replicas, which all tell the same.
    async fn new(replicas: u8) -> Self {
        let authority = Authority::generate("test").unwrap();
        let leaf = authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let token = files.path().join("token");
        std::fs::write(&token, "token-of-u9").unwrap();
        let all: Vec<u8> = (1..=replicas).collect();
        let replica = |number: &u8| {
            // Each names itself first.
            let others = all.iter().filter(|other| *other != number);
            let replicas = [*number].into_iter().chain(others.copied()).collect();
            let script = Script { orders: vec![1, 2], position: 5, replicas, ..Script::default() };
            let frozen = Arc::<AtomicBool>::default();
            let replica =
                Replica { script: watch::Sender::new(script), frozen, connections: Mutex::default() };
            (*number, Place::Replica(Arc::new(replica)))
        };
        let mut places: BTreeMap<_, _> = all.iter().map(replica).collect();
        places.insert(CONFIGURED, Place::Any);
        let fleet = Arc::new(Fleet {
            tls,
            places: Mutex::new(places),
            dials: Mutex::default(),
            by_dns: Mutex::default(),
            lookups: Mutex::default(),
        });
        let args = Args::parse_from([
            "sidecar".to_owned(),
            format!("--controller={}", at(CONFIGURED)),
            format!("--token-file={}", token.display()),
        ]);
        let (writer, store) = store();
        let (errands, inbox) = errands();
        let (_, hooks) = prestop(store.clone());
        let trust = Trust::new(&authority.certificate_pem).unwrap();
        let mut agent = Agent::new(args, fleet.clone(), trust, writer, inbox, hooks, Own::default());
        agent.finds_by(Box::new(ByDns(fleet.clone())));
        let mut parts = JoinSet::new();
        parts.spawn(agent.run());
        errands.wish(&"orders.shop".parse().unwrap());
        let world = Self { fleet, store, errands, _parts: parts, _files: files };
        world.until("the first is in step", || world.store.in_step() && world.shows(&[1, 2])).await;
        assert_eq!(world.dialled(), [CONFIGURED]);
        world
    }

    fn replica(&self, number: u8) -> Arc<Replica> {
        match self.fleet.places.lock().unwrap().get(&number) {
            Some(Place::Replica(replica)) => replica.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn script(&self, number: u8, change: impl FnOnce(&mut Script)) {
        self.replica(number).script.send_modify(change);
    }

    /// Its process is killed: connections end, and its address is this from now on.
    async fn kill(&self, number: u8, then: Place) {
        let replica = self.replica(number);
        self.fleet.places.lock().unwrap().insert(number, then);
        let mut connections = std::mem::take(&mut *replica.connections.lock().unwrap());
        connections.shutdown().await;
    }

    /// Who was dialled since this was asked last.
    fn dialled(&self) -> Vec<u8> {
        self.fleet.dials.lock().unwrap().drain(..).map(|(_, number)| number).collect()
    }

    fn shows(&self, numbers: &[u8]) -> bool {
        let names = self.store.names();
        let Some(slot) = names.find("orders.shop") else { return false };
        let known = slot.known();
        let Known::Service(held) = &**known else { return false };
        let shown: Vec<_> = held.service.instances.iter().map(|one| one.id.to_string()).collect();
        shown == numbers.iter().map(|number| format!("u{number}-8080")).collect::<Vec<_>>()
    }

    /// How long it takes until this holds.
    async fn until(&self, what: &str, holds: impl Fn() -> bool) -> Duration {
        let begin = Instant::now();
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(900), wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
        begin.elapsed()
    }

    /// The same; all the while, lookups have these instances at the least.
    async fn served_until(&self, least: &[u8], what: &str, holds: impl Fn() -> bool) -> Duration {
        let serves = || {
            let names = self.store.names();
            let slot = names.find("orders.shop").unwrap();
            let Known::Service(held) = &**slot.known() else { panic!("nothing is known") };
            let has = |number: &u8| held.service.instance(&format!("u{number}-8080").as_str().into());
            assert!(least.iter().all(|number| has(number).is_some()), "until {what}: {held:?}");
            holds()
        };
        self.until(what, serves).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_gone_is_replaced_within_moments() {
    for _ in 0..10 {
        let world = World::new(3).await;
        for number in [2, 3] {
            world.script(number, |script| (script.orders, script.position) = (vec![1, 2, 3], 6));
        }
        world.kill(1, Place::Nobody).await;
        let new = || world.store.in_step() && world.shows(&[1, 2, 3]);
        let took = world.served_until(&[1, 2], "another replica", new).await;
        assert!(took <= LOST_MAX, "{took:?}");
        assert!(matches!(world.dialled()[..], [2 | 3]), "one of the others, and nobody else");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_still_is_left_within_six_seconds() {
    for turn in 0..10 {
        let world = World::new(2).await;
        // At any time between two heartbeats.
        advance(Duration::from_millis(300 * turn)).await;
        world.script(2, |script| (script.orders, script.position) = (vec![1, 2, 3], 6));
        world.replica(1).frozen.store(true, Ordering::Relaxed);
        let new = || world.store.in_step() && world.shows(&[1, 2, 3]);
        let took = world.served_until(&[1, 2], "the other replica", new).await;
        assert!(took <= FROZEN_MAX, "{took:?}");
        assert_eq!(world.dialled(), [2], "the frozen one would take the connection");
    }
}

#[tokio::test(start_paused = true)]
async fn alone_a_replica_is_given_longer() {
    let world = World::new(1).await;
    world.replica(1).frozen.store(true, Ordering::Relaxed);
    let took = world.served_until(&[1, 2], "the loss", || !world.store.in_session()).await;
    assert!((Duration::from_secs(6)..=Duration::from_secs(9)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_to_another_replica_is_there_at_once() {
    let world = World::new(3).await;
    for (from, to) in [(1, 3), (3, 2)] {
        // Long enough that it is no hint of two that name each other.
        sleep(GOOD_AFTER).await;
        world.script(from, |script| script.goaway = Some(("moved", Some(to))));
        let moved = || world.store.in_step() && !world.fleet.dials.lock().unwrap().is_empty();
        let took = world.served_until(&[1, 2], "the next session", moved).await;
        assert!(took <= Duration::from_millis(100), "{took:?}");
        assert_eq!(world.dialled(), [to]);
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_send_each_other_everybody_are_not_asked_all_the_time() {
    let world = World::new(2).await;
    world.script(1, |script| script.goaway = Some(("moved", Some(2))));
    world.script(2, |script| script.goaway = Some(("moved", Some(1))));
    sleep(Duration::from_secs(60)).await;
    let dials = world.dialled().len();
    assert!((3..120).contains(&dials), "{dials}");
    for number in [1, 2] {
        world.script(number, |script| (script.goaway, script.stands_by_for) = (None, Some(3 - number)));
    }
    sleep(Duration::from_secs(60)).await;
    let dials = world.dialled().len();
    assert!((3..200).contains(&dials), "{dials}");
    world.script(2, |script| script.stands_by_for = None);
    world.served_until(&[1, 2], "one serves again", || world.store.in_step()).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_behind_takes_nothing_away() {
    let world = World::new(2).await;
    // It has not read of 2 yet, and has read of 3.
    world.script(2, |script| (script.orders, script.position) = (vec![1, 3], 4));
    world.kill(1, Place::Nobody).await;
    let new = || world.store.in_session() && world.shows(&[1, 2, 3]);
    world.served_until(&[1, 2], "what is new", new).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!world.store.in_step() && world.store.age() >= 60 && world.shows(&[1, 2, 3]));
    // What it tells is as it was, so that nothing but a question finds out.
    world.script(2, |script| script.position = 5);
    let took = world.served_until(&[1], "it has read all", || world.store.in_step()).await;
    assert!(took <= Duration::from_secs(4), "{took:?}");
    assert!(world.shows(&[1, 3]) && world.store.age() == 0);
    assert_eq!(world.store.position(), serde_json::from_str(r#"{"pods":5}"#).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_who_is_behind_does_not_know_is_answered() {
    let world = World::new(2).await;
    world.script(2, |script| (script.orders, script.position) = (vec![], 4));
    world.kill(1, Place::Nobody).await;
    world.served_until(&[1, 2], "the other", || world.store.in_session()).await;
    sleep(Duration::from_secs(30)).await;
    assert!(world.shows(&[1, 2]));
    // A name that it does not know is not known to be nobody's.
    world.errands.wish(&"other.shop".parse().unwrap());
    sleep(Duration::from_secs(5)).await;
    let known = |name: &str| Known::clone(&world.store.names().find(name).unwrap().known());
    assert!(matches!(known("other.shop"), Known::Awaited));
    world.script(2, |script| script.position = 6);
    world.until("it has read all", || world.store.in_step()).await;
    let both = [known("other.shop"), known("orders.shop")];
    assert!(matches!(both, [Known::Unknown, Known::Unknown]), "{both:?}");
}

#[tokio::test(start_paused = true)]
async fn without_anybody_all_are_tried_and_then_less_and_less_often() {
    let world = World::new(3).await;
    world.kill(2, Place::Void).await;
    world.kill(3, Place::Nobody).await;
    world.kill(1, Place::Nobody).await;
    world.until("all were tried", || world.fleet.dials.lock().unwrap().len() >= 4).await;
    let first = world.dialled();
    assert!(matches!(first[..4], [2, 3, 1, CONFIGURED] | [3, 2, 1, CONFIGURED]), "{first:?}");
    sleep(Duration::from_secs(600)).await;
    let dials = world.dialled();
    let counts = [1, 2, 3, CONFIGURED].map(|number| dials.iter().filter(|dial| **dial == number).count());
    // Some 5 at first, and then one in 17 s or so, of which two are spent on the one that says nothing.
    assert!(counts.iter().all(|count| (15..70).contains(count)), "{counts:?}");
    assert!(world.shows(&[1, 2]) && world.store.age() >= 600);
}

#[tokio::test(start_paused = true)]
async fn the_clusters_dns_is_asked_once_nobody_has_answered_for_half_a_minute() {
    let world = World::new(1).await;
    let begin = Instant::now();
    world.fleet.places.lock().unwrap().insert(CONFIGURED, Place::Void);
    world.kill(1, Place::Nobody).await;
    // A new one, at an address that nobody was ever told.
    let script = Script { orders: vec![1, 2, 3], position: 6, replicas: vec![7], ..Script::default() };
    let replica =
        Replica { script: watch::Sender::new(script), frozen: Arc::default(), connections: Mutex::default() };
    world.fleet.places.lock().unwrap().insert(7, Place::Replica(Arc::new(replica)));
    let asked = || world.fleet.lookups.lock().unwrap().clone();
    world.until("DNS is asked, and does not know", || asked().len() == 1).await;
    assert!(begin.elapsed() >= Duration::from_secs(30), "{:?}", begin.elapsed());
    // One dial and its pause may be under way when it is due.
    assert!(begin.elapsed() <= Duration::from_secs(60), "{:?}", begin.elapsed());
    assert!(world.shows(&[1, 2]), "lookups go on meanwhile");
    world.fleet.by_dns.lock().unwrap().push(7);
    world.until("it is asked again", || asked().len() == 2).await;
    let apart = asked()[1] - asked()[0];
    assert!((30..90).contains(&apart.as_secs()), "{apart:?}");
    let took =
        world.served_until(&[1, 2], "the new one", || world.store.in_step() && world.shows(&[1, 2, 3])).await;
    assert!(took <= Duration::from_secs(10), "it is dialled next: {took:?}");
    // Whoever is in session asks nobody.
    sleep(Duration::from_secs(300)).await;
    assert_eq!(asked().len(), 2);
    // And where it was found, it is looked for again without DNS.
    world.kill(7, Place::Nobody).await;
    world.dialled();
    sleep(Duration::from_secs(20)).await;
    assert!(world.dialled().contains(&7));
}

#[tokio::test(start_paused = true)]
async fn where_a_controller_says_that_it_is_it_is_called_first_and_where_the_pod_was_told_too() {
    let world = World::new(1).await;
    world.script(1, |script| script.controller = Some(50));
    // The next session's welcome says so.
    let frozen = Duration::from_secs(20);
    world.replica(1).frozen.store(true, Ordering::Relaxed);
    sleep(frozen).await;
    world.replica(1).frozen.store(false, Ordering::Relaxed);
    world.until("the next session", || world.store.in_step()).await;
    world.dialled();
    world.kill(1, Place::Nobody).await;
    sleep(Duration::from_secs(60)).await;
    let dialled = world.dialled();
    let first = |number: u8| dialled.iter().position(|one| *one == number).unwrap_or(usize::MAX);
    assert!(first(50) < first(CONFIGURED) && first(CONFIGURED) < usize::MAX, "{dialled:?}");
}
