//! Tokens of pods that nobody runs: the API server gives them out as it does to a kubelet, which would put them into the pod.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Client,
    api::{PostParams, Request},
};
use serde_json::{Value, json};

use crate::fleet::{INSTANCES, key, pod_name};

/// Asked for at a time.
const AT_A_TIME: usize = 16;
/// Longer than any measurement lasts.
const SECONDS: u32 = 12 * 60 * 60;

/// Of so many pods from the first one on, in their order; each is bound to its pod, for the controller's audience.
pub(crate) async fn of_pods(client: &Client, pods: u32) -> Result<Vec<String>> {
    stream::iter(0..pods).map(|pod| of(client, pod)).buffered(AT_A_TIME).try_collect().await
}

async fn of(client: &Client, pod: u32) -> Result<String> {
    let (namespace, name) = (key(pod / INSTANCES).namespace, pod_name(pod));
    let path = Request::new(format!("/api/v1/namespaces/{namespace}/serviceaccounts"));
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": ["rollcall"], "expirationSeconds": SECONDS,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name},
        },
    });
    let request =
        path.create_subresource("token", "default", &PostParams::default(), body.to_string().into_bytes())?;
    let made: Value =
        client.request(request).await.with_context(|| format!("a token of {namespace}/{name}"))?;
    let token = made.pointer("/status/token").and_then(Value::as_str);
    Ok(token.context("a token without a token")?.to_owned())
}
