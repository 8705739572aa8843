//! An EndpointSlice for each instance is written by ourselves, and the API server's watches of a service's slices tell of it: what
//! the API server alone costs.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client as KubeClient,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use rollcall_results::{Class, Configuration, Program};
use serde_json::{Value, json};

use super::{Reached, WRITTEN_TOGETHER};
use crate::{
    peers::{Client, Data, PORT, Peer, Registry, Watcher},
    propagation::{background::SERVICES, rows::Row},
};

const NAMESPACE: &str = "default";
/// By which slices say whose they are.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// As long as the API server lets a watch be; the measurement of one case is shorter.
const WATCH_S: u32 = 290;

/// Holds an API server as a registry.
struct Slices {
    reached: Reached,
    api: Api<DynamicObject>,
}

/// Holds one watch, and whom it has told of.
pub(crate) struct Watching {
    events: BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>,
    /// Addresses by the slices' names.
    known: BTreeMap<String, Vec<String>>,
    told_first: bool,
}

/// The row of a cluster, once the slices of all instances that are measured or change are there.
pub(super) async fn row(reached: &Reached, data: Data) -> Result<Row> {
    let api = slices(reached.client().await?, NAMESPACE);
    let written = (0..SERVICES.min(data.services)).flat_map(|number| {
        data.addresses(number).map(move |address| slice(&Data::service(number), &address)).collect::<Vec<_>>()
    });
    let writing = written.map(|object| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object?).await.map_err(anyhow::Error::from) }
    });
    stream::iter(writing.collect::<Vec<_>>())
        .buffer_unordered(WRITTEN_TOGETHER)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(Row::of(Arc::new(Slices { reached: reached.clone(), api })))
}

fn slices(client: KubeClient, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("discovery.k8s.io", "v1", "EndpointSlice");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind))
}

fn name(service: &str, address: &str) -> String {
    format!("{service}-{}", address.replace('.', "-"))
}

fn slice(service: &str, address: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name(service, address), "labels": {SERVICE_LABEL: service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
    }))?)
}

/// The ready addresses of a slice.
fn addresses(slice: &Value) -> Vec<String> {
    let endpoints = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let ready =
        endpoints.filter(|one| one.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false));
    let all = ready.flat_map(|one| one.get("addresses").and_then(Value::as_array).into_iter().flatten());
    all.filter_map(|address| address.as_str().map(str::to_owned)).collect()
}

// === impl Slices ===

impl Peer for Slices {
    fn name(&self) -> &str {
        "kubernetes EndpointSlice watch"
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        vec![self.reached.program("kube-apiserver and etcd")]
    }

    /// They are the cluster's.
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    fn client(&self) -> BoxFuture<'_, Result<Box<dyn Client>>> {
        async { bail!("lookups are kube-proxy's and CoreDNS'") }.boxed()
    }
}

impl Registry for Slices {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.api.create(&PostParams::default(), &slice(service, instance)?).await?;
            Ok(())
        }
        .boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.api.delete(&name(service, instance), &DeleteParams::default()).await?;
            Ok(())
        }
        .boxed()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Box<dyn Watcher>>> {
        async move {
            let watching = Watching::open(self.reached.client().await?, NAMESPACE, service).await?;
            Ok(Box::new(watching) as Box<dyn Watcher>)
        }
        .boxed()
    }
}

// === impl Watching ===

impl Watching {
    /// Of a service's slices in this namespace, over this client's connection.
    pub(crate) async fn open(client: KubeClient, namespace: &str, service: &str) -> Result<Self> {
        let api = slices(client, namespace);
        let selector = format!("{SERVICE_LABEL}={service}");
        let list = api.list(&ListParams::default().labels(&selector)).await?;
        let mut known = BTreeMap::new();
        for object in &list.items {
            let name = object.metadata.name.clone().context("no name")?;
            known.insert(name, addresses(&object.data));
        }
        let version = list.metadata.resource_version.context("no version")?;
        let params = WatchParams::default().labels(&selector).timeout(WATCH_S);
        let events = api.watch(&params, &version).await?.boxed();
        Ok(Self { events, known, told_first: false })
    }

    fn now(&self) -> (Instant, Vec<String>) {
        let mut all: Vec<_> = self.known.values().flatten().cloned().collect();
        all.sort();
        (Instant::now(), all)
    }
}

impl Watcher for Watching {
    fn next(&mut self) -> BoxFuture<'_, Result<(Instant, Vec<String>)>> {
        async {
            if !self.told_first {
                self.told_first = true;
                return Ok(self.now());
            }
            loop {
                match self.events.next().await.context("the watch ended")?? {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let name = object.metadata.name.clone().context("no name")?;
                        self.known.insert(name, addresses(&object.data));
                        return Ok(self.now());
                    }
                    WatchEvent::Deleted(object) => {
                        self.known.remove(object.metadata.name.as_deref().unwrap_or_default());
                        return Ok(self.now());
                    }
                    WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
                }
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_has_the_addresses_that_are_ready_or_do_not_say() {
        let endpoint =
            |address: &str, conditions: Value| json!({"addresses": [address], "conditions": conditions});
        let slice = json!({"endpoints": [
            endpoint("10.0.0.1", json!({"ready": true})),
            endpoint("10.0.0.2", json!({"ready": false})),
            endpoint("10.0.0.3", json!({})),
        ]});
        assert_eq!(addresses(&slice), ["10.0.0.1", "10.0.0.3"]);
        assert!(addresses(&json!({})).is_empty());
    }
}
