//! The controller as a process of its own, and what it says of itself.

use crate::catalogue::Catalogue;
use crate::http;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollcall_cluster::{CONTROLLER_ALLOCATES, companion::Companion};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The built program; set by `cargo xtask test`.
const PROGRAM: &str = "ROLLCALL_CONTROLLER_PROGRAM";
/// First lists of a small cluster take milliseconds; a loaded machine must get there too.
const READY_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A controller that runs.
#[derive(Debug)]
pub struct Controller {
    process: Companion,
    health: SocketAddr,
    read: SocketAddr,
    sessions: SocketAddr,
    log: PathBuf,
}

/// Holds what it takes to start one.
#[derive(Debug, Clone)]
pub struct Settings {
    pub program: PathBuf,
    pub kubeconfig: PathBuf,
    /// Its own namespace.
    pub namespace: String,
    /// The same after a restart: sidecars come back to it.
    pub sessions: SocketAddr,
    /// Where the API server asks it, and by which configuration; none: it does not.
    pub webhook: Option<(SocketAddr, String)>,
    pub log: PathBuf,
    /// Of one among several: it has the address of `sessions` for itself.
    pub replica: Option<Among>,
}

/// Says how one of several replicas finds the others.
#[derive(Debug, Clone)]
pub struct Among {
    /// Its own name, which is its pod's.
    pub name: String,
    /// Where the others have their sessions.
    pub others: Vec<SocketAddr>,
    /// Of a token of the service account `default` in the controller's namespace.
    pub token_file: PathBuf,
    /// What else it is told.
    pub flags: Vec<String>,
}

/// Holds what a process has cost so far.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub memory_kib: u64,
    /// The most that it ever was.
    pub memory_peak_kib: u64,
    pub cpu_ms: u64,
}

/// Holds what a controller told Prometheus at one moment.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// The sum of a metric's series whose labels contain this; none where there is no such series.
    pub fn sum(&self, name: &str, labels: &str) -> Option<f64> {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        let values = series.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let own = series.split('{').next() == Some(name) && series.contains(labels);
            own.then(|| value.parse::<f64>().ok())?
        });
        values.reduce(|sum, value| sum + value)
    }
}

/// The program from the environment, or else built now.
pub fn program() -> Result<PathBuf> {
    Ok(rollcall_cluster::program(PROGRAM, "rollcall-controller")?)
}

impl Controller {
    /// Starts one, and waits until it has seen the whole cluster.
    pub fn start(settings: &Settings) -> Result<Self> {
        let (health, read, sessions) = (free_port()?, free_port()?, settings.sessions);
        let log = OpenOptions::new().create(true).append(true).open(&settings.log)?;
        let errors = log.try_clone()?;
        let (kubeconfig, namespace) = (settings.kubeconfig.clone(), settings.namespace.clone());
        let webhook = settings.webhook.clone();
        let listen = match &settings.replica {
            Some(Among { name, others, token_file, flags }) => {
                let others: Vec<_> = others.iter().map(SocketAddr::to_string).collect();
                // No flag takes an empty list.
                let peers = (!others.is_empty()).then(|| format!("--peers={}", others.join(",")));
                let known = vec![
                    format!("--sessions-listen={sessions}"),
                    format!("--replica={name}"),
                    "--service-account=default".to_owned(),
                    format!("--replica-token-file={}", token_file.display()),
                ];
                [known, peers.into_iter().collect(), flags.clone()].concat()
            }
            None => vec![format!("--sessions-listen=0.0.0.0:{}", sessions.port())],
        };
        let process = Companion::start("starting the controller", &settings.program, move |controller| {
            let (allocates, how) = CONTROLLER_ALLOCATES;
            controller.env("KUBECONFIG", kubeconfig).env(allocates, how);
            controller.args(["--namespace", &namespace]).args(listen);
            controller.args(["--health-listen", &health.to_string(), "--read-listen", &read.to_string()]);
            controller.args(["--read-listen-v6", "[::1]:0"]);
            if let Some((address, name)) = webhook {
                let address = format!("0.0.0.0:{}", address.port());
                controller.args(["--webhook", &name, "--admission-listen", &address]);
            }
            controller.stdin(Stdio::null()).stdout(log).stderr(errors);
        })?;
        let controller = Self { process, health, read, sessions, log: settings.log.clone() };
        let begin = Instant::now();
        loop {
            if let Some(ended) = controller.process.ended() {
                bail!("the controller ended: {ended}\n{}", controller.last_words());
            }
            let said = match http::get(health, "/readyz") {
                Ok(answer) if answer.status == 200 => return Ok(controller),
                Ok(answer) => answer.body,
                Err(error) => format!("{error:#}"),
            };
            ensure!(begin.elapsed() < READY_MAX, "not ready: {said}\n{}", controller.last_words());
            sleep(LOOK_EVERY);
        }
    }

