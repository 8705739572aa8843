//! The way to a cluster: its API server by the user's own kubeconfig, and what listens on a pod's loopback by the user's own
//! right to forward ports. Thin IO: what it brings, others judge.

mod body;
mod forward;
mod kubeconfig;
mod replicas;
mod seen;
mod source;
#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, ObjectList},
};
use rollcall_catalogue::Namespace;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub(crate) use self::{
    body::{body, decoded},
    forward::{Answer, ForwardError, Line},
    replicas::{READ_PORT, Replica, Told},
    seen::Seen,
    source::Source,
};
use crate::{failure::Failure, names::alike, options::Where};

/// Objects of one page, as kubectl asks for them.
const PAGE: u32 = 500;
/// Pages of one list: 20,000 pods are the largest installation that Rollcall is measured with.
const PAGES_MAX: usize = 40;

/// Holds the way to a cluster.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) client: Client,
    /// The namespace that is meant where none is said.
    pub(crate) namespace: Namespace,
    /// Where Rollcall is.
    pub(crate) system: Namespace,
    /// For how long an answer is waited for.
    pub(crate) timeout: Duration,
}

// === impl Reach ===

impl Reach {
    /// Reads the kubeconfig; asks nobody yet, but whoever gives the user's token.
    pub(crate) async fn new(place: &Where) -> Result<Self, Failure> {
        let config = timeout(place.timeout, kubeconfig::config(place))
            .await
            .map_err(|_| unreachable("kubeconfig", "whoever gives its token gave no answer", LONGER))??;
        let said = || config.default_namespace.parse();
        let namespace = match place.namespace.clone() {
            Some(namespace) => namespace,
            None => said().map_err(|error| Failure::Usage(format!("kubeconfig: {error}; use -n")))?,
        };
        let client = Client::try_from(config)
            .map_err(|error| unreachable("API server", &error.to_string(), "check the kubeconfig"))?;
        Ok(Self { client, namespace, system: place.system_namespace.clone(), timeout: place.timeout })
    }

    /// What comes of one call.
    pub(crate) async fn seen<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Seen<T> {
        match timeout(self.timeout, call).await {
            Ok(result) => Seen::of(result),
            Err(_) => Seen::Unknown(format!("no answer within {:?}", self.timeout)),
        }
    }

    /// All objects, page by page, each as `kept` has it: an installation's pods whole would be a lot to hold. Where there are
    /// more than we read, says so.
    pub(crate) async fn all<K, T>(
        &self,
        api: &Api<K>,
        selector: Option<&str>,
        kept: impl Fn(K) -> Option<T>,
    ) -> Seen<Listed<T>>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut asked = ListParams::default().limit(PAGE);
            asked.label_selector = selector.map(str::to_owned);
            asked.continue_token = after.take();
            let page: ObjectList<K> = match self.seen(api.list(&asked)).await {
                Seen::Here(page) => page,
                Seen::Missing => return Seen::Missing,
                Seen::Forbidden(why) => return Seen::Forbidden(why),
                Seen::Unknown(why) => return Seen::Unknown(why),
            };
            after = page.metadata.continue_.filter(|token| !token.is_empty());
            items.extend(page.items.into_iter().filter_map(&kept));
            if after.is_none() {
                return Seen::Here(Listed { items, truncated: false });
            }
        }
        Seen::Here(Listed { items, truncated: true })
    }

    /// A pod of this namespace; an error where it is not there, or cannot be read.
    pub(crate) async fn pod(&self, name: &str) -> Result<Pod, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace.as_str());
        match self.seen(pods.get(name)).await {
            Seen::Here(pod) => Ok(pod),
            Seen::Missing => {
                let hint = self.instead_of(name).await;
                Err(Failure::Nothing(format!(
                    "there is no pod `{name}` in the namespace {}; {hint}",
                    self.namespace
                )))
            }
            Seen::Forbidden(why) => Err(unreachable("API server", &why, "you need the right to get pods")),
            Seen::Unknown(why) => Err(api_server(&why)),
        }
    }

    /// What may have been meant by the name of a pod that is not there: one of another namespace, or one that is called like it.
    async fn instead_of(&self, name: &str) -> String {
        let here: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace.as_str());
        let anywhere: Api<Pod> = Api::all(self.client.clone());
        let of_name = ListParams::default().fields(&format!("metadata.name={name}")).limit(PAGE);
        let (here, anywhere) = tokio::join!(
            self.all(&here, None, |pod| pod.metadata.name),
            self.seen(anywhere.list_metadata(&of_name)),
        );
        let elsewhere = anywhere.here().and_then(|found| found.items.first()?.metadata.namespace.clone());
        let names = here.here().map(|listed| listed.items.as_slice()).unwrap_or_default();
        match (elsewhere, alike(name, names).as_slice()) {
            (Some(namespace), _) => format!("one is in {namespace}: -n {namespace}"),
            (None, []) => "`kubectl get pods -A` shows where it is".to_owned(),
            (None, alike) => format!("did you mean {}?", alike.join(" or ")),
        }
    }

    /// What a pod's own loopback answers.
    pub(crate) async fn ask(
        &self,
        namespace: &Namespace,
        pod: &str,
        port: u16,
        method: Method,
        path: &str,
    ) -> Result<Answer, ForwardError> {
        let asked = async {
            let mut line = Line::open(&self.client, namespace.as_str(), pod, port).await?;
            line.ask(method, path).await
        };
        timeout(self.timeout, asked).await.unwrap_or(Err(ForwardError::TimedOut(self.timeout)))
    }
}

const LONGER: &str = "give it more by --timeout";

/// Holds what a list had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// There are more than were read.
    pub(crate) truncated: bool,
}

/// The API server is not there for us.
pub(crate) fn api_server(why: &str) -> Failure {
    unreachable(
        "API server",
        why,
        "check the kubeconfig and the way to the cluster, as `kubectl version` does",
    )
}

pub(crate) fn unreachable(what: &str, why: &str, remedy: &str) -> Failure {
    Failure::Unreachable { what: what.to_owned(), why: why.to_owned(), remedy: remedy.to_owned() }
}
