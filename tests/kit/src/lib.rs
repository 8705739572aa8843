//! What the kit's tests share: a look at the host before and after, and kubectl.

use anyhow::{Context, Result};
use rollcall_cluster::{Cluster, Home, Poll, output_of, wait_for};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Everything on the host that a cluster could leave behind. What others do on the host meanwhile is left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Host(BTreeSet<String>);

impl Host {
    pub fn look(home: &Home) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let commands: [(&str, &[&str]); 5] = [
            ("ip", &["-o", "link"]),
            ("ip", &["route", "show", "table", "all"]),
            ("ip", &["rule"]),
            ("ip", &["netns", "list"]),
            ("iptables-save", &[]),
        ];
        for (program, arguments) in commands {
            let text = output_of("looking at the host", Command::new(program).args(arguments))?;
            // Comments hold times, and counters in brackets move by themselves.
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            seen.extend(lines.map(|line| format!("{program}: {}", line.split(" [").next().unwrap_or(line))));
        }
        let settings = [
            "vm/overcommit_memory",
            "vm/panic_on_oom",
            "kernel/panic",
            "kernel/panic_on_oops",
            "kernel/keys/root_maxkeys",
            "kernel/keys/root_maxbytes",
        ];
        for file in settings
            .map(|setting| format!("/proc/sys/{setting}"))
            .into_iter()
            .chain(["/proc/self/mounts".to_owned()])
        {
            let text = fs::read_to_string(&file).with_context(|| file.clone())?;
            seen.extend(text.lines().map(|line| format!("{file}: {line}")));
        }
        for folder in [
            "/var/lib/kubelet",
            "/var/lib/cni",
            "/var/log/pods",
            "/opt/containerd",
            "/usr/libexec/kubernetes",
        ] {
            if Path::new(folder).exists() {
                seen.insert(format!("folder {folder}"));
            }
        }
        for folder in ["clusters", "locks"] {
            // Locks of builds and packages belong to the store of tools, which stays.
            let names = entries(&home.path().join(folder))
                .filter(|name| folder == "clusters" || name.starts_with("cluster-"));
            seen.extend(names.map(|name| format!("{folder}/{name}")));
        }
        seen.extend(cgroups(Path::new("/sys/fs/cgroup")));
        seen.extend(processes());
        Ok(Self(seen))
    }

    /// What is here now that was not there before.
    pub fn more_than(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().display().to_string()))
}

/// The clusters' cgroups, in every hierarchy.
fn cgroups(root: &Path) -> Vec<String> {
    let hierarchies = entries(root).map(|name| root.join(name)).chain([root.to_owned()]);
    let found = hierarchies.flat_map(|hierarchy| {
        entries(&hierarchy).map(move |name| hierarchy.join(name).display().to_string())
    });
    found.filter(|cgroup| cgroup.contains("/rollcall-")).collect()
}

/// The processes that a cluster is made of, which are all in networks of its own; others come and go on any machine, an etcd of
/// somebody else among them.
fn processes() -> Vec<String> {
    const NAMES: [&str; 10] = [
        "rollcall-init",
        "etcd",
        "kube-apiserver",
        "kube-controller",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "containerd",
        "containerd-shim",
        "coredns",
    ];
    let named = entries(Path::new("/proc")).filter_map(|pid| {
        // A process may end while the list is being read.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let is_of_a_cluster = NAMES.contains(&name.trim()) && network(&pid) != network("self");
        is_of_a_cluster.then(|| format!("process {pid} {}", name.trim()))
    });
    named.collect()
}

/// None where the process has just ended.
fn network(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// Runs kubectl on a cluster.
pub fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let mut kubectl = Command::new(cluster.kubectl_program());
    kubectl
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("KUBECACHEDIR", cluster.layout().folder().join("kubectl-cache"));
    Ok(output_of("kubectl", kubectl.args(arguments))?)
}

/// Waits for a condition that a look at the world answers.
pub fn eventually(awaited: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    /// A loaded machine of two cores must get there too.
    const LIMIT: Duration = Duration::from_secs(120);
    const EVERY: Duration = Duration::from_millis(50);
    Ok(wait_for(awaited, LIMIT, EVERY, Path::new("."), || {
        Ok(match holds() {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::NotYet("not yet".into()),
            Err(error) => Poll::NotYet(format!("{error:#}")),
        })
    })?)
}
