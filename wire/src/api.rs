//! The JSON of the local APIs: the sidecar's, and the controller's for people.

use std::net::IpAddr;

use rollcall_catalogue::{
    Instance, Match, Query, Service, ServiceKey, States, Summary, Version, write_instances,
};
use serde::{Deserialize, Serialize};

use crate::{
    client::Drained,
    frame::ServiceSummary,
    question::{Explained, Found},
};

/// Holds the answer of `GET /v1/services/{name}`, its fields in the order of the contract.
#[derive(Debug, Serialize)]
struct ServiceBody<'a> {
    service: &'a str,
    namespace: &'a str,
    revision: u64,
    versions: Vec<&'a Version>,
    // And `instances`, behind these.
}

/// Holds the answer of `GET /v1/services`.
#[derive(Debug, Serialize)]
struct ServicesBody<'a> {
    services: Vec<Summarized<'a>>,
}

/// Holds one line of the controller's list, and how many sidecars in session with it subscribe to the service.
#[derive(Debug, Serialize)]
struct Summarized<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    consumers: usize,
}

/// Holds the answer of `GET /v1/instances`.
#[derive(Debug, Serialize)]
struct InstancesBody<'a> {
    instances: Vec<Member<'a>>,
}

/// Holds an instance and whose it is.
#[derive(Debug, Serialize)]
struct Member<'a> {
    service: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    instance: Match<'a>,
}

/// Holds a sidecar's list of services.
#[derive(Debug, Serialize)]
struct ListBody<'a> {
    services: Vec<Listed<'a>>,
    /// There may be more: nobody could be asked for those that are not held.
    partial: bool,
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    service: &'a str,
    namespace: &'a str,
    versions: &'a [Version],
    serving: u32,
    total: u32,
}

/// Holds a sidecar's answer to whose an address is.
#[derive(Debug, Serialize)]
struct FoundBody<'a> {
    instances: Vec<FoundMember<'a>>,
    /// There may be more: nobody could be asked for those that are not held.
    partial: bool,
}

#[derive(Debug, Serialize)]
struct FoundMember<'a> {
    service: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    instance: &'a Instance,
}

/// Holds a sidecar's answer to why the instances of a service are in their states.
#[derive(Debug, Serialize)]
struct ExplainedBody<'a> {
    service: &'a str,
    namespace: &'a str,
    instances: &'a [Explained],
    /// The witnesses could not be asked.
    partial: bool,
}

/// Holds the answer of `GET /v1/ready`.
#[derive(Debug, Serialize)]
struct ReadyBody<'a> {
    ready: bool,
    deps: &'a [Needed],
}

/// Holds the same as its reader has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ready {
    pub ready: bool,
    pub deps: Vec<Needed>,
}

/// Holds how many instances of a service an app needs, and how many it would be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// As it was written.
    pub service: String,
    pub need: usize,
    pub have: usize,
}

/// Holds the answer of `/prestop`: the controller's, or why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum DrainedBody<'a> {
    #[serde(rename_all = "camelCase")]
    Answered {
        complete: bool,
        terminating: bool,
        acked: u32,
        subscribers: u32,
        late: &'a [String],
        elapsed_ms: u64,
    },
    Unanswered {
        complete: bool,
        detail: &'a str,
    },
}

/// The controller's answer to a drain.
pub fn drained_body(drained: &Drained) -> Vec<u8> {
    let Drained { complete, terminating, acked, subscribers, ref late, elapsed_ms } = *drained;
    let body = DrainedBody::Answered { complete, terminating, acked, subscribers, late, elapsed_ms };
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// What is said where the controller gave no answer to a drain.
pub fn undrained_body(detail: &str) -> Vec<u8> {
    let body = DrainedBody::Unanswered { complete: false, detail };
    // Text, which serde_json cannot fail to write.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The answer to this question to a service.
pub fn service_body(key: &ServiceKey, service: &Service, query: &Query) -> Vec<u8> {
    let body = ServiceBody {
        service: key.service.as_str(),
        namespace: key.namespace.as_str(),
        revision: service.revision,
        versions: service.versions(),
    };
    // Text and numbers, which serde_json cannot fail to write.
    let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
    // The closing brace, which comes behind the instances.
    bytes.pop();
    bytes.extend_from_slice(b",\"instances\":");
    write_instances(&mut bytes, query.select(service).into_iter().map(|one| (&**one.instance, one.port)));
    bytes.push(b'}');
    bytes
}

/// The list of these services, which come in their order, each with how many subscribe to it.
pub fn services_body<'a>(
    services: impl IntoIterator<Item = (&'a ServiceKey, &'a Service, usize)>,
) -> Vec<u8> {
    let line = |(key, service, consumers): (&'a ServiceKey, &'a Service, usize)| Summarized {
        summary: service.summary(key),
        consumers,
    };
    let services = services.into_iter().map(line).collect();
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&ServicesBody { services }).unwrap_or_default()
}

