//! The JSON of the local API.

use rollcall_catalogue::{Instance, ServiceKey, State};
use serde::Serialize;

/// Holds the answer of `GET /v1/services/{name}`, its fields in the order of the contract.
#[derive(Debug, Serialize)]
struct ServiceBody<'a> {
    service: &'a str,
    namespace: &'a str,
    revision: u64,
    versions: &'a [String],
    instances: Vec<&'a Instance>,
}

/// The answer to a lookup of this service: its healthy instances.
pub fn service_body(key: &ServiceKey, revision: u64, versions: &[String], instances: &[Instance]) -> Vec<u8> {
    let body = ServiceBody {
        service: key.service.as_str(),
        namespace: key.namespace.as_str(),
        revision,
        versions,
        instances: instances.iter().filter(|instance| instance.state == State::Serving).collect(),
    };
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::Reason;

    use super::*;

    #[test]
    fn only_serving_instances_are_listed() {
        let instance = |state| Instance {
            id: format!("{state:?}"),
            address: [10, 1, 2, 3].into(),
            addresses: vec![],
            port: 80,
            ports: [].into(),
            version: None,
            zone: None,
            node: None,
            pod: None,
            weight: 100,
            tags: vec![],
            metadata: Default::default(),
            state,
            reason: Reason::Ready,
            revision: 6,
        };
        let states = [State::Starting, State::Serving, State::Suspect, State::Failing, State::Draining];
        let body =
            service_body(&"orders.shop".parse().unwrap(), 7, &["1.4.2".to_owned()], &states.map(instance));
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.starts_with(
                r#"{"service":"orders","namespace":"shop","revision":7,"versions":["1.4.2"],"instances":[{"id":"Serving","#
            ),
            "{text}"
        );
        assert_eq!(text.matches("\"id\"").count(), 1);
    }
}
