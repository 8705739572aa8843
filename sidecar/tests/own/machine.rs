//! What the apps of one machine say of themselves, where controller and sidecar are one process: each local address is a pod.

use std::{
    io,
    net::Ipv6Addr,
    path::Path,
    sync::{Arc, Mutex},
};

use futures::{FutureExt, future::BoxFuture};
use rollcall_controller::IndexHandle;
use rollcall_net::{Kernel, Network, Stream, Trigger, shutdown};
use rollcall_sidecar::{
    Servers,
    local::{InStep, Local, Metrics, Pods, Setting},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    bench::{eventually, host, seen as change, token_of},
    *,
};

const YES: &str = r#"{"success":true}"#;

/// A controller and a sidecar for all of this machine, as one process has them.
struct Dev {
    controller: Controller,
    api: SocketAddr,
    in_step: InStep,
    metrics: Metrics,
    pods: Arc<Known>,
    trigger: Trigger,
    parts: JoinSet<()>,
}

/// Tells the controller of each address that is asked for.
#[derive(Debug)]
struct Known {
    index: IndexHandle,
    let_go: Mutex<Vec<IpAddr>>,
}

/// Leads to the controller, whoever is dialled.
#[derive(Debug)]
struct Within(SocketAddr);

impl Pods for Known {
    fn token_of(&self, address: IpAddr) -> BoxFuture<'_, anyhow::Result<String>> {
        async move {
            let uid = format!("machine-{address}");
            let mut facts = pod(1, None);
            (facts.uid, facts.name) = (uid.as_str().into(), uid.as_str().into());
            facts.addresses = [address].into();
            self.index.apply(change(facts)).await.map_err(|_| anyhow::anyhow!("it has ended"))?;
            Ok(token_of(&uid))
        }
        .boxed()
    }

    fn let_go(&self, address: IpAddr) -> BoxFuture<'_, ()> {
        self.let_go.lock().unwrap().push(address);
        std::future::ready(()).boxed()
    }
}

impl Network for Within {
    fn dial(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Kernel.dial(self.0)
    }
}

impl Dev {
    async fn start(authority: &Authority, state_dir: &Path) -> Self {
        let controller = Controller::start(authority, ANY, vec![]).await;
        let pods = Arc::new(Known { index: controller.index.clone(), let_go: Mutex::default() });
        let local = Local::bind(setting(authority, state_dir, controller.address, &pods)).unwrap();
        assert_eq!(local.dns_addresses().unwrap().len(), 1);
        let (api, in_step, metrics) = (local.api_addresses().unwrap()[0], local.in_step(), local.metrics());
        let (trigger, ear) = shutdown();
        let mut parts = JoinSet::new();
        parts.spawn(async move { local.run(ear).await.unwrap() });
        Self { controller, api, in_step, metrics, pods, trigger, parts }
    }

