//! Servers as they are, as they fail, and as others play them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use rollcall_dns::{Read, read};
use tokio::{net::TcpListener, task::JoinSet};

use super::*;

/// What comes at once takes milliseconds; a machine that is busy may need more.
const AT_ONCE: Duration = Duration::from_millis(500);
const CUT: u8 = 0x02;

/// Who sent a packet, and its bytes.
type Packet = (SocketAddr, Vec<u8>);
/// What a server says to a packet; it is told how many came before.
type Script = dyn Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + Sync;

/// A server that says what a test makes it say.
struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Packet>>>,
    _task: JoinSet<()>,
}

impl Fake {
    async fn start(script: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self::on(socket, Box::new(script))
    }

    fn on(socket: UdpSocket, script: Box<Script>) -> Self {
        let address = socket.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<_>>> = Arc::default();
        let mut task = JoinSet::new();
        let kept = heard.clone();
        task.spawn(async move {
            let mut buffer = [0; 2_048];
            loop {
                // An error tells of an earlier reply that nobody waited for.
                let Ok((bytes, from)) = socket.recv_from(&mut buffer).await else { continue };
                let packet = buffer[..bytes].to_vec();
                let before = kept.lock().unwrap().len();
                let said = script(&packet, before);
                kept.lock().unwrap().push((from, packet));
                for reply in said {
                    let _ = socket.send_to(&reply, from).await;
                }
            }
        });
        Self { address, heard, _task: task }
    }

    async fn silent() -> Self {
        Self::start(|_, _| vec![]).await
    }

    async fn good() -> Self {
        Self::start(|packet, _| vec![reply(packet)]).await
    }

    /// The queries that it heard, without those for a sign of life.
    fn queries(&self) -> Vec<Packet> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(_, packet)| !asks_for_a_sign(packet)).cloned().collect()
    }
}

/// Who keeps the cluster's zone, which no resolver asks for here.
fn asks_for_a_sign(packet: &[u8]) -> bool {
    packet[12..] == *b"\x07cluster\x05local\0\0\x06\0\x01"
}

/// A cluster's DNS whose own servers are dead: it answers the names that it knows itself, and the sign of life if that is
/// not lost.
async fn alone(socket: UdpSocket, signs_are_lost: bool) -> Fake {
    let script = move |packet: &[u8], _: usize| {
        let lost = signs_are_lost && asks_for_a_sign(packet);
        let known = packet.windows(15).any(|name| name == b"\x07cluster\x05local\0");
        if known && !lost { vec![reply(packet)] } else { vec![] }
    };
    Fake::on(socket, Box::new(script))
}

/// Asks for so many names of the cluster in a row, each of which is to be found at once.
async fn finds_the_clusters(forwarder: &Forwarder) {
    for number in 0..30 {
        let name = format!("s{number}.shop.svc.cluster.local");
        let (heard, took) = ask(forwarder, &name, Carrier::Udp).await;
        assert_eq!(heard, Heard::Reply(reply(&query(&name))));
        assert!(took < AT_ONCE, "{took:?}");
    }
}

fn query(name: &str) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len().try_into().unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// One address, 10.9.8.7.
fn reply(query: &[u8]) -> Vec<u8> {
    let mut reply = query.to_vec();
    (reply[2], reply[3], reply[7]) = (0x81, 0x80, 1);
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 9, 8, 7]);
    reply
}

/// The same, with this byte instead.
fn but(query: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut reply = reply(query);
    reply[at] = byte;
    reply
}

fn forwarder(servers: &[SocketAddr]) -> Forwarder {
    let text = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let search = Search::of("search shop.svc.cluster.local cluster.local");
    Forwarder::new(&text.parse().unwrap(), &[], search).unwrap().unwrap()
}

async fn ask(forwarder: &Forwarder, name: &str, carrier: Carrier) -> (Heard, Duration) {
    let packet = query(name);
    let Read::Query(query) = read(&packet) else { panic!("no query") };
    let begin = Instant::now();
    (forwarder.forward(&query, carrier).await, begin.elapsed())
}

