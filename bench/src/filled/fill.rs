//! Filling a cluster, as fast as its API server takes it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, stream};
use kube::{
    Client,
    api::{GetParams, Patch, PatchParams, PostParams, Request},
};
use rollcall_cluster::{Step, fake_nodes::FakeNodes, interrupt};
use serde_json::Value;
use tokio::time::sleep;

use super::objects::{self, Object};
use crate::fleet::{Fleet, INSTANCES, pod_name};

/// Services that are written at a time, each object after the other: so many keep two processors of an API server busy,
/// and more would only wait.
const AT_A_TIME: usize = 32;
/// Kubernetes makes a namespace's ServiceAccount in a moment; on a loaded machine in seconds.
const ACCOUNT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Writes what this fleet has beside the one that is there already, of whole services.
pub(super) async fn fill(client: &Client, there: Fleet, fleet: Fleet, nodes: &FakeNodes) -> Result<()> {
    let more = fleet.instances.saturating_sub(there.instances);
    let step = Step::start(format!("writing {more} pods and what belongs to them"));
    let known = objects::namespaces(there);
    for name in objects::namespaces(fleet).iter().filter(|name| !known.contains(name)) {
        create(client, objects::namespace(name)).await?;
        has_account(client, name).await?;
    }
    let written = stream::iter(there.services()..fleet.services()).map(|service| async move {
        interrupt::check()?;
        let end = ((service + 1) * INSTANCES).min(fleet.instances);
        for number in service * INSTANCES..end {
            pod(client, number, nodes).await?;
        }
        // Behind its pods, so that a Service's slice is made once.
        if let Some(object) = objects::beside_the_pods(service) {
            create(client, object).await?;
        }
        anyhow::Ok(())
    });
    let mut written = std::pin::pin!(written.buffer_unordered(AT_A_TIME).enumerate());
    while let Some((done, result)) = written.next().await {
        result?;
        step.still_running(|| format!("{done} of {} services", fleet.services() - there.services()));
    }
    step.done();
    Ok(())
}

async fn pod(client: &Client, number: u32, nodes: &FakeNodes) -> Result<()> {
    let object = objects::pod(number, nodes);
    let (path, name) = (object.path.clone(), pod_name(number));
    create(client, object).await?;
    let patch = Patch::Merge(objects::pod_status(number));
    let request = Request::new(&path).patch_subresource("status", &name, &PatchParams::default(), &patch)?;
    client.request::<Value>(request).await.with_context(|| format!("the status of {path}/{name}"))?;
    Ok(())
}

async fn create(client: &Client, Object { path, body }: Object) -> Result<Value> {
    let request = Request::new(&path).create(&PostParams::default(), body.to_string().into_bytes())?;
    client.request(request).await.with_context(|| format!("{path} {body}"))
}

/// Pods are refused until the namespace's own ServiceAccount is there.
async fn has_account(client: &Client, namespace: &str) -> Result<()> {
    let path = Request::new(format!("/api/v1/namespaces/{namespace}/serviceaccounts"));
    let begin = Instant::now();
    while let Err(error) = client.request::<Value>(path.get("default", &GetParams::default())?).await {
        interrupt::check()?;
        ensure!(begin.elapsed() < ACCOUNT_MAX, "{namespace} has no ServiceAccount: {error}");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
