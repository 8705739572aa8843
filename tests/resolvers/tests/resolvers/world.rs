//! A pod as `rollcall.dev/dns: resolver` makes it: its first nameserver is the sidecar, its second the cluster's DNS.
//!
//! ```text
//!  program ─► /etc/resolv.conf ─┬─ 127.0.0.1:53, the sidecar ─┬─ rollcall.: the controller's half, in this process
//!                               │                             └─ all else ─┐
//!                               └──────────────────────────────────────────┴─► 10.96.0.10:53, played by this process
//! ```
//!
//! The network and the files are a test's own: a thread that has left those of the machine, and all that it starts.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::resume_unwind,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use rollcall_catalogue::{
    Attributes, PodFacts, PodUid, Port, Registration, Source, Target, liveness::PodLife,
};
use rollcall_cluster::{companion::Companion, program};
use rollcall_controller::{
    Authority, IndexHandle,
    auth::{AuthError, Review, Reviewer},
    index::{Change, Index, Kind},
    operate::Metrics,
    owner,
    sessions::Sessions,
};
use rollcall_controller_tests::http::get;
use rollcall_net::{Trigger, bind, server_config, shutdown};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{cluster_dns::ClusterDns, programs};

/// The built program; set by `cargo xtask test`.
const PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const LOOKUPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7300);
/// As Kubernetes writes it for a pod of the namespace `shop`.
const RESOLV_CONF: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local\n\
    nameserver 127.0.0.1\nnameserver 10.96.0.10\noptions ndots:5\n";
/// As Debian's images have it; a machine may have more.
const NSSWITCH_CONF: &str = "hosts: files dns\n";
/// Longer than any healthy machine takes, so that only what never happens fails.
const EVENTUALLY: Duration = Duration::from_secs(20);
const CALLER: &str = "u9";

/// Holds all that a test needs; it ends with it.
pub struct World {
    pub cluster_dns: ClusterDns,
    sidecar: Companion,
    _parts: JoinSet<()>,
    _trigger: Trigger,
    _runtime: Runtime,
}

/// Believes that everyone is the pod that the token names.
struct Believer;

/// Runs a test in a pod of its own, with a sidecar that is in step.
pub fn in_a_pod(test: impl FnOnce(World) + Send) {
    let folder = tempfile::tempdir().unwrap();
    // Where everything that a build may need can be reached.
    let program = program(PROGRAM, "rollcall-sidecar").unwrap();
    programs::made();
    let own = || {
        apart(&folder);
        test(World::start(&folder, &program));
    };
    let ended = thread::scope(|scope| scope.spawn(own).join());
    ended.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Leaves the network and the mounts of the machine for good, which root may.
fn apart(folder: &TempDir) {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root may do this");
    let none = None::<&Path>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for (name, text) in [("resolv.conf", RESOLV_CONF), ("nsswitch.conf", NSSWITCH_CONF)] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        mount(Some(&file), &Path::new("/etc").join(name), none, MsFlags::MS_BIND, none).unwrap();
    }
    for arguments in [&["link", "set", "lo", "up"][..], &["address", "add", "10.96.0.10/32", "dev", "lo"]] {
        assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
    }
}

// === impl World ===

impl World {
    fn start(folder: &TempDir, program: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (trigger, parts, controller) = runtime.block_on(controller(&file("ca.crt")));
        let cluster_dns = runtime.block_on(ClusterDns::start(CLUSTER_DNS));
        fs::write(file("token"), CALLER).unwrap();
        fs::create_dir(file("state")).unwrap();
        let arguments = [
            format!("--controller={controller}"),
            format!("--ca-file={}", file("ca.crt").display()),
            format!("--token-file={}", file("token").display()),
            format!("--state-dir={}", file("state").display()),
            "--dns-listen=127.0.0.1:53,[::1]:53".to_owned(),
            format!("--dns-forward={CLUSTER_DNS}"),
        ];
        let log = File::create(file("log")).unwrap();
        let sidecar = Companion::start("starting a sidecar", program, |sidecar| {
            sidecar.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        });
        let world = Self {
            cluster_dns,
            sidecar: sidecar.unwrap(),
            _parts: parts,
            _trigger: trigger,
            _runtime: runtime,
        };
        let begin = Instant::now();
        while !get(LOOKUPS, "/readyz").is_ok_and(|answer| answer.status == 200) {
            let log = || fs::read_to_string(file("log")).unwrap_or_default();
            assert!(begin.elapsed() < EVENTUALLY && world.sidecar.ended().is_none(), "{}", log());
            thread::sleep(Duration::from_millis(5));
        }
        world
    }

    /// As the kernel ends one that takes too much.
    pub fn kill_the_sidecar(&mut self) {
        self.sidecar.kill();
    }
}

/// The controller's half: it knows two instances of `orders`, and who asks.
async fn controller(authority_file: &Path) -> (Trigger, JoinSet<()>, SocketAddr) {
    let authority = Authority::generate("test").unwrap();
    fs::write(authority_file, &authority.certificate_pem).unwrap();
    let leaf = authority.leaf("test").unwrap();
    let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
    let (owner, index) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let sessions = Sessions::new("test".to_owned(), index.clone(), Believer, Metrics::new());
    let mut parts = JoinSet::new();
    parts.spawn(owner.run(ear.clone()));
    parts.spawn(async move { sessions.serve(listener, tls, ear).await.unwrap() });
    tell(&index).await;
    (trigger, parts, address)
}

async fn tell(index: &IndexHandle) {
    for kind in Kind::ALL {
        index.apply(Change::ListBegins(kind)).await.unwrap();
        if kind == Kind::Pod {
            for pod in [pod(1, Some("1.4.2")), pod(2, Some("2.0.0")), pod(9, None)] {
                index.apply(pod).await.unwrap();
            }
        }
        index.apply(Change::ListEnds(kind)).await.unwrap();
    }
}

/// A pod of the namespace `shop`; of `orders`, where it has a version.
fn pod(number: u8, version: Option<&str>) -> Change {
    let registration = |version: &str| Registration {
        key: "orders.shop".parse().unwrap(),
        source: Source::Annotation,
        target: Target::Own,
        policy: None,
        visibility: None,
        attributes: Attributes {
            version: version.parse().ok(),
            ports: vec![Port::tcp(Some("http"), 8080)],
            ..Attributes::default()
        },
    };
    let facts = PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: "shop".parse().unwrap(),
        name: format!("pod-{number}").into(),
        node: None,
        addresses: [[10, 0, 0, number].into()].into(),
        labels: Arc::default(),
        has_sidecar: false,
        asks_to_drain: false,
        registration: version.map(|version| Arc::new(registration(version))),
        life: PodLife::READY,
    };
    Change::Pod(Box::new(facts.into()))
}

// === impl Believer ===

impl Reviewer for Believer {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        Ok(Review { pod: PodUid::from(token) })
    }
}
