//! The cluster kit's promises: a real Kubernetes, faults that are real, and nothing left behind.
//!
//! The tests look at the whole host, so they take turns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollcall_cluster::{Cluster, Home, Name, Wish};
use rollcall_kit::{Host, eventually, kubectl};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(part: &str) -> Name {
    Name::parse(&format!("kit-{part}-{}", std::process::id())).unwrap()
}

/// A cluster that ends with its test, whichever way that goes.
struct Guarded<'a> {
    home: &'a Home,
    cluster: Cluster,
}

impl<'a> Guarded<'a> {
    fn up(home: &'a Home, part: &str, nodes: u8) -> Result<Self> {
        Ok(Self { home, cluster: Cluster::up(home, &Wish { name: name(part), nodes, ours_alone: true })? })
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
    let before = Host::look().unwrap();
    {
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(|| Guarded::up(&home, "one", 3));
            let two = scope.spawn(|| Guarded::up(&home, "two", 1));
            (one.join().unwrap().unwrap(), two.join().unwrap().unwrap())
        });
        assert_ne!(one.cluster.layout().slot, two.cluster.layout().slot);
        serves_across_nodes(&one.cluster).unwrap();
        survives_faults(&one.cluster).unwrap();
        // The other one noticed nothing of all this, not even of the first one's end.
        drop(one);
        assert!(two.cluster.status().iter().all(rollcall_cluster::NodeStatus::is_well));
    }
    assert_eq!(Host::look().unwrap().more_than(&before), Vec::<String>::new());
}

/// Pods of three nodes reach each other through a Service by name; logs and exec work.
fn serves_across_nodes(cluster: &Cluster) -> Result<()> {
    let manifest = cluster.layout().folder().join("web.yaml");
    std::fs::write(&manifest, WEB)?;
    kubectl(cluster, &["apply", "-f", &manifest.display().to_string()])?;
    kubectl(cluster, &["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let pods = kubectl(
        cluster,
        &[
            "get",
            "pods",
            "-l",
            "app=web",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}",
        ],
    )?;
    let mut nodes: Vec<&str> = pods.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node1", "node2", "node3"]);
    for pod in pods.lines().filter_map(|line| line.split(' ').next()) {
        // Until it has met all three, each pod asks the Service again.
        let mut met = std::collections::BTreeSet::new();
        eventually("answers of all three pods", || {
            met.insert(kubectl(
                cluster,
                &["exec", pod, "--", "timeout", "5", "wget", "-qO-", "http://web/"],
            )?);
            Ok(met.len() == 3)
        })?;
        assert!(kubectl(cluster, &["logs", pod])?.contains("serving"));
    }
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
    assert!(!state("node3").powered);
    assert!(cluster.cut("node3").is_err(), "a node that is off has no cable to cut");
    cluster.heal("node3")?;
    assert!(state("node3").is_well());
    kubectl(cluster, &["rollout", "status", "deployment/web", "--timeout=120s"])?;
    assert!(cluster.kill("node4").unwrap_err().to_string().contains("node1 to node3"));
    Ok(())
}

#[test]
fn an_up_that_is_killed_in_the_middle_leaves_nothing_after_down() {
    let _turn = my_turn();
    let home = Home::of_this_user().unwrap();
    let before = Host::look().unwrap();
    for moment in ["control-plane", "node1"] {
        let name = name(&format!("killed-at-{moment}"));
        let mut up = start_up(&name, moment);
        kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        up.wait().unwrap();
        assert!(Cluster::find(&home, &name).unwrap().is_none(), "a half-made cluster is not up");
        Cluster::down(&home, &name).unwrap();
        assert_eq!(Host::look().unwrap().more_than(&before), Vec::<String>::new(), "killed at {moment}");
    }
}

#[test]
fn an_up_that_is_interrupted_cleans_up_by_itself() {
    let _turn = my_turn();
    let home = Home::of_this_user().unwrap();
    let before = Host::look().unwrap();
    let name = name("interrupted");
    let mut up = start_up(&name, "node1");
    kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert!(!up.wait().unwrap().success());
    assert_eq!(Host::look().unwrap().more_than(&before), Vec::<String>::new());
    Cluster::down(&home, &name).unwrap();
}

/// Runs `cargo xtask cluster up` until that machine of the cluster begins to exist.
fn start_up(name: &Name, until: &str) -> Child {
    let mut up = Command::new(env!("CARGO"));
    up.current_dir(rollcall_cluster::static_build::workspace());
    up.args(["xtask", "cluster", "up", "--nodes", "2", "--name", &name.to_string()]);
    let child = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
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