    /// Pulls its plug.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where it serves sessions.
    pub fn sessions(&self) -> SocketAddr {
        self.sessions
    }

    /// Where it answers probes and Prometheus.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// Where it answers people.
    pub fn reading(&self) -> SocketAddr {
        self.read
    }

    /// It stands still until it is told to go on.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.process.pid().try_into()?), signal)?)
    }

    /// What the read API says; an error is an answer that is none.
    pub fn read(&self, path: &str) -> Result<Value> {
        let answer = http::get(self.read, path).with_context(|| path.to_owned())?;
        ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).with_context(|| path.to_owned())
    }

    pub fn read_status(&self, path: &str) -> Result<u16> {
        Ok(http::get(self.read, path)?.status)
    }

    /// The catalogue of some namespaces.
    pub fn catalogue(&self, namespaces: &[String]) -> Result<Catalogue> {
        let mut catalogue = Catalogue::default();
        for namespace in namespaces {
            catalogue.add_dump(&self.read(&format!("/v1/catalogue?namespace={namespace}"))?)?;
        }
        Ok(catalogue)
    }

    /// The dump of a namespace from its second line on, which is all that two replicas must agree on.
    pub fn dump(&self, namespace: &str) -> Result<String> {
        let answer = http::get(self.read, &format!("/v1/catalogue?namespace={namespace}"))?;
        ensure!(answer.status == 200, "{}", answer.body);
        Ok(answer.body.split_once('\n').context("a dump of one line")?.1.to_owned())
    }

    /// The sum of a metric's series whose labels contain this.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        self.metrics()?.sum(name, labels).with_context(|| format!("no metric {name} {{{labels}}}"))
    }

    /// All that it tells Prometheus at once.
    pub fn metrics(&self) -> Result<Metrics> {
        let answer = http::get(self.health, "/metrics")?;
        ensure!(answer.status == 200, "GET /metrics: {} {}", answer.status, answer.body);
        Ok(Metrics(answer.body))
    }

    /// How it ended, where it has.
    pub fn ended(&self) -> Option<String> {
        self.process.ended()
    }

    pub fn cost(&self) -> Result<Cost> {
        let place = Path::new("/proc").join(self.process.pid().to_string());
        let status = fs::read_to_string(place.join("status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        let (memory_kib, memory_peak_kib) = (kib("VmRSS:")?, kib("VmHWM:")?);
        let stat = fs::read_to_string(place.join("stat"))?;
        let fields = stat.rsplit_once(") ").context("no end of the name")?.1.split(' ');
        // utime and stime, in ticks of 10 ms on every Linux that there is.
        let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Cost { memory_kib, memory_peak_kib, cpu_ms: ticks * 10 })
    }

    pub fn last_words(&self) -> String {
        const LINES: usize = 40;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

/// A port that nobody has at this moment, from below those that the kernel gives to whoever calls somebody: what was free a
/// moment ago would else be somebody's when it is opened.
pub fn free_port() -> Result<SocketAddr> {
    const LOWEST: u16 = 20_000;
    const PORTS: u16 = 12_000;
    let start = RandomState::new().build_hasher().finish() % u64::from(PORTS);
    let numbers = (0..PORTS).map(|n| LOWEST + (u16::try_from(start).unwrap_or_default() + n) % PORTS);
    let mut addresses = numbers.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).context("no port is free")
}
