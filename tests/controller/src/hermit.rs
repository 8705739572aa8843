//! Sidecars as processes, each in a network namespace of its own, so that the network between it and the controller can
//! be broken in every way there is. The pod that it is the sidecar of is a fake one of the cluster.

pub use crate::network::Fault;

use crate::http::{self, Answer};
use crate::network::Network;
use crate::objects;
use crate::stage::Scene;
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollcall_cluster::companion::Companion;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The built program; set by `cargo xtask test`.
const PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
const LOOKUPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7300);
const DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7353);
/// What answers at all answers within this, on a loaded machine too.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A sidecar with its network.
#[derive(Debug)]
pub struct Hermit {
    process: Option<Companion>,
    network: Network,
    arguments: Vec<String>,
    log: PathBuf,
    pub uid: String,
}

/// A watch of a service, as an app of the pod has one.
#[derive(Debug)]
pub struct Watching {
    events: Arc<Mutex<Vec<String>>>,
    stream: TcpStream,
}

/// An address of this machine that all hermits reach: where a controller may be that is one of several.
#[derive(Debug)]
pub struct Berth(Network);

impl Scene {
    /// A pod of this service on this node, ready for Kubernetes, and its sidecar.
    pub fn hermit(&self, namespace: &str, pod: &str, service: &str, node: u8) -> Result<Hermit> {
        let port = self.stage.controller().sessions().port();
        self.hermit_of(None, port, (namespace, pod, service, node))
    }

    /// The same, of a controller at this address.
    pub fn hermit_at(&self, controller: SocketAddr, pod: (&str, &str, &str, u8)) -> Result<Hermit> {
        self.hermit_of(Some(controller.ip()), controller.port(), pod)
    }

    /// The controller is at the network's other end where it is nowhere else.
    fn hermit_of(
        &self,
        controller: Option<IpAddr>,
        port: u16,
        (namespace, pod, service, node): (&str, &str, &str, u8),
    ) -> Result<Hermit> {
        let network = Network::new()?;
        let own = network.own().to_string();
        let mut annotations = objects::annotations(service, "1.0.0", "http:8080");
        // There is a sidecar, and no app that it could ask.
        annotations["rollcall.dev/probe"] = "none".into();
        let uid = self.pod_with_sidecar(namespace, pod, &annotations, &own, node)?;
        let folder = self.stage.folder();
        let place = |what: &str| folder.join(format!("{namespace}-{pod}-{what}"));
        fs::write(place("token"), self.token(namespace, pod, "rollcall")?)?;
        fs::write(place("ca"), self.stage.authority()?)?;
        let controller = SocketAddr::new(controller.unwrap_or(network.host().into()), port);
        let text = |path: PathBuf| path.display().to_string();
        let arguments = vec![
            format!("--controller={controller}"),
            format!("--ca-file={}", text(place("ca"))),
            format!("--token-file={}", text(place("token"))),
            format!("--state-dir={}", text(place("state"))),
        ];
        fs::create_dir_all(place("state"))?;
        let mut hermit = Hermit { process: None, network, arguments, log: place("log"), uid };
        hermit.start()?;
        Ok(hermit)
    }
}

impl Hermit {
    pub fn start(&mut self) -> Result<()> {
        let (name, arguments) = (self.network.name().to_owned(), self.arguments.clone());
        let program = rollcall_cluster::program(PROGRAM, "rollcall-sidecar")?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let errors = log.try_clone()?;
        // `ip netns exec` becomes the program, so that its pid is the program's.
        let process =
            Companion::start("starting a sidecar (as root)", std::path::Path::new("ip"), move |ip| {
                ip.args(["netns", "exec", &name]).arg(program).args(arguments);
                ip.stdin(Stdio::null()).stdout(log).stderr(errors);
            })?;
        self.process = Some(process);
        Ok(())
    }

