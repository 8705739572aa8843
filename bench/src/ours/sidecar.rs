//! A sidecar's process, and where it is.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use http::Method;
use rollcall_cluster::companion::Companion;
use tempfile::TempDir;
use tokio::time::sleep;

use super::localhost::Localhost;

/// Names the sidecar's program, as it is in its image.
const SIDECAR_PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
/// What is not in step by then never is.
const IN_STEP_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Says where a sidecar runs, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) token: String,
    /// The first of its three ports.
    pub(crate) port: u16,
    /// The network that it is in, where that is not ours.
    pub(crate) network: Option<String>,
}

/// Holds a sidecar that runs, or one that was ended, with its files.
pub(crate) struct Sidecar {
    process: Option<Companion>,
    folder: TempDir,
    place: Place,
    controller: SocketAddr,
    pub(crate) localhost: Localhost,
}

// === impl Sidecar ===

impl Sidecar {
    pub(crate) fn start(place: Place, controller: SocketAddr, authority: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("token"), &place.token)?;
        fs::write(folder.path().join("ca.crt"), authority)?;
        fs::create_dir(folder.path().join("state"))?;
        let localhost = Localhost::new(local(place.port));
        let mut sidecar = Self { process: None, folder, place, controller, localhost };
        sidecar.run()?;
        Ok(sidecar)
    }

    /// Starts it again, or for the first time, on the processor that is for what is measured.
    pub(crate) fn run(&mut self) -> anyhow::Result<()> {
        let program = program()?;
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let health = match self.place.network {
            // Its pod's address is for this pod alone.
            Some(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.place.port + 1)),
            None => local(self.place.port + 1),
        };
        let arguments = [
            format!("--controller={}", self.controller),
            format!("--ca-file={}", file("ca.crt")),
            format!("--token-file={}", file("token")),
            format!("--state-dir={}", file("state")),
            format!("--api-listen={}", local(self.place.port)),
            format!("--api-listen-v6=[::1]:{}", self.place.port),
            format!("--health-listen={health}"),
            format!("--dns-listen={}", local(self.place.port + 2)),
        ];
        let network = self.place.network.clone();
        // `ip netns exec` and `taskset` become the program, so that its pid is the program's.
        let words = inside(network.as_deref(), &program).into_iter().chain(arguments);
        let words: Vec<_> = words.collect();
        self.process = Some(Companion::start(
            "starting a sidecar",
            Path::new("taskset"),
            move |sidecar: &mut Command| {
                sidecar.args(["-c", "0"]).args(words).env("ROLLCALL_LOG", "error");
                sidecar.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            },
        )?);
        Ok(())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Companion::pid)
    }

    /// Returns once it is in session, and all that it holds is current.
    pub(crate) async fn in_step(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(ended) = self.process.as_ref().and_then(Companion::ended) {
                bail!("a sidecar ended by itself: {ended}");
            }
            let answer = self.localhost.call(Method::GET, "/readyz", None).await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if begin.elapsed() > IN_STEP_MAX {
                bail!("a sidecar does not come in step");
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The words that start a program in that network, or in ours.
pub(crate) fn inside(network: Option<&str>, program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    match network {
        Some(network) => {
            ["ip", "netns", "exec", network].map(str::to_owned).into_iter().chain([program]).collect()
        }
        None => vec![program],
    }
}

/// Said by who starts them, so that it is built for images.
fn program() -> anyhow::Result<PathBuf> {
    let program = env::var(SIDECAR_PROGRAM);
    Ok(program.with_context(|| format!("{SIDECAR_PROGRAM} is not set; `cargo xtask bench` sets it"))?.into())
}

fn local(port: u16) -> SocketAddr {
    (IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()
}
