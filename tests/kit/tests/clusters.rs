//! The cluster kit's promises: a real Kubernetes, faults that are real, and nothing left behind.
//!
//! The tests look at the whole host, so they take turns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::Result;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rollcall_cluster::{Cluster, Collects, Home, Name, Wish};
use rollcall_kit::{Host, eventually, kubectl};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(part: &str) -> Name {
    named(part, std::process::id())
}

fn named(part: &str, pid: u32) -> Name {
    Name::parse(&format!("kit-{part}-{pid}")).unwrap()
}

#[test]
fn the_tests_own_names_fit_whatever_the_pid() {
    for part in ["one", "two", "stopped", "control-plane", "node1"] {
        named(part, 4_194_304);
    }
}

/// A cluster that an `up` of its own process makes: it has no owner, so this ends it if its test does not.
struct Unowned<'a> {
    home: &'a Home,
    name: Name,
}

impl Drop for Unowned<'_> {
    fn drop(&mut self) {
        if let Err(error) = Cluster::down(self.home, &self.name) {
            eprintln!("{error}");
        }
    }
}

/// A cluster that ends with its test, whichever way that goes.
struct Guarded<'a> {
    home: &'a Home,
    cluster: Cluster,
}

impl<'a> Guarded<'a> {
    fn up(home: &'a Home, part: &str, nodes: u8, collects: Collects) -> Result<Self> {
        let wish = Wish { collects, ..Wish::new(&name(part), nodes) };
        Ok(Self { home, cluster: Cluster::up(home, &wish)? })
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        if let Err(error) = Cluster::down(self.home, &self.cluster.layout().name) {
            eprintln!("{error}");
        }
    }
}

const WEB: &str = include_str!("web.yaml");

#[test]
fn two_clusters_serve_side_by_side_survive_faults_and_leave_nothing() {
    let _turn = my_turn();
    let home = Home::of_this_user().unwrap();
    let before = Host::look(&home).unwrap();
    {
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| Guarded::up(&home, "one", 3, Collects::AsShipped));
            let two = scope.spawn(|| Guarded::up(&home, "two", 1, Collects::Seldom));
            (one.join().unwrap().unwrap(), two.join().unwrap().unwrap())
        });
        assert_ne!(one.cluster.layout().slot, two.cluster.layout().slot);
        serves_across_nodes(&one.cluster).unwrap();
        survives_faults(&one.cluster).unwrap();
        survives_faults_of_processes(&one.cluster).unwrap();
        collects_seldom_from_its_start_on(&two.cluster).unwrap();
        // The other one goes on, though the first one's end took links, routes and cgroups away beside it.
        run_web(&two.cluster).unwrap();
        drop(one);
        let web = pods(&two.cluster).unwrap().swap_remove(0);
        eventually("an answer in the other cluster", || {
            Ok(ask_web(&two.cluster, &web.name)?.starts_with("web-"))
        })
        .unwrap();
        assert!(two.cluster.status().iter().all(rollcall_cluster::NodeStatus::is_well));
    }
    assert_eq!(Host::look(&home).unwrap().more_than(&before), Vec::<String>::new());
}

struct Pod {
    name: String,
    node: String,
}

fn run_web(cluster: &Cluster) -> Result<()> {
    let manifest = cluster.layout().folder().join("web.yaml");
    std::fs::write(&manifest, WEB)?;
    kubectl(cluster, &["apply", "-f", &manifest.display().to_string()])?;
    kubectl(cluster, &["rollout", "status", "deployment/web", "--timeout=120s"]).map(drop)
}

fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    const NAMES: &str = r#"jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}"#;
    let text = kubectl(cluster, &["get", "pods", "-l", "app=web", "-o", NAMES])?;
    let words = text.lines().filter_map(|line| line.split_once(' '));
    Ok(words.map(|(name, node)| Pod { name: name.to_owned(), node: node.to_owned() }).collect())
}