    /// Ends all of it as `kill -9` would.
    async fn kill(mut self) {
        self.parts.shutdown().await;
        self.controller.stop().await;
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "").await
    }

    async fn send(&self, line: &str, body: &str) -> Answer {
        send_at(self.api, line, LOCAL, body).await
    }

    async fn register(&self, address: &str) -> Answer {
        let body = format!(r#"{{"address":"{address}","port":8080,"ttl":"10m"}}"#);
        self.send("POST /orders/1.4.2/register", &body).await
    }

    async fn deregister(&self, address: &str) -> Answer {
        let body = format!(r#"{{"address":"{address}","port":8080}}"#);
        self.send("POST /orders/1.4.2/deregister", &body).await
    }

    /// The address, state and reason of each instance, in one answer.
    async fn seen(&self, service: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/services/{service}?all=true")).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let instances = body["instances"].as_array().cloned().unwrap_or_default();
        let shown =
            |one: &Value| ["address", "state", "reason"].map(|field| one[field].as_str().unwrap().to_owned());
        let mut seen: Vec<_> = instances.iter().map(|one| shown(one).join(" ")).collect();
        seen.sort();
        seen
    }
}

fn setting(authority: &Authority, state_dir: &Path, controller: SocketAddr, pods: &Arc<Known>) -> Setting {
    Setting {
        api: ANY,
        api_v6: (Ipv6Addr::LOCALHOST, 0).into(),
        dns: vec![(host(), 7353).into()],
        dns_forward: Servers::default(),
        namespace: "shop".parse().unwrap(),
        state_dir: state_dir.to_owned(),
        ca_pem: authority.certificate_pem.clone(),
        network: Arc::new(Within(controller)),
        pods: pods.clone(),
    }
}

fn place() -> (Authority, TempDir) {
    (Authority::generate("test").unwrap(), tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_address_registers_beats_and_comes_back_in_doubt() {
    let (authority, place) = place();
    let dev = Dev::start(&authority, place.path()).await;
    for address in ["127.0.0.1", "127.0.0.2"] {
        let answer = dev.register(address).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, YES), "{address}");
        assert_eq!(dev.register(address).await.status, 409, "{address} is alive");
    }
    let both = r#"{"addresses":["127.0.0.1:8080","127.0.0.2:8080"]}"#;
    eventually("both are there", async || dev.get("/orders/1.4.2/getaddresses").await.body == both).await;
    let serving = ["127.0.0.1 Serving Ready", "127.0.0.2 Serving Ready"];
    assert_eq!(dev.seen("orders").await, serving);
    let in_step = r#"session_state{state="in-step"} 1"#;
    eventually("it is in step", async || dev.in_step.is() && dev.metrics.text().contains(in_step)).await;

    let beat =
        async |dev: &Dev, query: &str| dev.get(&format!("/orders/1.4.2/heartbeat{query}")).await.status;
    for (query, status) in [
        ("", 200),
        ("?address=127.0.0.1", 200),
        ("?address=127.0.0.2&port=8080", 200),
        ("?address=127.0.0.2&port=8081", 404),
        ("?address=127.0.0.3", 404),
        ("?address=198.51.100.7", 404),
    ] {
        assert_eq!(beat(&dev, query).await, status, "{query}");
    }
    let shown = json(&dev.get("/v1/self").await);
    assert_eq!(shown["pod"], "machine-127.0.0.1");
    let addresses: Vec<_> =
        shown["registrations"].as_array().unwrap().iter().map(|one| one.get("address")).collect();
    assert_eq!(addresses, [None, Some(&"127.0.0.2".into())], "the first one's as in a pod");

    dev.kill().await;
    let dev = Dev::start(&authority, place.path()).await;
    let doubted = ["127.0.0.1 Suspect AwaitingBeat", "127.0.0.2 Suspect AwaitingBeat"];
    assert_eq!(dev.seen("orders").await, doubted, "from the first answer on");
    assert_eq!(beat(&dev, "?address=127.0.0.2").await, 200);
    let one = ["127.0.0.1 Suspect AwaitingBeat", "127.0.0.2 Serving Ready"];
    eventually("one has beaten", async || dev.seen("orders").await == one).await;
    assert_eq!(beat(&dev, "").await, 200);
    eventually("both have", async || dev.seen("orders").await == serving).await;

    assert_eq!(dev.deregister("127.0.0.2").await.status, 200);
    eventually("one is gone", async || dev.seen("orders").await == serving[..1]).await;
    assert_eq!(dev.deregister("127.0.0.2").await.status, 404);
    dev.kill().await;
    let dev = Dev::start(&authority, place.path()).await;
    assert_eq!(dev.seen("orders").await, doubted[..1], "and stays so");
    assert_eq!(dev.register("127.0.0.1").await.status, 200, "who registers what is in doubt is there");
    eventually("it serves", async || dev.seen("orders").await == serving[..1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_address_of_the_machine_registers() {
    let (authority, place) = place();
    let dev = Dev::start(&authority, place.path()).await;
    for (address, status) in [
        ("198.51.100.7", 403),
        ("0.0.0.0", 403),
        ("::", 403),
        ("here", 422),
        ("127.0.0.1:8080", 422),
        ("::ffff:127.0.0.2", 200),
        ("127.0.0.2", 409),
        ("", 200),
    ] {
        let answer = dev.register(address).await;
        assert_eq!(answer.status, status, "{address}: {}", answer.body);
        assert_eq!(answer.body.contains("not an address of this machine"), status == 403, "{}", answer.body);
    }
    assert_eq!(dev.deregister("198.51.100.7").await.status, 403);
    assert_eq!(dev.deregister("127.0.0.3").await.status, 404);
    assert!(!place.path().join("127.0.0.3").exists(), "who takes back opens nothing");
    if let Some(outward) = outward() {
        assert_eq!(dev.register(&outward.to_string()).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_on_loopback_are_probed_there() {
    let (authority, place) = place();
    let dev = Dev::start(&authority, place.path()).await;
    let mut open = Vec::new();
    for address in ["127.0.0.1", "127.0.0.2", "::1"] {
        // A machine may have no IPv6.
        let Ok(listener) = TcpListener::bind((address, 0)).await else { continue };
        let port = listener.local_addr().unwrap().port();
        let body = format!(r#"{{"address":"{address}","port":{port},"probe":"tcp","ttl":"10m"}}"#);
        let answer = dev.send("POST /web/1.0.0/register", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        open.push((address, listener));
    }
    let all =
        |state: &str| -> Vec<_> { open.iter().map(|(address, _)| format!("{address} {state}")).collect() };
    let (serving, refused) = (all("Serving Ready"), all("Failing ProbeRefused"));
    let probed = async |dev: &Dev, health: &str| {
        let shown = json(&dev.get("/v1/self").await);
        shown["registrations"].as_array().unwrap().iter().all(|one| one["health"] == health)
    };
    eventually("all are probed", async || probed(&dev, "passing").await).await;
    eventually("all serve", async || dev.seen("web").await == serving).await;

    dev.kill().await;
    let dev = Dev::start(&authority, place.path()).await;
    // Without a beat.
    eventually("a probe ends the doubt", async || dev.seen("web").await == serving).await;
    drop(open);
    eventually("none listens", async || dev.seen("web").await == refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_says_of_all_counts_at_each_address() {
    let (authority, place) = place();
    let dev = Dev::start(&authority, place.path()).await;
    let all = |addresses: &[&str], state: &str| -> Vec<_> {
        addresses.iter().map(|address| format!("{address} {state}")).collect()
    };
    let (two, three) = (["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    for address in two {
        assert_eq!(dev.register(address).await.status, 200);
    }
    assert_eq!(dev.send("PUT /v1/self/health", r#"{"state":"failing"}"#).await.status, 204);
    let failing = all(&two, "Failing AppSaysFailing");
    eventually("both fail", async || dev.seen("orders").await == failing).await;
    assert_eq!(dev.register("127.0.0.3").await.status, 200);
    let failing = all(&three, "Failing AppSaysFailing");
    eventually("so does one that comes later", async || dev.seen("orders").await == failing).await;
    assert_eq!(dev.send("PUT /v1/self/health", r#"{"state":"serving"}"#).await.status, 204);
    let serving = all(&three, "Serving Ready");
    eventually("all serve", async || dev.seen("orders").await == serving).await;

    assert_eq!(dev.send("POST /v1/self/drain?deadline=1s", "").await.status, 200);
    let draining = all(&three, "Draining DrainRequested");
    eventually("all drain", async || dev.seen("orders").await == draining).await;
    assert_eq!(dev.send("DELETE /v1/self/drain", "").await.status, 204);
    eventually("all are back", async || dev.seen("orders").await == serving).await;
    assert_eq!(dev.send("DELETE /v1/self", "").await.status, 204);
    eventually("all are gone", async || dev.get("/v1/services/orders").await.status == 404).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_an_end_to_addresses_and_one_with_nothing_makes_room() {
    let (authority, place) = place();
    let dev = Dev::start(&authority, place.path()).await;
    let folders = || std::fs::read_dir(place.path()).unwrap().count();
    for number in 1..=16 {
        let address = format!("127.0.0.{number}");
        assert_eq!(dev.register(&address).await.status, 200, "{address}");
    }
    let full = dev.register("127.0.0.17").await;
    assert_eq!((full.status, folders()), (503, 16), "{}", full.body);
    assert!(full.body.contains("16 addresses") && full.header("retry-after").is_some(), "{}", full.body);

    assert_eq!(dev.deregister("127.0.0.5").await.status, 200);
    eventually("it makes room", async || dev.register("127.0.0.17").await.status == 200).await;
    assert_eq!(*dev.pods.let_go.lock().unwrap(), [IpAddr::from([127, 0, 0, 5])]);
    assert!(!place.path().join("127.0.0.5").exists() && folders() == 16);
    assert_eq!(dev.register("127.0.0.5").await.status, 503);
    eventually("the others are there", async || dev.seen("orders").await.len() == 16).await;

    dev.trigger.pull();
    let Dev { mut parts, controller, .. } = dev;
    while parts.join_next().await.is_some() {}
    controller.stop().await;
    let dev = Dev::start(&authority, place.path()).await;
    let seen = dev.seen("orders").await;
    assert!(seen.len() == 16 && seen.iter().all(|one| one.ends_with("Suspect AwaitingBeat")), "{seen:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_flag_and_what_to_do() {
    let (authority, place) = place();
    let controller = Controller::start(&authority, ANY, vec![]).await;
    let pods = Arc::new(Known { index: controller.index.clone(), let_go: Mutex::default() });
    let holds = std::net::TcpListener::bind(ANY).unwrap();
    let taken = holds.local_addr().unwrap();
    let free = || setting(&authority, place.path(), controller.address, &pods);
    for (flag, setting) in [
        ("--api-listen", Setting { api: taken, ..free() }),
        ("--dns-listen", Setting { dns: vec![taken], ..free() }),
    ] {
        let error = Local::bind(setting).unwrap_err().to_string();
        let named = error.starts_with(&format!("{flag} {taken}: "));
        assert!(named && error.contains(&format!("give {flag} another port")), "{error}");
    }
    let nobody = Setting { ca_pem: "none".to_owned(), ..free() };
    assert!(Local::bind(nobody).is_err());
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Local::bind(Setting { state_dir: file, ..free() }).unwrap_err().to_string();
    assert!(error.contains("use another folder"), "{error}");
}
