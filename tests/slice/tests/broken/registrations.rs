//! Registrations that hide a service, disagree with each other, or miss what they mean by a letter.

use anyhow::{Result, bail, ensure};
use rollcall_slice::{Cluster, Rollcall, SERVES, WAITS, eventually, pod, with_annotations};
use serde_json::{Value, json};

pub(crate) fn make(cluster: &Cluster) -> Result<()> {
    let ledger = json!({"rollcall.dev/service": "ledger", "rollcall.dev/visibility": "cluster"});
    let by_label = |app: &str| json!({"selector": {"matchLabels": {"app": app}}});
    cluster.shop.apply(&[
        with_annotations(pod("ledger-1", SERVES), &ledger),
        registration(
            "ledger-internal",
            &json!({"service": "ledger", "target": by_label("ledger-1"),
            "ports": [{"name": "http", "port": 8080}], "visibility": {"scope": "Namespace"}}),
        ),
        pod("pair-1", SERVES),
        registration(
            "pair",
            &json!({"target": by_label("pair-1"), "ports": [{"name": "http", "port": 8080}]}),
        ),
        pod("stock-1", SERVES),
        registration(
            "stock",
            &json!({"target": by_label("stokc-1"), "ports": [{"name": "http", "port": 8080}]}),
        ),
    ])?;
    let asks = json!({"rollcall.dev/inject": "true"});
    cluster.yard.apply(&[with_annotations(pod("caller-1", WAITS), &asks)])
}

/// A registration hides what the annotations of the pod show to all.
pub(crate) fn hidden(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let (shop, yard) = (cluster.shop.name(), cluster.yard.name());
    cluster.shop.ready("ledger-1")?;
    cluster.yard.ready("caller-1")?;
    let may_not = format!("pods of {yard} may not see `ledger.{shop}`");
    let asked = ["pod/ledger-1", "--from", yard];
    rollcall.broken_for(
        &asked,
        "visibility",
        &[&may_not, "by the registration ledger-internal", &format!("add {yard} to")],
    )?;
    let (code, said) = rollcall.run(&["explain", "ledger", "--from", yard])?;
    ensure!(code == 1 && said.contains(&may_not) && said.contains("ledger-internal"), "{code}: {said}");
    // Nobody need ask for it: whoever looks it up in vain is seen.
    let name = format!("ledger.{shop}");
    eventually("it is hidden", || Ok(cluster.yard.lookup("caller-1", &name)?.is_empty()))?;
    let caller = format!("{yard}/caller-1");
    eventually("who looks it up in vain is named", || {
        let (code, pod) = rollcall.run(&["explain", "pod/ledger-1"])?;
        let (_, service) = rollcall.run(&["explain", "ledger"])?;
        let is_named = |said: &str| said.contains("may not see it: ") && said.contains(&caller);
        if code == 0 && is_named(&pod) && is_named(&service) {
            Ok(true)
        } else {
            bail!("{code}: {pod}{service}")
        }
    })
}

pub(crate) fn disagree(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    cluster.shop.ready("pair-1")?;
    eventually("the first of the two counts", || Ok(rollcall.run(&["resolve", "pair"])?.0 == 0))?;
    let target = json!({"selector": {"matchLabels": {"app": "pair-1"}}});
    let other = json!({"service": "pair", "target": target, "ports": [{"name": "http", "port": 8081}]});
    cluster.shop.apply(&[registration("pair-again", &other)])?;
    let says = ["a registration that means it is refused: pair-again: PortConflict", "correct it"];
    rollcall.broken("pair-1", "registration", &says)?;
    let (code, said) = rollcall.run(&["explain", "pair"])?;
    ensure!(code == 0 && said.contains("registration pair-again is refused: PortConflict"), "{code}: {said}");
    rollcall.finds("registrations", "warn", &[&format!("{}/pair-again", cluster.shop.name())])?;
    let says = ["stock wants the label app=stokc-1, and the pod has app=stock-1", "edit sreg stock"];
    rollcall.broken("stock-1", "registration", &says)?;
    let (code, said) = rollcall.run(&["explain", "stokc"])?;
    ensure!(code == 1 && said.contains("did you mean `stock."), "{code}: {said}");
    let (code, said) = rollcall.run(&["explain", "stock"])?;
    ensure!(code == 0 && said.contains("registration stock means nobody: NoMatch"), "{code}: {said}");
    let (code, said) = rollcall.run(&["explain", "stock-1"])?;
    ensure!(code == 1 && said.contains("`rollcall explain pod/stock-1"), "{code}: {said}");
    Ok(())
}

pub(crate) fn registration(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": name}, "spec": spec})
}
