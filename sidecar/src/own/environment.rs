//! What the environment registers: the same words as the pod's annotations, for a process without any.

use std::collections::BTreeMap;

use clap::Args;
use rollcall_catalogue::{Namespace, Probing, Registration, ValueError, by_annotations};
use rollcall_wire::{SelfPort, SelfRegistration};

/// Holds what the flags and the environment register; nothing without a service.
#[derive(Debug, Clone, Default, Args)]
pub struct Declared {
    /// The service that the app is, as in the pod annotation rollcall.dev/service.
    #[arg(long, env = "ROLLCALL_SERVICE")]
    pub service: Option<String>,

    /// Its version, as 1.4.2.
    #[arg(id = "service-version", long, env = "ROLLCALL_VERSION")]
    pub version: Option<String>,

    /// Its ports: 8080, or http:8080,grpc:9090.
    #[arg(long, env = "ROLLCALL_PORT")]
    pub port: Option<String>,

    /// Its tags: a,b.
    #[arg(long, env = "ROLLCALL_TAGS")]
    pub tags: Option<String>,

    /// Its metadata: k=v,k=v.
    #[arg(long, env = "ROLLCALL_METADATA")]
    pub metadata: Option<String>,

    /// Its weight, 0 to 1000.
    #[arg(long, env = "ROLLCALL_WEIGHT")]
    pub weight: Option<String>,

    /// How it is probed: tcp, http:/path, grpc or none.
    #[arg(long, env = "ROLLCALL_PROBE")]
    pub probe: Option<String>,
}

// === impl Declared ===

impl Declared {
    /// The registration that they come to, and every bad value, named as its variable.
    pub(super) fn registration(&self) -> (Option<SelfRegistration>, Vec<ValueError>) {
        let said = [
            ("service", &self.service),
            ("version", &self.version),
            ("port", &self.port),
            ("tags", &self.tags),
            ("metadata", &self.metadata),
            ("weight", &self.weight),
            ("probe", &self.probe),
        ];
        // A variable that is set to nothing says nothing, as templates leave it; and Kubernetes sets ROLLCALL_PORT to an address
        // where a Service of this namespace is named `rollcall`.
        let said = said.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
        let said = said.filter(|(name, text)| !(text.is_empty() || *name == "port" && text.contains("://")));
        let annotations: BTreeMap<String, String> =
            said.map(|(name, text)| (format!("rollcall.dev/{name}"), text)).collect();
        let Ok(anywhere) = "default".parse::<Namespace>() else { return (None, Vec::new()) };
        let (registration, problems) = by_annotations(&anywhere, &annotations, None);
        // Without a port it says something of what the pod is anyway.
        let port_is_missing =
            |error: &ValueError| error.field == "rollcall.dev/port" && !annotations.contains_key(error.field);
        let problems = problems.into_iter().filter(|error| !port_is_missing(error)).map(|error| {
            let field = variable(error.field);
            ValueError { field, ..error }
        });
        (registration.as_ref().map(as_said), problems.collect())
    }
}

fn variable(annotation: &'static str) -> &'static str {
    match annotation {
        "rollcall.dev/service" => "ROLLCALL_SERVICE",
        "rollcall.dev/version" => "ROLLCALL_VERSION",
        "rollcall.dev/port" => "ROLLCALL_PORT",
        "rollcall.dev/tags" => "ROLLCALL_TAGS",
        "rollcall.dev/metadata" => "ROLLCALL_METADATA",
        "rollcall.dev/weight" => "ROLLCALL_WEIGHT",
        "rollcall.dev/probe" => "ROLLCALL_PROBE",
        other => other,
    }
}

fn as_said(registration: &Registration) -> SelfRegistration {
    let attributes = &registration.attributes;
    let port = |port: &rollcall_catalogue::Port| SelfPort {
        name: port.name.as_deref().map(Into::into),
        port: port.port.into(),
        protocol: None,
        app_protocol: None,
    };
    SelfRegistration {
        service: registration.key.service.clone(),
        version: attributes.version.as_ref().map(ToString::to_string),
        ports: attributes.ports.iter().map(port).collect(),
        tags: attributes.tags.iter().map(Into::into).collect(),
        metadata: attributes.metadata.iter().map(|(name, text)| (name.into(), text.into())).collect(),
        weight: attributes.weight.map(u32::from),
        probe: attributes.probe.as_ref().map(|probe| match probe {
            Probing::Off => "none".to_owned(),
            Probing::By(spec) => spec.check.to_string(),
        }),
        ttl_seconds: None,
        beside: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(service: &str, port: Option<&str>, weight: Option<&str>) -> Declared {
        let text = |text: &str| text.to_owned();
        Declared {
            service: Some(text(service)),
            version: Some(text("1.4.2")),
            port: port.map(text),
            tags: Some(text("blue,a")),
            metadata: Some(text("team=payments,empty=")),
            weight: weight.map(text),
            probe: Some(text("http:/healthz")),
        }
    }

    #[test]
    fn the_environment_registers_as_annotations_do() {
        let (said, problems) = declared("orders", Some("http:8080,grpc:9090"), Some("50")).registration();
        let said = said.unwrap();
        assert_eq!(problems, []);
        assert_eq!(
            serde_json::to_string(&said).unwrap(),
            r#"{"service":"orders","version":"1.4.2","ports":[{"name":"http","port":8080},{"name":"grpc","port":9090}],"tags":["a","blue"],"metadata":{"empty":"","team":"payments"},"weight":50,"probe":"http:/healthz"}"#
        );
        super::super::body::check(&said).unwrap();
    }

    #[test]
    fn bad_values_are_named_by_their_variables_and_the_rest_counts() {
        let (said, problems) = declared("orders", None, Some("heavy")).registration();
        assert!(said.is_some_and(|said| said.ports.is_empty() && said.weight.is_none()));
        assert_eq!(problems.iter().map(|error| error.field).collect::<Vec<_>>(), ["ROLLCALL_WEIGHT"]);
        let (said, problems) = declared("Orders", Some("8080"), None).registration();
        assert!(said.is_none() && problems.iter().any(|error| error.field == "ROLLCALL_SERVICE"));
        assert_eq!(declared("", Some("8080"), None).registration(), (None, vec![]));
        assert_eq!(Declared::default().registration(), (None, vec![]));
    }

    #[test]
    fn what_kubernetes_says_of_a_service_of_our_name_is_no_port() {
        // As in a pod whose namespace has a Service `rollcall`.
        let theirs = Some("tcp://10.0.0.1:7310");
        let (said, problems) = declared("orders", theirs, None).registration();
        assert!(said.is_some_and(|said| said.ports.is_empty()) && problems.is_empty(), "{problems:?}");
        let alone = Declared { port: theirs.map(str::to_owned), ..Declared::default() };
        assert_eq!(alone.registration(), (None, vec![]));
    }
}