/// The list of these services; `partial` where there may be more.
pub fn list_body<'a>(services: impl IntoIterator<Item = &'a ServiceSummary>, partial: bool) -> Vec<u8> {
    let listed = |summary: &'a ServiceSummary| Listed {
        service: summary.service.service.as_str(),
        namespace: summary.service.namespace.as_str(),
        versions: &summary.versions,
        serving: summary.serving,
        total: summary.total,
    };
    let services = services.into_iter().map(listed).collect();
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&ListBody { services, partial }).unwrap_or_default()
}

/// The instances that have the address; `partial` where there may be more.
pub fn found_body(found: &[Found], partial: bool) -> Vec<u8> {
    let members = found.iter().map(|Found { service: key, instance }| FoundMember {
        service: key.service.as_str(),
        namespace: key.namespace.as_str(),
        instance,
    });
    let instances = members.collect();
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_vec(&FoundBody { instances, partial }).unwrap_or_default()
}

/// Why the instances of a service are in their states; `partial` where the witnesses could not be asked.
pub fn explained_body(key: &ServiceKey, instances: &[Explained], partial: bool) -> Vec<u8> {
    let (service, namespace) = (key.service.as_str(), key.namespace.as_str());
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&ExplainedBody { service, namespace, instances, partial }).unwrap_or_default()
}

/// One instance by itself, with the port that the caller is to use.
pub fn instance_body(instance: &Match<'_>) -> Vec<u8> {
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_vec(instance).unwrap_or_default()
}

/// Whether all that an app needs is there.
pub fn ready_body(ready: bool, deps: &[Needed]) -> Vec<u8> {
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&ReadyBody { ready, deps }).unwrap_or_default()
}

