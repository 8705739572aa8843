//! What the kit's tests share: a look at the host before and after, and kubectl.

use anyhow::{Context, Result};
use rollcall_cluster::{Cluster, Poll, output_of, wait_for};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Everything on the host that a cluster could leave behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Host(BTreeSet<String>);

impl Host {
    pub fn look() -> Result<Self> {
        let mut seen = BTreeSet::new();
        let commands: [(&str, &[&str]); 4] = [
            ("ip", &["-o", "link"]),
            ("ip", &["route", "show", "table", "all"]),
            ("ip", &["netns", "list"]),
            ("iptables-save", &[]),
        ];
        for (program, arguments) in commands {
            let text = output_of("looking at the host", Command::new(program).args(arguments))?;
            // Comments hold times, and counters in brackets move by themselves.
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            seen.extend(lines.map(|line| format!("{program}: {}", line.split(" [").next().unwrap_or(line))));
        }
        for file in [
            "/proc/self/mounts",
            "/proc/sys/vm/overcommit_memory",
            "/proc/sys/kernel/panic",
            "/proc/sys/kernel/panic_on_oops",
        ] {
            let text = fs::read_to_string(file).context(file)?;
            seen.extend(text.lines().map(|line| format!("{file}: {line}")));
        }
        for folder in [
            "/var/lib/kubelet",
            "/var/lib/cni",
            "/var/log/pods",
            "/opt/containerd",
            "/usr/libexec/kubernetes",
            "/run/containerd",
        ] {
            if Path::new(folder).exists() {
                seen.insert(format!("folder {folder}"));
            }
        }
        seen.extend(
            cgroups(Path::new("/sys/fs/cgroup")).into_iter().map(|cgroup| format!("cgroup {cgroup}")),
        );
        seen.extend(processes()?);
        Ok(Self(seen))
    }

    /// What is here now that was not there before.
    pub fn more_than(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn cgroups(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let folders =
        entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .flat_map(|entry| {
            let mut found = cgroups(&entry.path());
            found.push(entry.path().display().to_string());
            found
        })
        .collect()
}

/// The processes that a cluster is made of; others come and go on any machine.
fn processes() -> Result<Vec<String>> {
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
    let entries = fs::read_dir("/proc").context("/proc")?.filter_map(Result::ok);
    let named = entries.filter_map(|entry| {
        // A process may end while the list is being read.
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        NAMES
            .contains(&name.trim())
            .then(|| format!("process {} {}", entry.file_name().display(), name.trim()))
    });
    Ok(named.collect())
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
