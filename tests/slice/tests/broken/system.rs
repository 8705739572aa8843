//! The installation itself: its webhook is gone, or its controllers are.

use anyhow::{Result, ensure};
use rollcall_slice::{Cluster, Rollcall, WAITS, eventually, pod};

/// What no controller takes.
const NO_FLAG: &str =
    r#"[{"op": "add", "path": "/spec/template/spec/containers/0/args", "value": ["--no-such-flag"]}]"#;

pub(crate) fn without_webhook(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let name = format!("{}-injection", cluster.system.name());
    cluster.kubectl(&["delete", "mutatingwebhookconfiguration", &name])?;
    eventually("pods are made without a sidecar", || {
        let made = cluster.shop.dry_run(&pod("late-1", WAITS))?;
        Ok(made["metadata"]["annotations"]["rollcall.dev/status"].is_null())
    })?;
    cluster.shop.apply(&[pod("late-1", WAITS)])?;
    let says = ["it asked for a sidecar and has none: there is no webhook", "upgrade the release by helm"];
    rollcall.broken("late-1", "injection", &says)?;
    rollcall.finds("webhook-there", "fail", &["no pod gets a sidecar"])
}

/// First there is none, then one that crashes.
pub(crate) fn controllers_down(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    cluster.scale_controller(0)?;
    rollcall.finds("replicas", "fail", &["scaled to 0", "--replicas=2"])?;
    rollcall.broken("ledger-1", "controller", &["the controllers are scaled to 0", "--replicas=2"])?;
    let (code, said) = rollcall.run(&["services"])?;
    ensure!(code == 3 && said.contains("controller"), "{code}: {said}");

    let patch = ["patch", "deployment/rollcall-controller", "--type=json", "-p", NO_FLAG];
    cluster.system.kubectl(&patch)?;
    cluster.system.kubectl(&["scale", "deployment/rollcall-controller", "--replicas=1"])?;
    rollcall.broken(
        "ledger-1",
        "controller",
        &["no controller is ready (rollcall-controller-", "exit code 2"],
    )?;
    rollcall.finds("replicas", "fail", &["no controller is ready", "exit code 2"])
}