/// The reply that the asker of `www.example` is to have.
fn good() -> Heard {
    Heard::Reply(reply(&query("www.example")))
}

async fn www(forwarder: &Forwarder) -> (Heard, Duration) {
    ask(forwarder, "www.example", Carrier::Udp).await
}

/// Waits for what is to come within the time of a query.
async fn until(mut holds: impl FnMut() -> bool) {
    let waits = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(ALL_MAX, waits).await.expect("it never comes");
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn every_query_has_a_port_and_an_id_of_its_own() {
    const QUERIES: usize = 90;
    let server = Fake::good().await;
    let forwarder = forwarder(&[server.address]);
    let asked = (0..QUERIES).map(|_| www(&forwarder));
    for (heard, _) in futures::future::join_all(asked).await {
        assert_eq!(heard, good());
    }
    let queries = server.queries();
    let ports: HashSet<_> = queries.iter().map(|(from, _)| from.port()).collect();
    let ids: HashSet<_> = queries.iter().map(|(_, packet)| packet[..2].to_vec()).collect();
    assert_eq!(ports.len(), QUERIES, "open at the same time");
    // Two of ninety are the same once in 16 runs, five pairs once in many millions.
    assert!(ids.len() > QUERIES - 5, "{}", ids.len());
    let in_a_row = queries.windows(2).filter(|two| two[0].0.port().abs_diff(two[1].0.port()) == 1);
    assert!(in_a_row.count() < QUERIES / 4, "the next port cannot be told from the last");
}

#[tokio::test]
async fn nothing_is_believed_but_the_reply() {
    let server = Fake::start(|query, _| {
        vec![
            but(query, 0, query[0] ^ 1),
            but(query, 1, query[1] ^ 1),
            but(query, 2, 0x01),
            but(query, 5, 0),
            but(query, 13, b'x'),
            but(query, query.len() - 3, 28),
            but(query, query.len() - 1, 3),
            reply(query)[..query.len() - 1].to_vec(),
            vec![],
            vec![0xff; 1_500],
            query.to_vec(),
            reply(query),
        ]
    })
    .await;
    let (heard, took) = www(&forwarder(&[server.address])).await;
    assert_eq!(heard, good());
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_reply_from_elsewhere_is_none() {
    let server = Fake::silent().await;
    let forwarder = forwarder(&[server.address]);
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = async {
        until(|| !server.queries().is_empty()).await;
        let (to, query) = server.queries().remove(0);
        other.send_to(&reply(&query), to).await.unwrap();
    };
    let ((heard, _), ()) = tokio::join!(www(&forwarder), elsewhere);
    assert_eq!(heard, Heard::Nothing);
}

#[tokio::test]
async fn a_reply_to_another_query_is_none() {
    // Says to each of two what the other one is to have.
    let last = Mutex::new(Vec::new());
    let server = Fake::start(move |query, _| {
        if asks_for_a_sign(query) {
            return vec![];
        }
        let before = std::mem::replace(&mut *last.lock().unwrap(), reply(query));
        let is_other = before.get(..2).is_some_and(|id| *id != query[..2]);
        if is_other { vec![before] } else { vec![] }
    })
    .await;
    let forwarder = forwarder(&[server.address]);
    let both = tokio::join!(www(&forwarder), www(&forwarder));
    assert_eq!((both.0.0, both.1.0), (Heard::Nothing, Heard::Nothing));
}

#[tokio::test]
async fn a_silent_server_is_asked_again_then_the_next_and_it_last_from_then_on() {
    let (silent, well) = (Fake::silent().await, Fake::good().await);
    let forwarder = forwarder(&[silent.address, well.address]);
    let (heard, took) = www(&forwarder).await;
    assert_eq!(heard, good());
    assert!((ALL_MAX / 2..ALL_MAX / 2 + AT_ONCE).contains(&took), "{took:?}");
    assert_eq!((silent.queries().len(), well.queries().len()), (3, 1));
    let (heard, took) = www(&forwarder).await;
    assert_eq!(heard, good());
    assert!(took < AT_ONCE && silent.queries().len() == 3, "{took:?}");
}

#[tokio::test]
async fn where_nobody_listens_the_next_is_asked_at_once() {
    let well = Fake::good().await;
    let forwarder = forwarder(&[nobody().await, nobody().await, well.address]);
    let (heard, took) = www(&forwarder).await;
    assert_eq!(heard, good());
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn without_any_server_names_fail_before_the_asker_gives_up_and_then_at_once() {
    let silent = [Fake::silent().await, Fake::silent().await];
    let forwarder = forwarder(&[silent[0].address, nobody().await, silent[1].address]);
    let (heard, took) = www(&forwarder).await;
    assert_eq!(heard, Heard::Nothing);
    assert!((ALL_MAX..ALL_MAX + AT_ONCE).contains(&took), "{took:?}");
    // One tries; the others do not wait for it.
    let ((first, slow), (second, fast)) = tokio::join!(www(&forwarder), www(&forwarder));
    assert_eq!((first, second), (Heard::Nothing, Heard::Nothing));
    assert!(slow >= ALL_MAX && fast < AT_ONCE, "{slow:?} {fast:?}");
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        let (heard, took) = ask(&forwarder, "Orders.Rollcall.shop.svc.cluster.local", carrier).await;
        assert_eq!(heard, Heard::NoSuchName, "a resolver goes on to the name itself");
        assert!(took < AT_ONCE, "{took:?}");
    }
}

#[tokio::test]
async fn a_name_of_ours_with_a_search_list_is_nobodys_where_the_servers_are_found_dead() {
    let forwarder = forwarder(&[nobody().await]);
    let (heard, took) = ask(&forwarder, "orders.rollcall.cluster.local", Carrier::Udp).await;
    assert_eq!(heard, Heard::NoSuchName);
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_server_that_is_back_is_asked_again() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let forwarder = forwarder(&[address]);
    drop(socket);
    let (heard, took) = www(&forwarder).await;
    assert!(heard == Heard::Nothing && took < AT_ONCE, "{heard:?} {took:?}");
    let _back = Fake::on(UdpSocket::bind(address).await.unwrap(), Box::new(|packet, _| vec![reply(packet)]));
    assert_eq!(www(&forwarder).await.0, good());
    let both = tokio::join!(www(&forwarder), www(&forwarder));
    assert_eq!((both.0.0, both.1.0), (good(), good()));
}

#[tokio::test]
async fn a_server_that_is_slow_with_one_name_answers_the_others() {
    let server = Fake::start(|packet, _| {
        let slow = packet.windows(4).any(|name| name == b"slow");
        if slow { vec![] } else { vec![reply(packet)] }
    })
    .await;
    let forwarder = forwarder(&[server.address]);
    // Nobody else is heard of meanwhile, so that only its sign of life tells.
    let (slow, took) = ask(&forwarder, "slow.example", Carrier::Udp).await;
    assert_eq!(slow, Heard::Nothing);
    assert!(took >= ALL_MAX, "{took:?}");
    let both = tokio::join!(www(&forwarder), www(&forwarder));
    assert_eq!((both.0.0, both.1.0), (good(), good()), "none of them fails at once");
}

#[tokio::test]
async fn who_tries_while_none_answers_finds_a_server_that_is_back_but_slow() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let forwarder = forwarder(&[address]);
    drop(socket);
    assert_eq!(www(&forwarder).await.0, Heard::Nothing);
    let slow = |packet: &[u8], _| {
        let slow = packet.windows(4).any(|name| name == b"slow");
        if slow { vec![] } else { vec![reply(packet)] }
    };
    let _back = Fake::on(UdpSocket::bind(address).await.unwrap(), Box::new(slow));
    let well = async {
        until(|| !forwarder.standings.none_answers()).await;
        www(&forwarder).await
    };
    let ((slow, _), (heard, took)) = tokio::join!(ask(&forwarder, "slow.example", Carrier::Udp), well);
    assert_eq!((slow, heard), (Heard::Nothing, good()));
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn outer_names_that_nobody_answers_leave_the_clusters_alone() {
    let server = alone(UdpSocket::bind("127.0.0.1:0").await.unwrap(), false).await;
    let forwarder = forwarder(&[server.address]);
    // Nothing else is heard of the server meanwhile.
    let (heard, took) = www(&forwarder).await;
    assert!(heard == Heard::Nothing && took >= ALL_MAX, "{heard:?} {took:?}");
    assert!(!forwarder.standings.none_answers());
    // As many as find a place, and more.
    let outer = futures::future::join_all((0..2 * AT_A_TIME_MAX).map(|_| www(&forwarder)));
    let clusters = async {
        until(|| forwarder.places.outer.available_permits() == 0).await;
        finds_the_clusters(&forwarder).await;
        assert_eq!(forwarder.places.outer.available_permits(), 0, "they all still wait");
    };
    let (outer, ()) = tokio::join!(outer, clusters);
    assert!(outer.iter().all(|(heard, _)| *heard == Heard::Nothing));
    finds_the_clusters(&forwarder).await;
}

#[tokio::test]
async fn names_of_the_cluster_are_found_beside_the_one_that_tries() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let forwarder = forwarder(&[address]);
    drop(socket);
    assert_eq!(www(&forwarder).await.0, Heard::Nothing);
    assert!(forwarder.standings.none_answers());
    let _back = alone(UdpSocket::bind(address).await.unwrap(), true).await;
    let clusters = async {
        until(|| forwarder.tries.available_permits() == 0).await;
        finds_the_clusters(&forwarder).await;
    };
    let ((heard, _), ()) = tokio::join!(www(&forwarder), clusters);
    assert_eq!(heard, Heard::Nothing);
}

#[tokio::test]
async fn without_any_server_a_name_of_the_cluster_waits_for_a_moment_only() {
    let silent = Fake::silent().await;
    let forwarder = forwarder(&[silent.address]);
    assert_eq!(www(&forwarder).await.0, Heard::Nothing);
    let clusters = ask(&forwarder, "orders.shop.svc.cluster.local", Carrier::Udp);
    let ((_, tries), (heard, took)) = tokio::join!(www(&forwarder), clusters);
    assert_eq!(heard, Heard::Nothing);
    assert!(tries >= ALL_MAX && took < AGAIN_AFTER + AT_ONCE, "{tries:?} {took:?}");
}

#[tokio::test]
async fn a_failure_of_our_own_says_nothing_of_the_server() {
    // The kernel sends nobody's packets to all, unless he says that he means it.
    let forwarder = forwarder(&[([127, 255, 255, 255], 53).into()]);
    let (heard, took) = www(&forwarder).await;
    assert!(heard == Heard::Nothing && took < AT_ONCE, "{heard:?} {took:?}");
    assert!(!forwarder.standings.none_answers());
}

#[tokio::test]
async fn a_server_that_refuses_in_a_header_alone_has_answered() {
    let server =
        Fake::start(|packet, _| vec![vec![packet[0], packet[1], 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0]]).await;
    let (heard, took) = www(&forwarder(&[server.address])).await;
    let mut refused = query("www.example");
    (refused[2], refused[3]) = (0x81, 0x85);
    assert_eq!(heard, Heard::Reply(refused));
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_network_that_loses_three_of_ten_packets_answers_nearly_all() {
    const QUERIES: usize = 90;
    let chance = Mutex::new(rollcall_net::Jitter::new(30));
    let server = Fake::start(move |packet, _| {
        let lost = || chance.lock().unwrap().next_u64() % 10 < 3;
        if lost() || lost() { vec![] } else { vec![reply(packet)] }
    })
    .await;
    let forwarder = forwarder(&[server.address]);
    let heard = futures::future::join_all((0..QUERIES).map(|_| www(&forwarder))).await;
    let answered = heard.iter().filter(|(heard, _)| *heard == good()).count();
    // Five times each: 3 of ninety are lost on average, and more than 15 of them once in ten million runs.
    assert!(answered >= QUERIES - 15, "{answered}");
}

#[tokio::test]
async fn no_more_than_its_places_are_on_their_way() {
    let server = Fake::silent().await;
    let forwarder = forwarder(&[server.address]);
    let places = AT_A_TIME_MAX - AT_A_TIME_MAX / 4;
    let asked = futures::future::join_all((0..places).map(|_| www(&forwarder)));
    let another = async {
        until(|| server.queries().len() >= places).await;
        www(&forwarder).await
    };
    let (asked, (heard, took)) = tokio::join!(asked, another);
    assert!(asked.iter().all(|(heard, took)| *heard == Heard::Nothing && *took < ALL_MAX + AT_ONCE));
    assert!(heard == Heard::Nothing && took < AT_ONCE, "{took:?}");
    assert_eq!(forwarder.places.all.available_permits(), AT_A_TIME_MAX);
    assert_eq!(forwarder.places.outer.available_permits(), places);
}

/// A server that cuts over UDP and says all over TCP, from the same port; `wrong` spoils the id of what it says there.
async fn cutting(wrong: u8) -> (Fake, JoinSet<()>) {
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let fake = Fake::on(socket, Box::new(|packet, _| vec![but(packet, 2, 0x81 | CUT)]));
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut packet = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut packet).await.unwrap();
            let mut said = reply(&packet);
            said.resize(40_000, 0);
            said[0] ^= wrong;
            stream.write_u16(40_000).await.unwrap();
            // Who does not want it any more hangs up.
            let _ = stream.write_all(&said).await;
        }
    });
    (fake, task)
}

