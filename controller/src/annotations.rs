//! What a pod's annotations register: `rollcall.dev/service`, `/version`, `/port`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use rollcall_catalogue::{
    Attributes, Namespace, Port, Registration, ServiceKey, ServiceName, Source, Target, ValueError, Version,
    shortened,
};

const SERVICE: &str = "rollcall.dev/service";
const VERSION: &str = "rollcall.dev/version";
const PORT: &str = "rollcall.dev/port";
/// A port that cannot be read is not guessed: callers sent to a wrong one are worse off than callers sent nowhere.
const PORT_REMEDY: &str =
    "use `8080` or `http:8080,grpc:9090`; until then the pod is not listed by its annotations";

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
    let ports = match annotations.get(PORT).map(|text| ports(text)) {
        Some(Ok(ports)) => ports,
        Some(Err(problem)) => {
            problems.push(ValueError { field: PORT, problem, remedy: PORT_REMEDY });
            Vec::new()
        }
        None => {
            let ports = first_container_port(spec);
            if ports.is_empty() {
                problems.push(ValueError {
                    field: PORT,
                    problem: "missing, and no container declares a port".to_owned(),
                    remedy: "set it, or a containerPort; until then the pod is in no lookup",
                });
            }
            ports
        }
    };
    let version = annotations.get(VERSION).and_then(|text| {
        let refused = |_| ValueError {
            field: VERSION,
            problem: format!("`{}` is no semantic version", shortened(text)),
            remedy: "use three numbers as in 1.4.2; until then the pod is listed without a version",
        };
        text.parse::<Version>().map_err(refused).map_err(|error| problems.push(error)).ok()
    });
    let mut attributes = Attributes { version, ports, ..Attributes::default() };
    for error in attributes.check() {
        attributes.ports.clear();
        problems.push(ValueError { field: PORT, remedy: PORT_REMEDY, ..error });
    }
    let key = ServiceKey { namespace: namespace.clone(), service };
    let registration = Registration {
        key,
        source: Source::Annotation,
        target: Target::Own,
        attributes,
        policy: None,
        visibility: None,
    };
    (Some(registration), problems)
}

/// `8080`, or `http:8080,grpc:9090`.
fn ports(text: &str) -> Result<Vec<Port>, String> {
    let port = |part: &str| {
        let (name, number) = match part.trim().split_once(':') {
            Some((name, number)) => (Some(name), number),
            None => (None, part.trim()),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(format!("`{}` holds no port of 1 to 65535", shortened(part))),
            Ok(port) => Ok(Port::tcp(name, port)),
        }
    };
    text.split(',').map(port).collect()
}

/// The first port that a container of the app declares.
fn first_container_port(spec: Option<&PodSpec>) -> Vec<Port> {
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let declared = containers
        .filter(|container| container.name != crate::SIDECAR)
        .flat_map(|container| container.ports.iter().flatten())
        .find_map(|port| Some(Port::tcp(port.name.as_deref(), u16::try_from(port.container_port).ok()?)));
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
        assert_eq!(registration.attributes.version, "1.4.2".parse().ok());
        let named = |name: &str, port| Port::tcp(Some(name), port);
        assert_eq!(registration.attributes.ports, [named("http", 8080), named("grpc", 9090)]);

        let (registration, _) = read(&[(SERVICE, "orders"), (PORT, "8080")]);
        assert_eq!(registration.unwrap().attributes.ports, [Port::tcp(None, 8080)]);
        let (registration, _) = read(&[(SERVICE, "orders")]);
        assert_eq!(registration.unwrap().attributes.ports, [named("declared", 9000)]);
        assert_eq!(read(&[(PORT, "80")]), (None, vec![]), "a consumer");
    }

    #[test]
    fn a_bad_value_costs_itself_alone() {
        let (registration, problems) = read(&[(SERVICE, "orders"), (VERSION, "v1")]);
        assert!(problems.len() == 1 && problems[0].field == VERSION, "{problems:?}");
        let attributes = registration.unwrap().attributes;
        assert_eq!((attributes.version, attributes.ports[0].port), (None, 9000));

        let huge = "9".repeat(100_000);
        for bad in ["http", "80,81", "", "0", "http:80,http:81", huge.as_str()] {
            let (registration, problems) = read(&[(SERVICE, "orders"), (VERSION, "1.4.2"), (PORT, bad)]);
            assert!(problems.len() == 1 && problems[0].field == PORT, "{problems:?}");
            assert!(problems[0].to_string().len() < 300);
            let attributes = registration.unwrap().attributes;
            assert_eq!((attributes.version, attributes.ports), ("1.4.2".parse().ok(), vec![]), "no guess");
        }
        let (registration, problems) = read(&[(SERVICE, "1-2-3")]);
        assert!(registration.is_none() && problems[0].field == SERVICE);
    }
}
