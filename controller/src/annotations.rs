//! What a pod's annotations register: `rollcall.dev/service`, `/version`, `/port`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use rollcall_catalogue::{
    Attributes, Namespace, Port, Registration, ServiceKey, ServiceName, Source, ValueError,
};

const SERVICE: &str = "rollcall.dev/service";
const VERSION: &str = "rollcall.dev/version";
const PORT: &str = "rollcall.dev/port";

/// The pod's own registration, if its annotations name a service, and every bad value in them: the rest still counts.
pub(crate) fn registration(
    namespace: &Namespace,
    annotations: &BTreeMap<String, String>,
    spec: Option<&PodSpec>,
) -> (Option<Registration>, Vec<ValueError>) {
    let mut problems = Vec::new();
    let Some(service) = annotations.get(SERVICE) else { return (None, problems) };
    let service = match service.parse::<ServiceName>() {
        Ok(service) => service,
        Err(error) => {
            problems.push(ValueError { field: SERVICE, problem: error.to_string(), remedy: "rename it" });
            return (None, problems);
        }
    };
    let declared = annotations.get(PORT).and_then(|text| match ports(text) {
        Ok(ports) => Some(ports),
        Err(problem) => {
            problems.push(ValueError { field: PORT, problem, remedy: "use `8080` or `http:8080,grpc:9090`" });
            None
        }
    });
    let ports = declared.unwrap_or_else(|| first_container_port(spec));
    if ports.is_empty() {
        problems.push(ValueError {
            field: PORT,
            problem: "missing, and no container declares a port".to_owned(),
            remedy: "set it, or a containerPort; until then the pod is in no lookup",
        });
    }
    let mut attributes =
        Attributes { version: annotations.get(VERSION).cloned(), ports, ..Attributes::default() };
    for error in attributes.check() {
        match error.field {
            "version" => {
                attributes.version = None;
                problems.push(ValueError { field: VERSION, ..error });
            }
            _ => {
                attributes.ports = first_container_port(spec);
                problems.push(ValueError { field: PORT, ..error });
            }
        }
    }
    let key = ServiceKey { namespace: namespace.clone(), service };
    (Some(Registration { key, source: Source::Annotation, selector: BTreeMap::new(), attributes }), problems)
}

/// `8080`, or `http:8080,grpc:9090`.
fn ports(text: &str) -> Result<Vec<Port>, String> {
    let port = |part: &str| {
        let (name, number) = match part.trim().split_once(':') {
            Some((name, number)) => (Some(name.to_owned()), number),
            None => (None, part.trim()),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(format!("`{part}` holds no port of 1 to 65535")),
            Ok(port) => Ok(Port { name, port }),
        }
    };
    text.split(',').map(port).collect()
}

/// The first port that a container of the app declares.
fn first_container_port(spec: Option<&PodSpec>) -> Vec<Port> {
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let declared = containers
        .filter(|container| container.name != crate::facts::SIDECAR)
        .flat_map(|container| container.ports.iter().flatten())
        .find_map(|port| {
            Some(Port { name: port.name.clone(), port: u16::try_from(port.container_port).ok()? })
        });
    declared.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, ContainerPort};

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Registration>, Vec<ValueError>) {
        let annotations = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let declared =
            ContainerPort { container_port: 9000, name: Some("declared".to_owned()), ..Default::default() };
        let container =
            Container { name: "app".to_owned(), ports: Some(vec![declared]), ..Default::default() };
        let spec = PodSpec { containers: vec![container], ..Default::default() };
        registration(&"shop".parse().unwrap(), &annotations, Some(&spec))
    }

    #[test]
    fn good_annotations() {
        let (registration, problems) =
            read(&[(SERVICE, "orders"), (VERSION, "1.4.2"), (PORT, "http:8080, grpc:9090")]);
        assert_eq!(problems, []);
        let registration = registration.unwrap();
        assert_eq!(registration.key.to_string(), "orders.shop");
        assert_eq!(registration.attributes.version.as_deref(), Some("1.4.2"));
        let named = |name: &str, port| Port { name: Some(name.to_owned()), port };
        assert_eq!(registration.attributes.ports, [named("http", 8080), named("grpc", 9090)]);

        let (registration, _) = read(&[(SERVICE, "orders"), (PORT, "8080")]);
        assert_eq!(registration.unwrap().attributes.ports, [Port { name: None, port: 8080 }]);
        let (registration, _) = read(&[(SERVICE, "orders")]);
        assert_eq!(registration.unwrap().attributes.ports, [named("declared", 9000)]);
        assert_eq!(read(&[(PORT, "80")]), (None, vec![]), "a consumer");
    }

    #[test]
    fn a_bad_value_costs_itself_alone() {
        for (bad, field) in [((VERSION, "v1"), VERSION), ((PORT, "http"), PORT), ((PORT, "80,81"), PORT)] {
            let (registration, problems) = read(&[(SERVICE, "orders"), bad]);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].field, field);
            let attributes = registration.unwrap().attributes;
            assert_eq!((attributes.version, attributes.ports[0].port), (None, 9000));
        }
        let (registration, problems) = read(&[(SERVICE, "1-2-3")]);
        assert!(registration.is_none() && problems[0].field == SERVICE);
    }
}