#[tokio::test]
async fn what_is_cut_comes_whole_over_tcp() {
    let (server, _task) = cutting(0).await;
    let forwarder = forwarder(&[server.address]);
    assert_eq!(www(&forwarder).await.0, Heard::Reply(but(&query("www.example"), 2, 0x81 | CUT)));
    let mut whole = reply(&query("www.example"));
    whole.resize(40_000, 0);
    assert_eq!(ask(&forwarder, "www.example", Carrier::Tcp).await.0, Heard::Reply(whole));
}

#[tokio::test]
async fn over_tcp_too_only_the_reply_is_believed() {
    let (server, _task) = cutting(1).await;
    let (heard, took) = ask(&forwarder(&[server.address]), "www.example", Carrier::Tcp).await;
    assert!(heard == Heard::Nothing && took < AT_ONCE, "{heard:?} {took:?}");
}

#[tokio::test]
async fn a_server_without_tcp_is_not_gone() {
    let server = Fake::good().await;
    let forwarder = forwarder(&[server.address]);
    let (heard, took) = ask(&forwarder, "www.example", Carrier::Tcp).await;
    assert!(heard == Heard::Nothing && took < AT_ONCE, "{heard:?} {took:?}");
    let both = tokio::join!(www(&forwarder), www(&forwarder));
    assert_eq!((both.0.0, both.1.0), (good(), good()));
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let forwarder = forwarder(&[silent.local_addr().unwrap()]);
    let asked = futures::future::join_all(
        (0..=OVER_TCP_MAX).map(|_| ask(&forwarder, "orders.shop.svc.cluster.local", Carrier::Tcp)),
    );
    let heard = asked.await;
    assert!(heard.iter().all(|(heard, _)| *heard == Heard::Nothing));
    let slow = heard.iter().filter(|(_, took)| (ALL_MAX..ALL_MAX + AT_ONCE).contains(took)).count();
    assert_eq!(slow, OVER_TCP_MAX, "who finds no place fails at once");
}
