//! The JSON of the local API.

use rollcall_catalogue::{Match, Query, Service, ServiceKey, Version};
use serde::Serialize;

/// Holds the answer of `GET /v1/services/{name}`, its fields in the order of the contract.
#[derive(Debug, Serialize)]
struct ServiceBody<'a> {
    service: &'a str,
    namespace: &'a str,
    revision: u64,
    versions: Vec<&'a Version>,
    instances: Vec<Match<'a>>,
}

/// The answer to this question to a service.
pub fn service_body(key: &ServiceKey, service: &Service, query: &Query) -> Vec<u8> {
    let body = ServiceBody {
        service: key.service.as_str(),
        namespace: key.namespace.as_str(),
        revision: service.revision,
        versions: service.versions(),
        instances: query.select(service),
    };
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use rollcall_catalogue::{ContentHash, Instance, Policy, Port, Profile, Reason, State, changes::Head};

    use super::*;

    #[test]
    fn the_body_is_the_contracts_with_what_serves() {
        let profile = Arc::new(Profile {
            port: 8080,
            ports: [Port::tcp(Some("http"), 8080)].into(),
            version: Some("1.4.2".parse().unwrap()),
            weight: 100,
            tags: ["blue".into()].into(),
            metadata: [("team".into(), "payments".into())].into(),
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
        let service = Service::of(head, states.map(instance).into());
        let body = service_body(&"orders.shop".parse().unwrap(), &service, &Query::default());
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"service":"orders","namespace":"shop","revision":7,"versions":["1.4.2"],"instances":[{"id":"Serving","address":"10.1.2.3","addresses":["10.1.2.3"],"port":8080,"ports":{"http":8080},"version":"1.4.2","zone":"a","node":"n1","pod":"orders-1","weight":100,"tags":["blue"],"metadata":{"team":"payments"},"state":"Serving","reason":"Ready","revision":6}]}"#
        );
    }
}
