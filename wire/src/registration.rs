//! What an app says of itself at run time.

use std::collections::BTreeMap;

use rollcall_catalogue::{
    Attributes, Heartbeat, Namespace, Port, ProbeCheck, Probing, Registration, Runtime, ServiceKey,
    ServiceName, Source, Target, Transport, ValueError, Version, shortened,
};
use serde::{Deserialize, Serialize};

/// Holds what an app registers through its sidecar, as it says it: the controller judges the values, and tells which is bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfRegistration {
    /// Of the pod's own namespace.
    pub service: ServiceName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The first is the primary one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<SelfPort>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// `tcp`, `http:/path`, `grpc` or `none`, as in the pod annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The app beats, and is believed for so long.
    #[serde(default, rename = "ttlSeconds", skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// It stands beside what was declared of the pod, as one of several addresses told apart by their ports; otherwise it
    /// says something of the pod's one instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
}

/// Tells the registrations of one app apart: by service, and where several addresses stand beside each other by their port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegistrationKey {
    pub service: ServiceName,
    /// The primary port of one that stands beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
}

/// Holds one port of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfPort {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub port: u32,
    /// `TCP` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

// === impl RegistrationKey ===

impl RegistrationKey {
    /// Of a word that an app said at run time, as the domain has it.
    pub fn of(word: &Registration) -> Self {
        let beside = matches!(word.source, Source::Runtime { kind: Runtime::Each, .. });
        let port = word.attributes.ports.first().filter(|_| beside).map(|first| u32::from(first.port));
        Self { service: word.key.service.clone(), port }
    }
}

// === impl SelfRegistration ===

impl SelfRegistration {
    /// An app's word as it would be said anew.
    pub fn of(word: &Registration) -> Self {
        let Attributes { version, ports, tags, metadata, weight, probe, heartbeat } = &word.attributes;
        Self {
            service: word.key.service.clone(),
            version: version.as_ref().map(ToString::to_string),
            ports: ports.iter().map(self_port).collect(),
            tags: tags.iter().map(str::to_owned).collect(),
            metadata: metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            weight: weight.map(u32::from),
            probe: probe.as_ref().map(probe_text),
            ttl_seconds: heartbeat.map(|heartbeat| heartbeat.ttl_seconds),
            beside: matches!(word.source, Source::Runtime { kind: Runtime::Each, .. }),
        }
    }

    pub fn key(&self) -> RegistrationKey {
        let port = self.ports.first().filter(|_| self.beside).map(|first| first.port);
        RegistrationKey { service: self.service.clone(), port }
    }

    /// What it takes in a list as JSON.
    pub fn json_bytes(&self) -> usize {
        // Text, numbers and maps with text keys, which serde_json cannot fail to write; and a comma.
        serde_json::to_vec(self).map_or(0, |json| json.len() + 1)
    }

    /// The app's word as the domain has it, of its own pod in that pod's namespace; or which value is bad. Both ends
    /// judge alike: a sidecar can refuse at once.
    pub fn judge(&self, namespace: &Namespace) -> Result<Registration, ValueError> {
        let Self { service, version, ports, tags, metadata, weight, probe, ttl_seconds, beside } = self;
        if *beside && ports.is_empty() {
            let (problem, remedy) = ("missing".to_owned(), "name the one that it is told apart by");
            return Err(ValueError { field: "ports", problem, remedy });
        }
        let registration = Registration {
            key: ServiceKey { namespace: namespace.clone(), service: service.clone() },
            source: Source::Runtime {
                kind: if *beside { Runtime::Each } else { Runtime::Whole },
                name: service.as_str().into(),
            },
            target: Target::Own,
            attributes: Attributes {
                version: version.as_deref().map(version_of).transpose()?,
                ports: ports.iter().map(port).collect::<Result<_, _>>()?,
                tags: tags.iter().map(String::as_str).collect(),
                metadata: metadata.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
                // What is too much for the type is too much for the domain, which says so.
                weight: weight.map(|weight| u16::try_from(weight).unwrap_or(u16::MAX)),
                probe: probe.as_deref().map(str::parse).transpose()?,
                heartbeat: ttl_seconds.map(|ttl_seconds| Heartbeat {
                    interval_seconds: Heartbeat::DEFAULT.interval_seconds.min(ttl_seconds),
                    ttl_seconds,
                }),
            },
            policy: None,
            visibility: None,
        };
        match registration.check().into_iter().next() {
            Some(error) => Err(ValueError { field: field(error.field), ..error }),
            None => Ok(registration),
        }
    }
}

/// In one word, as an app says it: of the primary port, with the timing that suits most.
fn probe_text(probing: &Probing) -> String {
    match probing {
        Probing::Off => "none".to_owned(),
        Probing::By(probe) => match &probe.check {
            ProbeCheck::Tcp { .. } => "tcp".to_owned(),
            ProbeCheck::Http { path, .. } => format!("http:{path}"),
            ProbeCheck::Grpc { .. } => "grpc".to_owned(),
        },
    }
}

fn self_port(port: &Port) -> SelfPort {
    let protocol = match port.transport {
        Transport::Tcp => None,
        Transport::Udp => Some("UDP"),
        Transport::Sctp => Some("SCTP"),
    };
    SelfPort {
        name: port.name.as_deref().map(str::to_owned),
        port: u32::from(port.port),
        protocol: protocol.map(str::to_owned),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
    }
}

fn version_of(said: &str) -> Result<Version, ValueError> {
    said.parse().map_err(|_| ValueError {
        field: "version",
        problem: format!("`{}` is no semantic version", shortened(said)),
        remedy: "use three numbers as in 1.4.2, without a leading v",
    })
}

fn port(said: &SelfPort) -> Result<Port, ValueError> {
    let SelfPort { name, port, protocol, app_protocol } = said;
    let refused = |problem, remedy| ValueError { field: "ports", problem, remedy };
    let number = u16::try_from(*port).ok().filter(|port| *port != 0);
    let transport = match protocol.as_deref() {
        None | Some("TCP") => Transport::Tcp,
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        Some(other) => {
            return Err(refused(format!("the protocol `{}`", shortened(other)), "use TCP, UDP or SCTP"));
        }
    };
    Ok(Port {
        name: name.as_deref().map(Into::into),
        port: number.ok_or_else(|| refused(format!("the port {port}"), "use 1 to 65535"))?,
        transport,
        app_protocol: app_protocol.as_deref().map(Into::into),
    })
}

/// The domain's fields by the names that an app writes.
fn field(of_the_domain: &'static str) -> &'static str {
    match of_the_domain.split_once('.') {
        Some(("heartbeat", _)) => "ttlSeconds",
        Some(("probe", _)) => "probe",
        _ => of_the_domain,
    }
}
