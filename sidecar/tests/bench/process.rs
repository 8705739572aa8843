//! The sidecar as it runs in a pod: a process of its own, with a volume that outlives it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use rollcall_controller::Authority;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{Answer, eventually, request};

/// Tells the processes of this test's process apart, by their loopback addresses.
static NUMBER: AtomicU8 = AtomicU8::new(1);

/// Holds what a pod has on its volumes.
pub struct Volumes {
    folder: TempDir,
    host: [u8; 4],
}

pub struct Process<'a> {
    pub api: SocketAddr,
    pub health: SocketAddr,
    pub dns: SocketAddr,
    child: Child,
    _volumes: &'a Volumes,
    started: Instant,
}

/// A loopback address that nobody else has.
pub fn host() -> [u8; 4] {
    let [high, low] = std::process::id().to_be_bytes()[2..] else { unreachable!() };
    [127, 1 | high, low, NUMBER.fetch_add(1, Ordering::Relaxed)]
}

// === impl Volumes ===

impl Volumes {
    /// Of pod 9.
    pub fn new(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.crt"), &authority.certificate_pem).unwrap();
        fs::write(folder.path().join("token"), "token-of-u9").unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder, host: host() }
    }

    /// Where its sidecar has this port.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.host, port).into()
    }

    pub fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state/state")
    }

    /// Whether the file of the last state holds this.
    pub fn keeps(&self, text: &str) -> bool {
        let bytes = fs::read(self.state()).unwrap_or_default();
        bytes.windows(text.len()).any(|at| at == text.as_bytes())
    }

    /// The sidecar's process over these volumes, once it listens.
    pub async fn start(&self, controller: SocketAddr) -> Process<'_> {
        self.start_with(controller, &self.folder.path().join("state")).await
    }

    pub async fn start_with(&self, controller: SocketAddr, state_dir: &Path) -> Process<'_> {
        let started = Instant::now();
        let child = self.command(controller, state_dir).spawn().unwrap();
        let [api, health, dns] = [7300, 7390, 7353].map(|port| self.at(port));
        let process = Process { api, health, dns, child, _volumes: self, started };
        eventually("it listens", async || TcpStream::connect(api).await.is_ok()).await;
        process
    }

    /// Starts a sidecar that is to fail; what it logs.
    pub fn fail(&self, controller: SocketAddr) -> String {
        self.fail_with(controller, &[])
    }

    /// The same, with these variables as well.
    pub fn fail_with(&self, controller: SocketAddr, variables: &[(&str, &str)]) -> String {
        let mut command = self.command(controller, &self.folder.path().join("state"));
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn command(&self, controller: SocketAddr, state_dir: &Path) -> Command {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall-sidecar"));
        command
            .env_clear()
            .env("ROLLCALL_CONTROLLER", controller.to_string())
            .env("ROLLCALL_CA_FILE", file("ca.crt"))
            .env("ROLLCALL_TOKEN_FILE", file("token"))
            .env("ROLLCALL_STATE_DIR", state_dir)
            .env("ROLLCALL_API_LISTEN", self.at(7300).to_string())
            .env("ROLLCALL_API_LISTEN_V6", "[::1]:0")
            .env("ROLLCALL_HEALTH_LISTEN", self.at(7390).to_string())
            .env("ROLLCALL_DNS_LISTEN", self.at(7353).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

// === impl Process ===

impl Process<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        request(self.api, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n")).await
    }

    pub async fn orders(&self) -> Answer {
        self.get("/v1/services/orders").await
    }

    /// How long after its start it answered first.
    pub async fn first_answer(&self) -> (Answer, Duration) {
        let answer = self.orders().await;
        (answer, self.started.elapsed())
    }

    /// The processor's time that it took so far.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // A hundred a second on every Linux.
        Duration::from_millis(ticks * 10)
    }

    /// As the kernel ends one that takes too much.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As the kubelet ends it; what it logged.
    pub fn terminate(mut self) -> Vec<String> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
