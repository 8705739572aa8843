//! The webhook's configuration as it is in Kubernetes, and the one thing in it that is ours to write.

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{
    Client, Resource,
    api::{GetParams, Patch, PatchParams, Request},
    core::request,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Names;
use crate::status::FIELD_MANAGER;

/// Holds the way to one configuration.
pub(super) struct WebhookApi {
    client: Client,
    path: Request,
    name: String,
}

/// Holds what of a configuration concerns us. Nothing else of it is read: whoever may write it may write anything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    metadata: Metadata,
    webhooks: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    name: String,
    client_config: ClientConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClientConfig {
    service: Option<Service>,
    ca_bundle: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    name: String,
    namespace: String,
}

/// Says what is to be done about a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Due {
    Nothing,
    /// No entry of it leads to us.
    NotOurs,
    Patch(Value),
}

// === impl WebhookApi ===

impl WebhookApi {
    pub(super) fn new(client: Client, name: &str) -> Self {
        let path = Request::new(MutatingWebhookConfiguration::url_path(&(), None));
        Self { client, path, name: name.to_owned() }
    }

    pub(super) async fn get(&self) -> kube::Result<Configuration> {
        self.send(self.path.get(&self.name, &GetParams::default())).await
    }

    pub(super) async fn patch(&self, patch: Value) -> kube::Result<Configuration> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.send(self.path.patch(&self.name, &params, &Patch::Strategic(patch))).await
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, request::Error>,
    ) -> kube::Result<Configuration> {
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }
}

// === impl Configuration ===

impl Configuration {
    /// What is to be done so that the API server believes all of this bundle, and nobody else, wherever it means us.
    pub(super) fn due(&self, names: &Names, bundle_pem: &str) -> Due {
        let ours = |entry: &&Entry| {
            let service = entry.client_config.service.as_ref();
            service
                .is_some_and(|service| service.name == names.service && service.namespace == names.namespace)
        };
        let mut ours = self.webhooks.iter().filter(ours).peekable();
        if ours.peek().is_none() {
            return Due::NotOurs;
        }
        let bundle = BASE64_STANDARD.encode(bundle_pem);
        let wrong = ours.filter(|entry| entry.client_config.ca_bundle.as_ref() != Some(&bundle));
        let entries: Vec<_> =
            wrong.map(|entry| json!({"name": entry.name, "clientConfig": {"caBundle": bundle}})).collect();
        if entries.is_empty() {
            return Due::Nothing;
        }
        // Of this version alone: an entry that is somebody else's meanwhile must not believe us.
        let version = &self.metadata.resource_version;
        Due::Patch(json!({"metadata": {"resourceVersion": version}, "webhooks": entries}))
    }
}
