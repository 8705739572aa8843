//! The start of a pod: what the kubelet waits for, and `requires`, as the process that an init container is.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rollcall_controller::Authority;
use tempfile::TempDir;

use super::service::with_orders;
use crate::bench::{Pod, Volumes, eventually, request};

/// The file that the kubelet makes for a container's last words.
const LOG: &str = "termination-log";

/// Holds an init container's own files.
struct Container(TempDir);

/// An address of this machine where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Container {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOG), "").unwrap();
        Self(folder)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.0.path().join(LOG)).unwrap()
    }

    /// Its process, which leaves its last words in the file of this name.
    fn command(&self, api: SocketAddr, deps: &str, timeout: &str, log: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall-sidecar"));
        command
            .env_clear()
            // What its pod's sidecar has, it may have as well.
            .env("ROLLCALL_CONTROLLER", "10.0.0.1:7310")
            .args(["requires", "--deps", deps, "--timeout", timeout, "--url", &format!("http://{api}")])
            .arg("--termination-log")
            .arg(self.0.path().join(log))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Its whole life, beside a sidecar that answers here.
    async fn run(&self, api: SocketAddr, deps: &str, timeout: &str) -> Output {
        output(self.command(api, deps, timeout, LOG)).await
    }
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_well_when_all_is_there_and_when_the_time_is_over() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let container = Container::new();
    let met = container.run(pod.api, "orders>=2, orders.shop", "60s").await;
    assert!(met.status.success(), "{met:?}");
    assert_eq!(container.said(), "");

    let begin = Instant::now();
    let over = container.run(pod.api, "orders>=100,orders,nothing", "700ms").await;
    assert!(over.status.success() && begin.elapsed() >= Duration::from_millis(700), "{over:?}");
    let said = container.said();
    let rest = said.strip_prefix("RequiresTimedOut: after 700ms: orders needs 100 and has ").unwrap();
    assert!(rest.ends_with(", nothing needs 1 and has 0"), "{said}");
    let logged = String::from_utf8(over.stderr).unwrap();
    assert!(logged.contains(&said), "{logged}");

    // A check shall fail, and only then.
    for (deps, timeout, status) in [("orders", "60s", 0), ("nothing", "1ms", 1)] {
        let mut check = container.command(pod.api, deps, timeout, LOG);
        check.arg("--fail");
        let checked = output(check).await;
        assert_eq!(checked.status.code(), Some(status), "{checked:?}");
    }

    let nowhere = container.command(pod.api, "nothing", "1ms", "no-such-file");
    let over = output(nowhere).await;
    assert!(over.status.success() && !container.0.path().join("no-such-file").exists(), "{over:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_is_late_is_waited_for_and_one_that_never_comes_is_not() {
    let authority = Authority::generate("test").unwrap();
    let container = Container::new();
    let over = container.run(nobody(), "orders", "300ms").await;
    assert!(over.status.success(), "{over:?}");
    assert!(container.said().contains("after 300ms: the sidecar did not answer at 127.0.0.1:"), "{over:?}");

    let (played, _pod) = with_orders(&authority).await;
    let (container, volumes) = (Container::new(), Volumes::new(&authority));
    let child = container.command(volumes.at(7300), "orders>=2", "60s", LOG).spawn().unwrap();
    let _late = volumes.start(played.address).await;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success() && container.said().is_empty(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_end_does_not_wait_and_who_asks_nonsense_is_told() {
    let container = Container::new();
    let mut child = container.command(nobody(), "orders", "10m", LOG).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    // With its first line it hears signals.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.as_mut().unwrap()), &mut line)
        .unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success() && container.said().is_empty(), "{line}");

    let nonsense = container.run(nobody(), "orders>2", "60s").await;
    assert_eq!(nonsense.status.code(), Some(2), "{nonsense:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubelet_is_told_when_the_pod_may_start() {
    let authority = Authority::generate("test").unwrap();
    let startz = async |pod: &Pod, method: &str| {
        request(pod.health, &format!("{method} /startz HTTP/1.1\r\nHost: a\r\n")).await
    };
    let (_played, pod) = with_orders(&authority).await;
    for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405)] {
        assert_eq!(startz(&pod, method).await.status, status, "{method}");
    }
    let begin = Instant::now();
    let alone = Pod::start(&authority, nobody(), "u9").await;
    let early = startz(&alone, "GET").await;
    assert!(early.status == 503 && early.body.contains("not in step"), "{early:?}");
    eventually("it is waited for no longer", async || startz(&alone, "GET").await.status == 200).await;
    assert!(begin.elapsed() >= Duration::from_secs(5));
    assert_eq!(request(alone.health, "GET /readyz HTTP/1.1\r\nHost: a\r\n").await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_given_wins_over_the_file_and_one_that_is_none_fails_the_start() {
    let authority = Authority::generate("test").unwrap();
    let (played, _pod) = with_orders(&authority).await;
    // In the file is another one.
    let (other, flags) =
        (Authority::generate("other").unwrap(), format!("--ca-pem={}", authority.certificate_pem));
    let pod = Pod::with_flags(&other, played.address, "token-of-u9", &[flags]).await;
    eventually("in step", async || pod.get("/readyz").await.status == 200).await;

    let volumes = Volumes::new(&authority);
    let said = volumes.fail_with(nobody(), &[("ROLLCALL_CA_PEM", "a secret of somebody's")]);
    assert!(said.contains("ROLLCALL_CA_PEM") && said.contains("give at least one"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
