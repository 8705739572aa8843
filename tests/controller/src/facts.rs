//! The few facts of Kubernetes' objects that the model goes by.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Namespace and name.
pub(crate) type Name = (String, String);

/// Names and numbers of ports, in their order.
pub(crate) type Ports = Vec<(String, u16)>;

#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) own_word: Option<OwnWord>,
    pub(crate) ready: bool,
    pub(crate) deleting: bool,
    pub(crate) ended: bool,
}

/// What a pod's annotations say.
#[derive(Debug, Clone)]
pub(crate) struct OwnWord {
    pub(crate) service: String,
    pub(crate) version: Option<String>,
    pub(crate) ports: Ports,
}

#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) service: String,
    pub(crate) managed: bool,
    pub(crate) created: String,
    pub(crate) version: Option<String>,
    pub(crate) ports: Ports,
    pub(crate) target: Target,
}

#[derive(Debug, Clone)]
pub(crate) enum Target {
    Selector(BTreeMap<String, String>),
    Service(String),
    Pod(String),
    Addresses { twice: bool },
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) created: String,
    pub(crate) adoptable: bool,
    pub(crate) publishes_not_ready: bool,
    /// The names of its ports.
    pub(crate) ports: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) service: String,
    pub(crate) ports: Ports,
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) pod: Option<String>,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn name(object: &Value) -> Name {
    (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn number(value: &Value) -> u16 {
    value.as_u64().and_then(|port| port.try_into().ok()).unwrap_or_default()
}

fn ports(value: &Value, field: &str) -> Ports {
    list(value).map(|port| (text(&port["name"]), number(&port[field]))).collect()
}

pub(crate) fn pod(object: &Value) -> Pod {
    let status = &object["status"];
    let annotation = |name: &str| {
        object["metadata"]["annotations"][format!("rollcall.dev/{name}")].as_str().map(str::to_owned)
    };
    let own_word = annotation("service").map(|service| OwnWord {
        service,
        version: annotation("version"),
        ports: annotation("port")
            .unwrap_or_default()
            .split(',')
            .filter_map(|part| {
                let (name, port) = part.split_once(':').unwrap_or(("", part));
                Some((name.to_owned(), port.parse().ok()?))
            })
            .collect(),
    });
    Pod {
        uid: text(&object["metadata"]["uid"]),
        addresses: list(&status["podIPs"]).map(|address| text(&address["ip"])).collect(),
        labels: map(&object["metadata"]["labels"]),
        own_word,
        ready: list(&status["conditions"]).any(|one| one["type"] == "Ready" && one["status"] == "True"),
        deleting: object["metadata"]["deletionTimestamp"].is_string(),
        ended: status["phase"] == "Succeeded" || status["phase"] == "Failed",
    }
}

pub(crate) fn registration(object: &Value) -> Registration {
    let (meta, spec) = (&object["metadata"], &object["spec"]);
    let target = &spec["target"];
    let target = if target["selector"].is_object() {
        Target::Selector(map(&target["selector"]["matchLabels"]))
    } else if target["service"].is_object() {
        Target::Service(text(&target["service"]["name"]))
    } else if target["pod"].is_object() {
        Target::Pod(text(&target["pod"]["uid"]))
    } else {
        let addresses: Vec<IpAddr> =
            list(&target["addresses"]).filter_map(|one| one["address"].as_str()?.parse().ok()).collect();
        let distinct: BTreeSet<_> = addresses.iter().collect();
        Target::Addresses { twice: distinct.len() < addresses.len() }
    };
    // As far as tests go in writing objects that have our label.
    let has_our_form = match &target {
        Target::Selector(labels) => labels.keys().eq(["rollcall.dev/service"]),
        Target::Service(_) => meta["ownerReferences"].is_array(),
        _ => false,
    };
    Registration {
        service: spec["service"].as_str().map_or_else(|| text(&meta["name"]), str::to_owned),
        managed: meta["labels"]["app.kubernetes.io/managed-by"] == "rollcall-controller" && has_our_form,
        created: text(&meta["creationTimestamp"]),
        version: spec["version"].as_str().map(str::to_owned),
        ports: ports(&spec["ports"], "port"),
        target,
    }
}

pub(crate) fn service(object: &Value) -> Service {
    let (meta, spec) = (&object["metadata"], &object["spec"]);
    Service {
        created: text(&meta["creationTimestamp"]),
        adoptable: meta["annotations"]["rollcall.dev/adopt"] != "false" && spec["type"] != "ExternalName",
        publishes_not_ready: spec["publishNotReadyAddresses"] == true,
        ports: list(&spec["ports"]).map(|port| text(&port["name"])).collect(),
    }
}

/// None where it is no Service's.
pub(crate) fn slice(object: &Value) -> Option<Slice> {
    let service = object["metadata"]["labels"]["kubernetes.io/service-name"].as_str()?;
    let endpoint = |endpoint: &Value| Endpoint {
        addresses: list(&endpoint["addresses"]).map(text).collect(),
        pod: (endpoint["targetRef"]["kind"] == "Pod").then(|| text(&endpoint["targetRef"]["uid"])),
        ready: endpoint["conditions"]["ready"] != false,
        terminating: endpoint["conditions"]["terminating"] == true,
    };
    Some(Slice {
        service: service.to_owned(),
        ports: ports(&object["ports"], "port"),
        endpoints: list(&object["endpoints"]).map(endpoint).collect(),
    })
}
