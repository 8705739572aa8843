//! Why each instance of a service is in its state: what every witness says of it.

use rollcall_catalogue::{InstanceId, ServiceKey, shortened};
use rollcall_wire::{Explained, Problem, Slug};
use serde::Serialize;

use crate::index::Witnessed;

/// Holds the answer of `GET /v1/explain/{name}`, its fields in the order of the contract.
#[derive(Debug, Serialize)]
struct Body<'a> {
    service: &'a str,
    namespace: &'a str,
    instances: Vec<Explained>,
    /// Some of the witnesses could not be asked. Never here: all of them are known to the index.
    partial: bool,
}

/// The explanation of all instances of a service, or of the one of this id.
pub(super) fn explained(
    key: &ServiceKey,
    id: Option<&str>,
    witnessed: &[Witnessed],
    now_ms: u64,
) -> Result<Vec<u8>, Problem> {
    let asked = id.map(InstanceId::from);
    let wanted = witnessed.iter().filter(|one| asked.as_ref().is_none_or(|asked| one.instance.id == *asked));
    let instances: Vec<_> = wanted.map(|one| one.explained(now_ms)).collect();
    if let Some(id) = id
        && instances.is_empty()
    {
        let detail = format!("`{key}` has no instance `{}`", shortened(id));
        let unknown = Problem::new(Slug::UnknownInstance, detail).field("id");
        return Err(unknown.hint("leave it out to see all of them"));
    }
    let (service, namespace) = (key.service.as_str(), key.namespace.as_str());
    // Text and numbers, which serde_json cannot fail to write.
    Ok(serde_json::to_vec(&Body { service, namespace, instances, partial: false }).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_catalogue::liveness::{
        EndpointWitness, Intent, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
    };

    use super::*;
    use crate::operate::api::fixtures::{instance, key};

    fn witnessed(number: u8, since_ms: Option<u64>) -> Witnessed {
        Witnessed {
            instance: Arc::new(instance(number)),
            served: true,
            since_ms,
            witnesses: Witnesses {
                pod: PodWitness::Ready,
                endpoint: EndpointWitness::NoEndpoint,
                session: SessionWitness::NeverCame,
                probe: ProbeWitness::NotAsked,
                intent: Intent::Stay,
                registry: RegistryHealth::Well,
            },
            problems: Box::default(),
        }
    }

    #[test]
    fn the_body_is_the_contracts() {
        let all = [witnessed(1, Some(1_000)), witnessed(2, None)];
        let body = explained(&key("orders"), Some("u1-8080"), &all, 4_999).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"service":"orders","namespace":"shop","instances":[{"id":"u1-8080","address":"10.0.0.1","port":8080,"pod":"orders-1","served":true,"state":"Serving","reason":"Ready","sinceSeconds":3,"witnesses":{"pod":"ready","endpoint":"none","session":"never-came","probe":"not-asked","intent":"stay","registry":"well"}}],"partial":false}"#
        );
    }

    #[test]
    fn one_is_told_or_all_of_them() {
        let all = [witnessed(1, Some(9_000)), witnessed(2, None)];
        let read = |id| -> Result<Vec<serde_json::Value>, Problem> {
            let body: serde_json::Value =
                serde_json::from_slice(&explained(&key("orders"), id, &all, 4_999)?).unwrap();
            Ok(body["instances"].as_array().unwrap().clone())
        };
        let both = read(None).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(both[0]["sinceSeconds"], 0, "a clock that was set back");
        assert_eq!(both[1]["sinceSeconds"], serde_json::Value::Null);
        assert_eq!(read(Some("u2-8080")).unwrap()[0]["id"], "u2-8080");
        let unknown = read(Some("u3-8080")).unwrap_err();
        assert_eq!((unknown.slug, unknown.slug.status()), (Slug::UnknownInstance, 404));
        assert!(unknown.detail.contains("`u3-8080`"), "{unknown:?}");
        let none = explained(&key("orders"), None, &[], 0).unwrap();
        assert!(
            String::from_utf8(none).unwrap().contains(r#""instances":[]"#),
            "a service without instances"
        );
    }
}
