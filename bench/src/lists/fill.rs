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
use crate::fleet::{Fleet, INSTANCES};

/// Services that are written at a time, each object after the other: so many keep two processors of an API server busy,
/// and more would only wait.
const AT_A_TIME: usize = 32;
/// Kubernetes makes a namespace's ServiceAccount in a moment; on a loaded machine in seconds.
const ACCOUNT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Writes all of it; what is there when this returns stays as it is.
pub(super) async fn fill(client: &Client, fleet: Fleet, nodes: &FakeNodes) -> Result<()> {
    let step = Step::start(format!("writing {} pods and what belongs to them", fleet.instances));
    for name in objects::namespaces(fleet) {
        create(client, objects::namespace(&name)).await?;
        has_account(client, &name).await?;
    }
    let written = stream::iter(0..fleet.services()).map(|service| async move {
        interrupt::check()?;
        let mut uids = Vec::new();
        let end = ((service + 1) * INSTANCES).min(fleet.instances);
        for number in service * INSTANCES..end {
            uids.push(pod(client, number, nodes).await?);
        }
        for object in objects::beside_the_pods(service, &uids, nodes) {
            create(client, object).await?;
        }
        anyhow::Ok(())
    });
    let mut written = std::pin::pin!(written.buffer_unordered(AT_A_TIME).enumerate());
    while let Some((done, result)) = written.next().await {
        result?;
        step.still_running(|| format!("{done} of {} services", fleet.services()));
    }
    step.done();
    Ok(())
}

/// Its uid.
async fn pod(client: &Client, number: u32, nodes: &FakeNodes) -> Result<String> {
    let object = objects::pod(number, nodes);
    let path = object.path.clone();
    let made = create(client, object).await?;
    let text = |field: &str| made.get("metadata")?.get(field)?.as_str();
    let (name, uid) = text("name").zip(text("uid")).context("a pod without a name or an uid")?;
    let patch = Patch::Merge(objects::pod_status(number));
    let request = Request::new(&path).patch_subresource("status", name, &PatchParams::default(), &patch)?;
    client.request::<Value>(request).await.with_context(|| format!("the status of {path}/{name}"))?;
    Ok(uid.to_owned())
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