/// Asks the Service by its name from inside a pod: what answers is the name of a pod.
fn ask_web(cluster: &Cluster, pod: &str) -> Result<String> {
    kubectl(cluster, &["exec", pod, "--", "timeout", "5", "wget", "-qO-", "http://web/"])
}

/// Pods of three nodes reach each other through a Service by name; logs, exec and port-forward work.
fn serves_across_nodes(cluster: &Cluster) -> Result<()> {
    run_web(cluster)?;
    let pods = pods(cluster)?;
    let nodes: BTreeSet<&str> = pods.iter().map(|pod| pod.node.as_str()).collect();
    assert_eq!(nodes, BTreeSet::from(["node1", "node2", "node3"]));
    for pod in &pods {
        // Until it has met all three, each pod asks the Service again.
        let mut met = BTreeSet::new();
        eventually("answers of all three pods", || {
            met.insert(ask_web(cluster, &pod.name)?);
            Ok(met.len() == 3)
        })?;
        assert!(kubectl(cluster, &["logs", &pod.name])?.contains("serving"));
    }
    forwards_a_port(cluster)
}

fn forwards_a_port(cluster: &Cluster) -> Result<()> {
    let mut forward = Command::new(cluster.kubectl_program());
    forward.env("KUBECONFIG", cluster.kubeconfig()).args(["port-forward", "service/web", ":80"]);
    let mut forward = forward.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    // Kept until the end: kubectl says more with each connection, and would die of a closed pipe.
    let mut output = BufReader::new(forward.stdout.take().unwrap());
    output.read_line(&mut line)?;
    // Forwarding from 127.0.0.1:40123 -> 8080
    let address = line.split(' ').nth(2).unwrap().to_owned();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    forward.kill()?;
    forward.wait()?;
    assert!(answer.contains("web-"), "{answer}");
    Ok(())
}

/// The Go of its API server is told to clear up less often: as it began, and as it was started again.
fn collects_seldom_from_its_start_on(cluster: &Cluster) -> Result<()> {
    let is_seldom = || -> Result<bool> {
        let environment = std::fs::read(format!("/proc/{}/environ", cluster.api_server()?.pid()))?;
        Ok(environment.split(|byte| *byte == 0).any(|one| one.starts_with(b"GOGC=")))
    };
    assert!(is_seldom()?);
    cluster.kill_api_server()?;
    cluster.start_api_server()?;
    assert!(is_seldom()?);
    Ok(())
}

/// A cut node is gone for the others and comes back; a killed node comes back with its disk and its pods.
fn survives_faults(cluster: &Cluster) -> Result<()> {
    let address = cluster.layout().address(rollcall_cluster::Role::Node(3));
    // The kubelet's port: whatever the answer, a connection shows that packets go both ways.
    let connect = format!("exec 3<>/dev/tcp/{address}/10250");
    let reaches = || {
        let mut from_node1 = cluster.command_on("node1", "timeout")?;
        Ok(from_node1.args(["2", "bash", "-c", &connect]).stderr(Stdio::null()).status()?.success())
    };
    let state = |node: &str| cluster.status().into_iter().find(|status| status.name == node).unwrap();
    assert!(reaches()?);
    cluster.cut("node3")?;
    assert!(!reaches()? && !state("node3").connected && state("node3").powered);
    cluster.heal("node3")?;
    eventually("node3 to be reached again", reaches)?;

    cluster.kill("node3")?;
    assert!(!state("node3").powered && !reaches()?);
    assert!(cluster.cut("node3").is_err(), "a node that is off has no cable to cut");
    cluster.heal("node3")?;
    assert!(state("node3").is_well() && reaches()?);
    // For most of a minute the API server would call the dead node's pod Ready; only its own answer shows that it is back.
    let on_node3 = pods(cluster)?.into_iter().find(|pod| pod.node == "node3").unwrap();
    eventually("the pod of node3 to be back", || Ok(ask_web(cluster, &on_node3.name)?.starts_with("web-")))?;
    assert!(cluster.kill("node4").unwrap_err().to_string().contains("node1 to node3"));
    Ok(())
}

