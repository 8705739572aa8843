use std::net::SocketAddr;

use rollcall_injection::Settings;
use rollcall_net::{ShownCertificate, Trigger, bind, client_config, shutdown, webhook_server_config_showing};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::{Names, direct},
    *,
};
use crate::{
    Authority,
    admission::{
        connection::{FIRST_MAX, HANDSHAKE_MAX, IDLE_MAX},
        large::LARGE_MAX,
    },
    operate::Format,
    owner::View,
};

/// Longer than anything that is to happen.
const EVENTUALLY: Duration = Duration::from_secs(600);

struct House {
    server: Arc<Server>,
    tls: Arc<ServerConfig>,
    authority: Authority,
    metrics: Metrics,
    trigger: Trigger,
    ear: Shutdown,
}

/// An API server's end of a connection.
struct Caller<IO>(TlsStream<IO>);

#[derive(Debug)]
struct Heard {
    status: u16,
    head: String,
    body: String,
}

impl House {
    fn new() -> Self {
        let names =
            Names { namespace: "infra".to_owned(), service: "registry".to_owned(), webhook: "w".to_owned() };
        let authority = Authority::generate("test").unwrap();
        let leaf = authority.leaf_also_for("test", &names.of_certificate()).unwrap();
        let shown = ShownCertificate::new(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let tls = webhook_server_config_showing(shown).unwrap();
        let way = direct(([10, 96, 0, 7], 7310).into(), &authority.certificate_pem);
        let (_, way) = watch::channel(Some(Arc::new(way)));
        let metrics = Metrics::new();
        let installation = Installation { names, settings: Settings::default(), dns: None };
        let server = Arc::new(Server::new(installation, way, metrics.clone()));
        let (trigger, ear) = shutdown();
        Self { server, tls, authority, metrics, trigger, ear }
    }

    /// The other end of a connection that is served.
    fn accept(&self) -> DuplexStream {
        self.accept_from(1)
    }

    /// The same, from an address of our own choice.
    fn accept_from(&self, last: u8) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let (server, tls, peer) = (self.server.clone(), self.tls.clone(), [10, 0, 0, last].into());
        tokio::spawn(connection::serve(server, tls, ours, peer, self.ear.clone()));
        theirs
    }

    async fn shake<IO>(&self, io: IO, name: &str, protocols: &[&[u8]]) -> std::io::Result<Caller<IO>>
    where
        IO: tokio::io::AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = (*client_config(self.authority.certificate_pem.as_bytes()).unwrap()).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Ok(Caller(TlsConnector::from(Arc::new(config)).connect(name, io).await?))
    }

    async fn caller(&self) -> Caller<DuplexStream> {
        self.caller_from(1).await
    }

    async fn caller_from(&self, last: u8) -> Caller<DuplexStream> {
        self.shake(self.accept_from(last), "registry.infra.svc", &[b"http/1.1"]).await.unwrap()
    }

    /// How many came to this.
    fn counted(&self, outcome: Outcome) -> u64 {
        let text = self.metrics.render(&View::default(), Format::Text);
        let name = format!("rollcall_injections_total{{result=\"{}\"}} ", outcome.as_str());
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

impl<IO: tokio::io::AsyncRead + AsyncWrite + Unpin> Caller<IO> {
    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Heard {
        let length = body.len();
        self.say(
            format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )
        .await;
        self.hear().await
    }

    async fn hear(&mut self) -> Heard {
        timeout(EVENTUALLY, async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut body).await.unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            Heard { status, head, body: String::from_utf8(body).unwrap() }
        })
        .await
        .unwrap()
    }

    /// Returns when the other end has let go.
    async fn end(&mut self) {
        let rest = timeout(EVENTUALLY, self.0.read_to_end(&mut Vec::new())).await.unwrap();
        assert!(rest.is_err() || rest.is_ok_and(|bytes| bytes == 0), "something was said");
    }
}

fn review() -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "namespace": "shop", "object": {"metadata": {"generateName": "orders-"},
                "spec": {"containers": [{"name": "app", "image": "orders:1"}]}}},
    })
    .to_string()
}

