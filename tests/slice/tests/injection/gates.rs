//! Pods that look something up before they begin, or wait for others; and those that end.

use anyhow::{Result, ensure};
use rollcall_slice::{Cluster, Pod, SERVES, WAITS, eventually, pod, text, with_annotations};
use serde_json::{Value, json};

/// For how long pods wait for what they require: long enough for what comes, and it passes while other things are tested.
pub(crate) const TIMEOUT_S: u32 = 20;

fn requiring(name: &str, needs: &str) -> Value {
    with_annotations(pod(name, WAITS), &json!({"rollcall.dev/requires": needs}))
}

pub(crate) fn wait_for_what_never_comes(cluster: &Cluster) -> Result<()> {
    cluster.shop.apply(&[requiring("hopeful-1", "never-there")])
}

/// It started all the same, and people are told.
pub(crate) fn opened_at_the_timeout(cluster: &Cluster) -> Result<()> {
    cluster.shop.ready("hopeful-1")?;
    eventually("an Event says what was missing", || {
        Ok(cluster.shop.events("RequiresTimedOut", "hopeful-1")?.contains("never-there"))
    })
}

/// A pod that was made before what it requires.
pub(crate) fn open_when_all_is_there(cluster: &Cluster) -> Result<()> {
    let begin = std::time::Instant::now();
    cluster.shop.apply(&[requiring("early-1", "late>=1")])?;
    eventually("early-1 waits", || {
        Ok(state(&cluster.shop.pod("early-1")?, "rollcall-requires")["running"].is_object())
    })?;
    let early = cluster.shop.pod("early-1")?;
    ensure!(
        early.init_containers() == ["rollcall-sidecar", "rollcall-requires"],
        "{:?}",
        early.init_containers()
    );
    ensure!(state(&early, "app")["running"].is_null(), "it did not wait");
    let late = json!({"rollcall.dev/service": "late"});
    cluster.shop.apply(&[with_annotations(pod("late-1", SERVES), &late)])?;
    cluster.shop.ready("early-1")?;
    println!("early-1 was ready {} ms after it was made, and late-1 before it", begin.elapsed().as_millis());
    let early = cluster.shop.pod("early-1")?;
    let gate = &state(&early, "rollcall-requires")["terminated"];
    // At the timeout it would have left a sentence.
    ensure!(gate["exitCode"] == 0 && gate["message"].is_null(), "{gate}");
    cluster.shop.ready("late-1")
}

/// Its init container has a sidecar beside it, which does not keep it from ending.
pub(crate) fn a_job_looks_up_and_ends(cluster: &Cluster) -> Result<()> {
    let asks = "/bin/busybox wget -qO- \"$ROLLCALL_URL/v1/ready?deps=orders>=3&wait=30s\" &&
        /bin/busybox wget -qO- \"$ROLLCALL_URL/v1/services/orders\"";
    let mut job_pod = pod("report", asks);
    let mut first = job_pod["spec"]["containers"][0].clone();
    first["name"] = "first".into();
    job_pod["spec"]["initContainers"] = json!([first]);
    job_pod["spec"]["restartPolicy"] = "Never".into();
    cluster.shop.apply(&[json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "report"},
        "spec": {"backoffLimit": 0, "template": {"spec": job_pod["spec"]}},
    })])?;
    eventually("the job is complete", || {
        let job = cluster.shop.json(&["get", "job/report"])?;
        let failed = job["status"]["failed"].as_u64().unwrap_or_default();
        ensure!(failed == 0, "it has failed: {}", job["status"]);
        Ok(job["status"]["succeeded"] == 1)
    })?;
    for container in ["first", "app"] {
        let said = cluster.shop.kubectl(&["logs", "job/report", "-c", container])?;
        ensure!(said.matches(r#""state":"Serving""#).count() == 3, "{container}: {said}");
    }
    Ok(())
}

/// What Kubernetes says a container is doing.
fn state(pod: &Pod, container: &str) -> Value {
    let all = ["initContainerStatuses", "containerStatuses"].map(|kind| pod.0["status"][kind].as_array());
    let mut all = all.into_iter().flatten().flatten();
    all.find(|status| text(status, "name") == container)
        .map(|status| status["state"].clone())
        .unwrap_or_default()
}