    /// By SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.process.as_ref().context("it does not run")?.pid();
        Ok(kill(Pid::from_raw(pid.try_into()?), signal)?)
    }

    /// The network breaks in this way, and in no other.
    pub fn suffer(&self, fault: Fault) -> Result<()> {
        self.network.suffer(fault)
    }

    pub fn heal(&self) -> Result<()> {
        self.network.heal()
    }

    /// The file of its network.
    pub fn network(&self) -> PathBuf {
        self.network.file()
    }

    /// How it ended by itself; none while it runs.
    pub fn ended(&self) -> Option<String> {
        self.process.as_ref()?.ended()
    }

    /// Where the cluster reaches the pod.
    pub fn address(&self) -> Ipv4Addr {
        self.network.own()
    }

    /// What the app of this pod is told.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let path = path.to_owned();
        self.inside(move || http::get(LOOKUPS, &path))
    }

    /// What DNS says of this name: its code, and how many records.
    pub fn resolve(&self, name: &str) -> Result<(u8, u16)> {
        // One question for addresses.
        let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len())?);
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        self.inside(move || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(ANSWER_MAX))?;
            socket.send_to(&question, DNS)?;
            let mut answer = [0; 512];
            let size = socket.recv(&mut answer)?;
            ensure!(size >= 12 && answer[..2] == question[..2], "no answer to this question");
            Ok((answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]])))
        })
    }

    /// Watches this service until the value goes: the names of the events that came so far are in it.
    pub fn watch(&self, service: &str) -> Result<Watching> {
        let path = format!("/v1/services/{service}/watch");
        let mut stream = self.inside(move || {
            let mut stream = TcpStream::connect(LOOKUPS)?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {LOOKUPS}\r\n\r\n")?;
            Ok(stream)
        })?;
        let watching = Watching { events: Arc::default(), stream: stream.try_clone()? };
        let events = watching.events.clone();
        // It ends with the connection.
        thread::spawn(move || {
            for line in BufReader::new(&mut stream).lines().map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event:") {
                    events.lock().unwrap_or_else(PoisonError::into_inner).push(event.trim().to_owned());
                }
            }
        });
        Ok(watching)
    }

    /// Does this as a process of the pod would.
    fn inside<T: Send + 'static>(&self, act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let network = self.network();
        // Only this thread moves there, and it ends with the answer.
        let acting = thread::spawn(move || {
            setns(File::open(network)?, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        acting.join().map_err(|_| anyhow::anyhow!("the question died"))?
    }

    /// The pods that a lookup finds, and the age of the answer in seconds.
    pub fn lookup(&self, service: &str) -> Result<(Vec<String>, u64)> {
        let answer = self.get(&format!("/v1/services/{service}"))?;
        if answer.status != 200 {
            bail!("{service}: {} {}\n{}", answer.status, answer.body, self.last_words());
        }
        let body: Value = serde_json::from_str(&answer.body)?;
        let pods = body["instances"].as_array().into_iter().flatten();
        let mut pods: Vec<_> = pods.filter_map(|one| one["pod"].as_str().map(str::to_owned)).collect();
        pods.sort();
        let age = answer.header("age").context("no Age")?.parse()?;
        Ok((pods, age))
    }

    pub fn last_words(&self) -> String {
        const LINES: usize = 20;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Watching {
    /// The names of the events that came so far.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Who reads it notices, and ends.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Berth {
    pub fn new() -> Result<Self> {
        Network::new().map(Self)
    }

    pub fn address(&self) -> Ipv4Addr {
        self.0.host()
    }
}

impl Scene {
    fn pod_with_sidecar(
        &self,
        namespace: &str,
        name: &str,
        annotations: &Value,
        address: &str,
        node: u8,
    ) -> Result<String> {
        let sidecar = json!({"metadata": {"annotations": annotations}, "spec": {
            "nodeName": self.stage.nodes.name(node),
            "initContainers": [{"name": "rollcall-sidecar", "image": "nobody.example/pulls-this:1", "restartPolicy": "Always"}],
        }});
        self.pod_like(namespace, name, &sidecar, &[address])
    }
}
