//! A sidecar as it is in its image.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rollcall_cluster::{companion::Companion, image::Image};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    caller::Caller,
    half::Half,
    process::{listening, measured},
    shop::{CALLER, Shop},
};
use crate::peers::Data;

/// Names the sidecar's program, as it is in its image.
const SIDECAR_PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
/// Its memory limit as the chart has it; who looks up more than fits gives it more, as an operator does.
const MEMORY_MAX_MIB: u32 = 48;
/// Of what it may take beyond itself two parts in five are for what it holds, of which 1,000 instances take some 700 KiB.
const INSTANCES_A_MIB: u32 = 400;
/// The program itself.
const ITSELF_MIB: u32 = 16;
/// What is not in step by then never is.
const IN_STEP_MAX: Duration = Duration::from_secs(60);

/// Holds a sidecar and what it runs on.
pub(crate) struct Sidecar {
    pub(crate) process: Companion,
    pub(crate) at: SocketAddr,
    pub(crate) dns: SocketAddr,
    health: SocketAddr,
}

/// Holds the files that a sidecar needs, over its restarts.
pub(crate) struct Pod {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    memory_max_mib: u32,
}

// === impl Pod ===

impl Pod {
    /// Of the sidecar that the environment names. Its four ports are this one and the three above it.
    pub(crate) fn new(port: u16) -> anyhow::Result<Self> {
        let program = env::var(SIDECAR_PROGRAM).with_context(|| format!("{SIDECAR_PROGRAM} is not set"))?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("token"), CALLER)?;
        fs::create_dir(folder.path().join("state"))?;
        Ok(Self { program: program.into(), folder, port, memory_max_mib: MEMORY_MAX_MIB })
    }

    /// With as much memory as it needs to hold all of this.
    pub(crate) fn that_holds(self, data: Data) -> Self {
        let needed_mib = ITSELF_MIB + data.services * data.instances / INSTANCES_A_MIB;
        Self { memory_max_mib: needed_mib.max(MEMORY_MAX_MIB), ..self }
    }

    /// How large the image of this program is, which holds nothing else.
    pub(crate) fn image_mib(&self) -> anyhow::Result<f64> {
        let archive = self.folder.path().join("image.tar");
        Image::of_program("sidecar".to_owned(), &self.program).write(&archive)?;
        let bytes = fs::metadata(&archive)?.len();
        fs::remove_file(&archive)?;
        Ok(bytes as f64 / f64::from(1 << 20))
    }

    /// Starts the controller's half on the load's processor and behind the load, whom the sidecar believes from now on.
    pub(crate) fn controller(&self, shop: Shop) -> anyhow::Result<Half> {
        let arguments = shop.arguments(self.port + 2, None);
        let process = Companion::start("starting a controller", &env::current_exe()?, move |half| {
            half.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        })?;
        let (half, authority) = Half::of(process)?;
        fs::write(self.folder.path().join("ca.crt"), authority)?;
        Ok(half)
    }

    pub(crate) async fn start(&self) -> anyhow::Result<Sidecar> {
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (at, health, dns) = (local(self.port), local(self.port + 1), local(self.port + 3));
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let arguments = [
            format!("--controller={}", local(self.port + 2)),
            format!("--ca-file={}", file("ca.crt")),
            format!("--token-file={}", file("token")),
            format!("--state-dir={}", file("state")),
            format!("--api-listen={at}"),
            format!("--api-listen-v6=[::1]:{}", self.port),
            format!("--health-listen={health}"),
            format!("--dns-listen={dns}"),
            format!("--memory-max-mib={}", self.memory_max_mib),
        ];
        let process = measured("starting the sidecar", &self.program, move |sidecar| {
            sidecar.args(arguments).stderr(Stdio::null()).env("ROLLCALL_LOG", "error");
        })?;
        listening(at, &process).await?;
        Ok(Sidecar { process, at, dns, health })
    }
}

// === impl Sidecar ===

impl Sidecar {
    /// The request that looks one service up.
    pub(crate) fn request(&self, number: u32) -> String {
        format!("GET /v1/services/{} HTTP/1.1\r\nHost: {}\r\n\r\n", Data::service(number), self.at)
    }

    /// Looks each of these up once, so that it is held from then on.
    pub(crate) async fn hold(&self, services: u32) -> anyhow::Result<()> {
        self.in_step().await?;
        let mut caller = Caller::connect(self.at).await?;
        for number in 0..services {
            caller.answer(&self.request(number)).await?;
        }
        self.in_step().await
    }

    /// Returns once everything that it holds is current.
    pub(crate) async fn in_step(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !self.is_in_step().await {
            if begin.elapsed() > IN_STEP_MAX {
                bail!("the sidecar does not come in step");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn is_in_step(&self) -> bool {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.health);
        match Caller::connect(self.health).await {
            Ok(mut caller) => caller.answer(&request).await.is_ok(),
            Err(_) => false,
        }
    }
}