/// Whose address this is: the instances of these services that have it, whatever their state.
pub fn instances_body<'a>(
    services: impl IntoIterator<Item = (&'a ServiceKey, &'a Service)>,
    address: IpAddr,
) -> Vec<u8> {
    let query = Query { address: Some(address), states: States::All, ..Query::default() };
    let members = services.into_iter().flat_map(|(key, service)| {
        let (service_name, namespace) = (key.service.as_str(), key.namespace.as_str());
        let member = move |instance| Member { service: service_name, namespace, instance };
        query.select(service).into_iter().map(member)
    });
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_vec(&InstancesBody { instances: members.collect() }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use rollcall_catalogue::{ContentHash, Instance, Policy, Port, Profile, Reason, State, changes::Head};

    use super::*;

    fn orders() -> (ServiceKey, Service) {
        let profile = Arc::new(Profile {
            port: 8080,
            ports: [Port::tcp(Some("http"), 8080)].into(),
            version: Some("1.4.2".parse().unwrap()),
            weight: 100,
            tags: ["blue"].into(),
            metadata: [("team", "payments")].into(),
        });
        let instance = |state: State| {
            Arc::new(Instance {
                id: format!("{state:?}").as_str().into(),
                addresses: IpAddr::from([10, 1, 2, 3]).into(),
                zone: Some("a".into()),
                node: Some("n1".into()),
                pod: Some("orders-1".into()),
                profile: profile.clone(),
                state,
                reason: Reason::Ready,
                revision: 6,
            })
        };
        let states = [State::Starting, State::Serving, State::Suspect, State::Failing, State::Draining];
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        ("orders.shop".parse().unwrap(), Service::of(head, states.map(instance).into()))
    }

    #[test]
    fn the_body_is_the_contracts_with_what_serves() {
        let (key, service) = orders();
        let body = service_body(&key, &service, &Query::default());
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"service":"orders","namespace":"shop","revision":7,"versions":["1.4.2"],"instances":[{"id":"Serving","address":"10.1.2.3","addresses":["10.1.2.3"],"port":8080,"ports":{"http":8080},"version":"1.4.2","zone":"a","node":"n1","pod":"orders-1","weight":100,"tags":["blue"],"metadata":{"team":"payments"},"state":"Serving","reason":"Ready","revision":6}]}"#
        );
    }

    #[test]
    fn a_drain_is_told_with_who_is_late_or_why_nothing_is_known() {
        let (complete, terminating, acked, subscribers, elapsed_ms) = (false, true, 1, 2, 30);
        let late = vec!["shop/web-1".to_owned()];
        let told = drained_body(&Drained { complete, terminating, acked, subscribers, late, elapsed_ms });
        assert_eq!(
            String::from_utf8(told).unwrap(),
            r#"{"complete":false,"terminating":true,"acked":1,"subscribers":2,"late":["shop/web-1"],"elapsedMs":30}"#
        );
        let untold = String::from_utf8(undrained_body("why")).unwrap();
        assert_eq!(untold, r#"{"complete":false,"detail":"why"}"#);
    }

    #[test]
    fn the_list_counts_what_serves_and_what_there_is() {
        let (key, service) = orders();
        let text = |body| String::from_utf8(body).unwrap();
        assert_eq!(
            text(services_body([(&key, &service, 3)])),
            r#"{"services":[{"service":"orders","namespace":"shop","versions":["1.4.2"],"serving":1,"total":5,"consumers":3}]}"#
        );
        assert_eq!(text(services_body([])), r#"{"services":[]}"#);
    }

    #[test]
    fn a_sidecar_says_where_it_may_not_know_all() {
        let (key, service) = orders();
        let text = |body| String::from_utf8(body).unwrap();
        let summary = ServiceSummary {
            service: key.clone(),
            versions: vec!["1.4.2".parse().unwrap()],
            serving: 1,
            total: 5,
        };
        assert_eq!(
            text(list_body([&summary], false)),
            r#"{"services":[{"service":"orders","namespace":"shop","versions":["1.4.2"],"serving":1,"total":5}],"partial":false}"#
        );
        let instance = service.instances.get(0).unwrap();
        let found = Found { service: key.clone(), instance: Instance::clone(instance) };
        let body: serde_json::Value = serde_json::from_slice(&found_body(&[found], true)).unwrap();
        assert_eq!((&body["instances"][0]["namespace"], &body["partial"]), (&"shop".into(), &true.into()));
        assert_eq!(
            text(explained_body(&key, &[], true)),
            r#"{"service":"orders","namespace":"shop","instances":[],"partial":true}"#
        );
        let needed = Needed { service: "orders".to_owned(), need: 2, have: 1 };
        assert_eq!(
            text(ready_body(false, &[needed])),
            r#"{"ready":false,"deps":[{"service":"orders","need":2,"have":1}]}"#
        );
        let one = text(instance_body(&Match { instance, port: 9_090 }));
        assert!(one.starts_with(r#"{"id":"#) && one.contains(r#""port":9090"#), "{one}");
    }

    #[test]
    fn an_address_is_told_with_its_services_whatever_its_state() {
        let (key, service) = orders();
        let read = |address: [u8; 4]| -> serde_json::Value {
            serde_json::from_slice(&instances_body([(&key, &service)], address.into())).unwrap()
        };
        let found = read([10, 1, 2, 3]);
        let ids: Vec<_> = found["instances"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, ["Draining", "Failing", "Serving", "Starting", "Suspect"]);
        let first = &found["instances"][0];
        assert_eq!(
            (&first["service"], &first["namespace"], &first["pod"], &first["ports"]["http"]),
            (&"orders".into(), &"shop".into(), &"orders-1".into(), &8080.into())
        );
        assert_eq!(read([10, 1, 2, 4]), serde_json::json!({"instances": []}));
    }
}