#[tokio::test]
async fn an_api_server_finds_the_name_that_it_calls() {
    let house = House::new();
    for (name, protocols) in [
        ("registry.infra.svc", &[b"http/1.1".as_slice()][..]),
        ("registry.infra.svc", &[b"h2", b"http/1.1"]),
        ("registry.infra.svc", &[]),
        ("registry.infra.svc.cluster.local", &[b"http/1.1"]),
        (rollcall_net::TLS_NAME, &[b"http/1.1"]),
    ] {
        let mut caller = house.shake(house.accept(), name, protocols).await.unwrap();
        assert_eq!(caller.ask("POST", PATH, &review()).await.status, 200, "{name}");
    }
    assert!(house.shake(house.accept(), "other.infra.svc", &[b"http/1.1"]).await.is_err());
    assert!(house.shake(house.accept(), "registry.infra.svc", &[b"h2"]).await.is_err());
}

#[tokio::test]
async fn questions_follow_each_other_and_are_counted_by_what_came_of_them() {
    let house = House::new();
    let mut caller = house.caller().await;
    for _ in 0..3 {
        let heard = caller.ask("POST", "/inject?timeout=2s", &review()).await;
        assert_eq!(heard.status, 200, "{heard:?}");
        assert!(heard.head.contains("content-type: application/json"), "{heard:?}");
        let told: Value = serde_json::from_str(&heard.body).unwrap();
        assert_eq!(
            (&told["response"]["uid"], &told["response"]["patchType"]),
            (&json!("u"), &json!("JSONPatch"))
        );
    }
    let heard = caller.ask("POST", PATH, &review().replace("CREATE", "UPDATE")).await;
    assert_eq!(heard.status, 200);
    let heard = caller.ask("POST", PATH, "no review").await;
    assert_eq!((heard.status, heard.body.lines().count()), (400, 1), "{heard:?}");
    assert!(heard.body.contains("; send"), "{heard:?}");
    assert_eq!(caller.ask("POST", "/", &review()).await.status, 404);
    let heard = caller.ask("GET", PATH, "").await;
    assert!(heard.status == 405 && heard.head.contains("allow: post"), "{heard:?}");
    assert_eq!(Outcome::ALL.map(|outcome| house.counted(outcome)), [3, 1, 1]);
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let house = House::new();
    let mut caller = house.caller().await;
    let head = format!("POST /inject HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
    caller.say(head.as_bytes()).await;
    let heard = caller.hear().await;
    assert!(heard.status == 413 && heard.body.contains("; send less"), "{heard:?}");

    let mut caller = house.caller().await;
    caller.say(b"POST /inject HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let Caller(stream) = caller;
    let (read, mut write) = tokio::io::split(stream);
    let telling = tokio::spawn(async move { while write.write_all(chunk.as_bytes()).await.is_ok() {} });
    let mut heard = [0; 12];
    let mut read = read;
    timeout(EVENTUALLY, read.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"HTTP/1.1 413");
    telling.abort();

    let mut caller = house.caller().await;
    let large = review().replace("orders:1", &"x".repeat(3 << 20));
    assert_eq!(caller.ask("POST", PATH, &large).await.status, 200, "as large as a pod can be");
}

/// A question of so many bytes, and nothing of it but the first.
fn beginning(length: usize, sent: usize) -> String {
    let head = format!("POST /inject HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    format!("{head}{}", " ".repeat(sent))
}

#[tokio::test(start_paused = true)]
async fn who_drips_is_told_so_and_keeps_nobody_waiting() {
    let house = House::new();
    let mut slow = Vec::new();
    let begin = Instant::now();
    for _ in 0..2 * LARGE_MAX {
        let mut caller = house.caller().await;
        caller.say(beginning(1_000_000, 1).as_bytes()).await;
        slow.push(caller);
    }
    sleep(ANSWER_MAX / 3).await;
    let mut large = house.caller().await;
    large.say(beginning(200_000, 200_000).as_bytes()).await;
    assert_eq!(large.hear().await.status, 400, "it was read: who has sent nothing has no turn");
    let mut quick = house.caller().await;
    assert_eq!(quick.ask("POST", PATH, &review()).await.status, 200);
    assert!(begin.elapsed() < ANSWER_MAX / 2, "{:?}", begin.elapsed());
    for caller in &mut slow {
        let heard = caller.hear().await;
        assert!(heard.status == 408 && heard.body.contains("; send it at once"), "{heard:?}");
        caller.end().await;
    }
    assert_eq!(quick.ask("POST", PATH, &review()).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_sends_much_and_slowly_takes_its_own_turns_and_nobody_elses() {
    let house = House::new();
    let mut slow = Vec::new();
    let begin = Instant::now();
    for _ in 0..2 * LARGE_MAX {
        let mut caller = house.caller_from(2).await;
        caller.say(beginning(1_000_000, 2 * SMALL_BYTES_MAX).as_bytes()).await;
        slow.push(caller);
    }
    sleep(ANSWER_MAX / 3).await;
    let mut own = house.caller_from(2).await;
    own.say(beginning(100_000, 100_000).as_bytes()).await;
    let mut small = house.caller_from(2).await;
    assert_eq!(small.ask("POST", PATH, &review()).await.status, 200);
    let mut other = house.caller_from(3).await;
    other.say(beginning(200_000, 200_000).as_bytes()).await;
    assert_eq!(other.hear().await.status, 400);
    assert!(begin.elapsed() < ANSWER_MAX / 2, "{:?}", begin.elapsed());
    assert_eq!(own.hear().await.status, 400, "after those of its own");
    assert!((ANSWER_MAX..ANSWER_MAX * 4 / 3).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    drop(slow);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_question_gives_its_place_back() {
    let house = House::new();
    let begin = Instant::now();
    let mut silent = house.accept();
    timeout(EVENTUALLY, silent.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    assert!((HANDSHAKE_MAX..HANDSHAKE_MAX + Duration::from_secs(1)).contains(&begin.elapsed()));

    for said in [b"".as_slice(), b"POST /inject HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let begin = Instant::now();
        let mut caller = house.caller().await;
        caller.say(said).await;
        if said.starts_with(b"GET") {
            assert_eq!(caller.hear().await.status, 404);
        }
        caller.end().await;
        assert!(
            (FIRST_MAX..FIRST_MAX + Duration::from_secs(1)).contains(&begin.elapsed()),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_server_is_the_first_to_let_go_of_an_idle_connection() {
    let house = House::new();
    let mut caller = house.caller().await;
    for _ in 0..3 {
        assert_eq!(caller.ask("POST", PATH, &review()).await.status, 200);
        sleep(Duration::from_secs(120)).await;
    }
    assert_eq!(caller.ask("POST", PATH, &review()).await.status, 200);
    let begin = Instant::now();
    caller.end().await;
    assert!(
        (IDLE_MAX..IDLE_MAX + Duration::from_secs(1)).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_lets_an_answer_finish_and_waits_for_nobody_else() {
    let house = House::new();
    let (mut idle, mut busy, mut stuck) = (house.caller().await, house.caller().await, house.caller().await);
    assert_eq!(idle.ask("POST", PATH, &review()).await.status, 200);
    let (body, length) = (review(), review().len());
    let head = format!("POST /inject HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    for caller in [&mut busy, &mut stuck] {
        caller.say(format!("{head}{}", &body[..10]).as_bytes()).await;
    }
    sleep(Duration::from_millis(10)).await;
    let begin = Instant::now();
    house.trigger.pull();
    idle.end().await;
    assert!(begin.elapsed() < Duration::from_millis(100));
    busy.say(&body.as_bytes()[10..]).await;
    let heard = busy.hear().await;
    assert!(heard.status == 200 && heard.head.contains("connection: close"), "{heard:?}");
    stuck.end().await;
    assert!(begin.elapsed() < Duration::from_millis(1_100), "{:?}", begin.elapsed());
}

/// A connection from an address of our own choice: all of 127.0.0.0/8 is this machine.
async fn connect(from: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, from], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn one_address_takes_its_share_and_no_more() {
    let house = House::new();
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(house.server.clone().serve(listener, house.tls.clone(), house.ear.clone()));
    let mut greedy = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE_MAX {
        greedy.push(connect(2, address).await);
    }
    let mut one_more = connect(2, address).await;
    let ended = timeout(EVENTUALLY, one_more.read(&mut [0; 1])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let io = connect(1, address).await;
    let mut caller = house.shake(io, "registry.infra.svc", &[b"http/1.1"]).await.unwrap();
    assert_eq!(caller.ask("POST", PATH, &review()).await.status, 200);
    house.trigger.pull();
    timeout(EVENTUALLY, serving).await.unwrap().unwrap();
}