/// A process of a pod is killed and its kubelet starts another; the API server is away, and the same afterwards.
fn survives_faults_of_processes(cluster: &Cluster) -> Result<()> {
    let web = pods(cluster)?.swap_remove(0);
    let uid = kubectl(cluster, &["get", "pod", &web.name, "-o", "jsonpath={.metadata.uid}"])?;
    let server =
        || cluster.processes_of_pod(&uid).into_iter().find(|process| process.program() != "rollcall-init");
    let first = server().unwrap();
    let mut addresses = first.command_in_its_network("ip");
    let said = String::from_utf8(addresses.args(["address", "show", "eth0"]).output()?.stdout)?;
    let own = kubectl(cluster, &["get", "pod", &web.name, "-o", "jsonpath={.status.podIP}"])?;
    assert!(said.contains(&own), "{said}");
    first.signal(Signal::SIGKILL)?;
    eventually("another process of the pod", || Ok(server().is_some_and(|next| next.pid() != first.pid())))?;

    cluster.kill_api_server()?;
    assert!(kubectl(cluster, &["get", "nodes"]).is_err() && cluster.api_server().is_err());
    cluster.start_api_server()?;
    assert_eq!(kubectl(cluster, &["get", "pod", &web.name, "-o", "jsonpath={.metadata.uid}"])?, uid);
    // Who finds it running leaves it alone.
    let running = cluster.api_server()?.pid();
    cluster.start_api_server()?;
    assert_eq!(cluster.api_server()?.pid(), running);
    Ok(())
}

#[test]
fn an_up_that_is_killed_in_the_middle_leaves_nothing_after_down() {
    let _turn = my_turn();
    let home = Home::of_this_user().unwrap();
    let before = Host::look(&home).unwrap();
    for moment in ["control-plane", "node1"] {
        let name = name(moment);
        let _guard = Unowned { home: &home, name: name.clone() };
        let mut up = start_up(&name, moment);
        kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        up.wait().unwrap();
        assert!(Cluster::find(&home, &name).unwrap().is_none(), "a half-made cluster is not up");
        Cluster::down(&home, &name).unwrap();
        assert_eq!(Host::look(&home).unwrap().more_than(&before), Vec::<String>::new(), "killed at {moment}");
    }
}

#[test]
fn an_up_that_is_interrupted_cleans_up_by_itself() {
    let _turn = my_turn();
    let home = Home::of_this_user().unwrap();
    let before = Host::look(&home).unwrap();
    let name = name("stopped");
    let _guard = Unowned { home: &home, name: name.clone() };
    let mut up = start_up(&name, "node1");
    // As a terminal does it: to the whole group, the commands that it runs included.
    killpg(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let mut said = String::new();
    up.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!up.wait().unwrap().success());
    assert!(said.trim_end().ends_with("error: interrupted"), "{said}");
    let left = Host::look(&home).unwrap().more_than(&before);
    assert_eq!(left, [format!("locks/cluster-{name}")], "but for an empty file");
    Cluster::down(&home, &name).unwrap();
    assert_eq!(Host::look(&home).unwrap().more_than(&before), Vec::<String>::new());
}

/// Runs `cargo xtask cluster up` until that machine of the cluster begins to exist.
fn start_up(name: &Name, until: &str) -> Child {
    let mut up = Command::new(env!("CARGO"));
    up.current_dir(rollcall_cluster::static_build::workspace());
    up.args(["xtask", "cluster", "up", "--nodes", "2", "--name", &name.to_string()]);
    let child = up.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let cgroup = format!("rollcall-{name}/{until}/system");
    eventually(&format!("{cgroup} to exist"), || {
        let hierarchies =
            std::fs::read_dir("/sys/fs/cgroup")?.filter_map(Result::ok).map(|entry| entry.path());
        Ok(hierarchies
            .chain([Path::new("/sys/fs/cgroup").to_owned()])
            .any(|hierarchy| hierarchy.join(&cgroup).exists()))
    })
    .unwrap();
    child
}
