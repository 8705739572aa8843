//! The controller's replicas, and what they answer.

use std::net::IpAddr;

use futures::future::join_all;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use rollcall_catalogue::Namespace;

use super::{Answer, ForwardError, Line, Reach, Seen, api_server, unreachable};
use crate::{
    failure::Failure,
    pods::unready,
    policies::{Labels, Party},
};

/// By these the chart's Deployment knows its pods, whatever the release is called.
const SELECTOR: &str = "app.kubernetes.io/part-of=rollcall,app.kubernetes.io/component=controller";
/// The controller's read API.
pub(crate) const READ_PORT: u16 = 7380;
/// More replicas than anybody runs; each costs a connection.
const REPLICAS_MAX: usize = 16;

/// Holds a pod of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) pod: String,
    pub(crate) image: String,
    pub(crate) ready: bool,
    /// What keeps it from being ready.
    pub(crate) unready: Vec<String>,
    pub(crate) labels: Labels,
    pub(crate) address: Option<IpAddr>,
}

/// Holds what one replica answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) pod: String,
    pub(crate) answer: Result<Answer, ForwardError>,
}

// === impl Replica ===

impl Replica {
    pub(crate) fn of(pod: Pod) -> Option<Self> {
        let unready = unready(&pod);
        let status = pod.status.unwrap_or_default();
        // One that ends answers no more, and its successor counts.
        if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() == Some("Failed") {
            return None;
        }
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
        let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
        let image = containers.into_iter().find(|one| one.name == "controller").and_then(|one| one.image);
        Some(Self {
            pod: pod.metadata.name?,
            image: image.unwrap_or_default(),
            ready,
            unready,
            labels: pod.metadata.labels.unwrap_or_default(),
            address: status.pod_ip.and_then(|address| address.parse().ok()),
        })
    }

    /// One of which no more than its name is known.
    pub(crate) fn named(pod: &str) -> Self {
        Self {
            pod: pod.to_owned(),
            image: String::new(),
            ready: true,
            unready: Vec::new(),
            labels: Labels::new(),
            address: None,
        }
    }

    /// Its name, and what keeps it from being ready.
    pub(crate) fn told(&self) -> String {
        match self.unready.as_slice() {
            [] => self.pod.clone(),
            unready => format!("{}: {}", self.pod, unready.join(", ")),
        }
    }

    /// As NetworkPolicies know it.
    pub(crate) fn party(&self, namespace: &Namespace, namespace_labels: &Labels) -> Party {
        Party {
            namespace: namespace.to_string(),
            namespace_labels: namespace_labels.clone(),
            labels: self.labels.clone(),
            addresses: self.address.into_iter().collect(),
        }
    }
}

// === impl Reach ===

impl Reach {
    /// The controller's pods, those that are ready first.
    pub(crate) async fn replicas(&self) -> Seen<Vec<Replica>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.system.as_str());
        let listed = self.all(&pods, Some(SELECTOR), Replica::of).await;
        listed.map(|listed| {
            let mut replicas = listed.items;
            replicas.sort_by(|a, b| b.ready.cmp(&a.ready).then_with(|| a.pod.cmp(&b.pod)));
            replicas.truncate(REPLICAS_MAX);
            replicas
        })
    }

    /// The same, where nothing can be done without them.
    pub(crate) async fn some_replicas(&self) -> Result<Vec<Replica>, Failure> {
        let namespace = &self.system;
        match self.replicas().await {
            Seen::Here(replicas) if !replicas.is_empty() => Ok(replicas),
            Seen::Here(_) | Seen::Missing => Err(unreachable(
                "controller",
                &format!("there is none in the namespace {namespace}"),
                "install Rollcall, or say where it is by --system-namespace",
            )),
            Seen::Forbidden(why) => Err(unreachable(
                "controller",
                &why,
                &format!("you need the right to list pods in {namespace}"),
            )),
            Seen::Unknown(why) => Err(api_server(&why)),
        }
    }

    /// What the first replica answers that can.
    pub(crate) async fn read(&self, path: &str) -> Result<Answer, Failure> {
        let mut last = None;
        for replica in self.some_replicas().await? {
            match self.ask(&self.system, &replica.pod, READ_PORT, Method::GET, path).await {
                // Not in step yet: another one may be.
                Ok(answer) if answer.status == 503 => last = Some(problem_of(&answer)),
                Ok(answer) => return Ok(answer),
                Err(forbidden @ ForwardError::Forbidden(_)) => return Err(self.no_answer(&forbidden)),
                Err(error) => last = Some(error.to_string()),
            }
        }
        let why = last.unwrap_or_else(|| "there is none".to_owned());
        Err(unreachable("controller", &why, "`rollcall check` says what is wrong"))
    }

    /// What each of these replicas answers.
    pub(crate) async fn read_each(&self, replicas: &[Replica], port: u16, path: &str) -> Vec<Told> {
        join_all(replicas.iter().map(|replica| async {
            let answer = self.ask(&self.system, &replica.pod, port, Method::GET, path).await;
            Told { pod: replica.pod.clone(), answer }
        }))
        .await
    }

    /// A connection to the first replica that takes one, for more than one question.
    pub(crate) async fn line(&self) -> Result<Line, Failure> {
        let mut last = None;
        for replica in self.some_replicas().await?.into_iter().filter(|replica| replica.ready) {
            let opened = Line::open(&self.client, self.system.as_str(), &replica.pod, READ_PORT);
            match tokio::time::timeout(self.timeout, opened).await {
                Ok(Ok(line)) => return Ok(line),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(ForwardError::TimedOut(self.timeout)),
            }
        }
        let why = last.map_or_else(|| "none of them is ready".to_owned(), |error| error.to_string());
        Err(unreachable("controller", &why, "`rollcall check` says what is wrong"))
    }

    fn no_answer(&self, error: &ForwardError) -> Failure {
        let remedy = format!("ask for a role with `create` and `get` of pods/portforward in {}", self.system);
        unreachable("controller", &error.to_string(), &remedy)
    }
}

/// What a problem says, or the answer's status.
pub(super) fn problem_of(answer: &Answer) -> String {
    let body: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let word = |name: &str| Some(body.as_ref()?.get(name)?.as_str()?.to_owned());
    match (word("detail"), word("hint")) {
        (Some(detail), Some(hint)) => format!("{detail}; {hint}"),
        (Some(detail), None) => detail,
        _ => format!("it answers {}", answer.status),
    }
}
