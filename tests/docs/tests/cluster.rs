//! What pages tell to run on a cluster, run as it is pasted: with Rollcall under the names that the pages have for it, so on a
//! cluster that nobody else has it on. Needs `KUBECONFIG`, and our images on the nodes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

use anyhow::{Context, Result, ensure};
use rollcall_cluster::{Cluster, HELM, Home, Kubectl};
use rollcall_docs::{Act, Manner, Programs, Scratch, Stage, TABLE, acts, built, pages};
use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Namespaces that the pages install into.
const NAMESPACES: [&str; 2] = ["rollcall-system", "shop"];
const CRD: &str = "serviceregistrations.rollcall.dev";
/// A page's commands take seconds; its roll-outs half a minute each on a busy machine.
const ACT_MAX: Duration = Duration::from_secs(300);
/// A namespace is gone when all that was in it is.
const GONE_WITHIN: &str = "--timeout=60s";
/// Holds a pod's network for as long as the pod lives; the kit's own.
const HOLDER: &str = "rollcall-init";

/// Holds a cluster for the time in which the pages have it.
struct Theirs {
    kubectl: Kubectl,
    helm: PathBuf,
    programs: Programs,
}

#[test]
fn what_needs_a_cluster_runs_as_it_is_pasted() {
    let theirs = Theirs::begin().unwrap();
    let pages = pages().unwrap();
    let mut of_people = acts(TABLE, &pages, &[Stage::Cluster]);
    // The README installs, and is the first; who takes all of it away is the last.
    of_people.sort_by_key(|act| (act.page.path != "README.md", says(act, "helm uninstall")));
    let mut installed = BTreeSet::new();
    let mut failed = Vec::new();
    for (place, act) in of_people.iter().enumerate() {
        failed.extend(theirs.by_a_person(act, &mut installed).err());
        if place == 0 && failed.is_empty() {
            failed.extend(
                acts(TABLE, &pages, &[Stage::App]).iter().filter_map(|act| theirs.by_an_app(act).err()),
            );
        }
    }
    let told: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

fn says(act: &Act<'_>, command: &str) -> bool {
    act.blocks.iter().any(|(block, _)| block.body.contains(command))
}

// === impl Theirs ===

impl Theirs {
    fn begin() -> Result<Self> {
        let kubeconfig: PathBuf =
            env::var_os("KUBECONFIG").context("KUBECONFIG is not set; this test needs a cluster")?.into();
        let program: PathBuf = env::var_os("ROLLCALL_KUBECTL").unwrap_or_else(|| "kubectl".into()).into();
        let kubectl = Kubectl { program, kubeconfig };
        let (helm, rollcall) = (HELM.build(&Home::of_this_user()?)?, built()?);
        let mut programs =
            vec![("helm", helm.clone()), ("rollcall", rollcall.clone()), ("kubectl-rollcall", rollcall)];
        if kubectl.program.is_absolute() {
            programs.push(("kubectl", kubectl.program.clone()));
        }
        let there = ["get", "namespace", NAMESPACES[0], NAMESPACES[1], "--ignore-not-found", "-o", "name"];
        let there = kubectl.call(&there)?
            + &kubectl.call(&["get", "crd", CRD, "--ignore-not-found", "-o", "name"])?;
        ensure!(
            there.is_empty(),
            "somebody has Rollcall on this cluster already ({there}), where the pages would install it: uninstall it first"
        );
        Ok(Self { kubectl, helm, programs: Programs(programs) })
    }

    /// With a copy of the kubeconfig, so that what a page changes in it is changed for that page.
    fn scratch(&self) -> Result<(Scratch, [(&'static str, String); 1])> {
        let scratch = Scratch::new(&self.programs)?;
        let copy = scratch.home().join("kubeconfig");
        std::fs::copy(&self.kubectl.kubeconfig, &copy)?;
        Ok((scratch, [("KUBECONFIG", copy.display().to_string())]))
    }

    /// An install in the very words of one that was run already has been run, as long as it is there.
    fn by_a_person(&self, act: &Act<'_>, installed: &mut BTreeSet<String>) -> Result<()> {
        let (scratch, environment) = self.scratch()?;
        let mut cues = act.cues()?;
        cues.retain(|cue| {
            let command = cue.text.split(" #").next().unwrap_or_default().trim();
            !command.starts_with("helm install") || installed.insert(command.to_owned())
        });
        if says(act, "helm uninstall") {
            installed.clear();
        }
        scratch.play(act, &cues, &[], &environment, ACT_MAX).map(drop)
    }

    /// In the network of a pod of the shop, where this machine has it.
    fn by_an_app(&self, act: &Act<'_>) -> Result<()> {
        let Some(network) = self.network_of("storefront")? else {
            println!(
                "{}: no pod of this cluster can be entered from here; tests/machine.rs asks all the same",
                act.page.path
            );
            return Ok(());
        };
        let orders = self.pod("orders")?["status"]["podIP"].as_str().context("no address")?.to_owned();
        let (scratch, _) = self.scratch()?;
        let entered = ["nsenter".to_owned(), format!("--net={}", network.display()), "--".to_owned()];
        let cues: Vec<_> = act.cues()?;
        assert!(cues.iter().any(|cue| cue.manner != Manner::Unseen));
        scratch.play(act, &cues, &entered, &[("orders_address", orders)], ACT_MAX).map(drop)
    }

    fn network_of(&self, app: &str) -> Result<Option<PathBuf>> {
        let view = self.kubectl.json(&["config", "view", "--minify", "--flatten", "--raw"])?;
        let authority = view["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        let kit = Cluster::of_authority(&Home::of_this_user()?, authority.unwrap_or_default())?;
        let Some(kit) = kit else { return Ok(None) };
        let pod = self.pod(app)?;
        let uid = pod["metadata"]["uid"].as_str().context("a pod without a UID")?;
        let mut processes = kit.processes_of_pod(uid).into_iter();
        let holder =
            processes.find(|process| process.program() == HOLDER).context("nothing runs in the pod")?;
        Ok(Some(holder.network()))
    }

    /// A pod of the shop.
    fn pod(&self, app: &str) -> Result<serde_json::Value> {
        let selector = format!("app.kubernetes.io/name={app}");
        let pods = self.kubectl.json(&["-n", "shop", "get", "pods", "-l", &selector])?;
        pods["items"].get(0).cloned().with_context(|| format!("there is no pod of {app}"))
    }

    /// Nothing that the pages left stays, wherever they stopped.
    fn clear(&self) -> Result<()> {
        let mut helm = Command::new(&self.helm);
        helm.env("KUBECONFIG", &self.kubectl.kubeconfig);
        helm.args(["uninstall", "rollcall", "--namespace", NAMESPACES[0], "--ignore-not-found"]);
        rollcall_cluster::output_of("helm", &mut helm)?;
        let away = ["delete", "--ignore-not-found", GONE_WITHIN];
        self.kubectl.call(&[&away[..], &["namespace"], &NAMESPACES].concat())?;
        self.kubectl.call(&[&away[..], &["crd", CRD]].concat())?;
        Ok(())
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("left behind: {error:#}");
        }
    }
}
