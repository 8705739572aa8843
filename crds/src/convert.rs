//! From the resource to the catalogue's registration.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use rollcall_catalogue::{
    self as catalogue, Attributes, Namespace, Operator, Policy, ProbeCheck, ProbeSpec, Probing, Reach,
    Registration, Requirement, Selector, ServiceKey, Source, Texts, Transport, ValueError, shortened,
};
use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};

use crate::{
    errors::{SpecError, SpecErrors},
    resource::{self, ServiceRegistration, ServiceRegistrationSpec},
};

/// Collects what is wrong on the way through an object.
#[derive(Default)]
struct Reader {
    errors: Vec<SpecError>,
}

/// The registration that this object stands for.
pub fn registration(object: &ServiceRegistration) -> Result<Registration, SpecErrors> {
    registration_for(object, Reach::Cluster)
}

/// The same, of one whose instances are called from there.
pub fn registration_for(object: &ServiceRegistration, reach: Reach) -> Result<Registration, SpecErrors> {
    let mut reader = Reader::default();
    let read = reader.object(object);
    if let Some(registration) = &read {
        let probe = object.spec.probe.as_ref();
        reader.errors.extend(registration.check_for(reach).into_iter().map(|error| located(error, probe)));
    }
    match read {
        Some(registration) if reader.errors.is_empty() => Ok(registration),
        _ => Err(SpecErrors::new(reader.errors)),
    }
}

/// The catalogue says `probe.port`, where the object has it within the kind of the probe.
fn located(error: ValueError, probe: Option<&resource::Probe>) -> SpecError {
    let field = match (error.field, probe) {
        ("probe.port", Some(probe)) if probe.http.is_some() => "probe.http.port",
        ("probe.port", Some(probe)) if probe.tcp.is_some() => "probe.tcp.port",
        ("probe.port", Some(_)) => "probe.grpc.port",
        (field, _) => field,
    };
    SpecError::Field { field: field.to_owned(), problem: error.problem, remedy: error.remedy }
}

/// The word as the catalogue's own enum knows it.
fn texts(named: &BTreeMap<String, String>) -> Texts {
    named.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    let word: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(word).ok()
}

// === impl Reader ===

impl Reader {
    fn refuse(&mut self, field: impl Into<String>, problem: impl Into<String>, remedy: &'static str) {
        self.errors.push(SpecError::Field { field: field.into(), problem: problem.into(), remedy });
    }

    /// The value, or none and the error is noted.
    fn take<T, E>(&mut self, value: Result<T, E>, error: impl FnOnce(E) -> SpecError) -> Option<T> {
        value.map_err(|cause| self.errors.push(error(cause))).ok()
    }

    fn number<T: TryFrom<i32>>(&mut self, field: &str, value: i32, remedy: &'static str) -> Option<T> {
        let number = T::try_from(value).ok();
        if number.is_none() {
            self.refuse(field, format!("{value} is out of range"), remedy);
        }
        number
    }

    fn word<T: DeserializeOwned>(
        &mut self,
        field: impl Into<String>,
        text: &str,
        remedy: &'static str,
    ) -> Option<T> {
        let known = word(text);
        if known.is_none() {
            self.refuse(field, format!("`{}` is not known", shortened(text)), remedy);
        }
        known
    }

    /// None where there is no making sense of it; what is only out of bounds is left to
    /// `Registration::check`.
    fn object(&mut self, object: &ServiceRegistration) -> Option<Registration> {
        let spec = &object.spec;
        let key = self.key(object);
        let created = object.metadata.creation_timestamp.as_ref();
        let created = self.take(created.ok_or("creationTimestamp"), SpecError::NoMeta);
        let target = self.target(&spec.target);
        let attributes = self.attributes(spec);
        let policy = spec.load_balancing.as_ref().and_then(|sharing| sharing.policy.as_deref());
        let policy = policy.and_then(|policy| {
            let remedy = "use Random, RoundRobin, Weighted, LeastLoaded, PowerOfTwo or ConsistentHash";
            self.word::<Policy>("loadBalancing.policy", policy, remedy)
        });
        let visibility = spec.visibility.as_ref().and_then(|visibility| self.visibility(visibility));
        Some(Registration {
            key: key?,
            source: Source::Object {
                created_ms: created?.0.as_millisecond(),
                name: object.metadata.name.as_deref()?.into(),
            },
            target: target?,
            attributes,
            policy,
            visibility,
        })
    }

    fn key(&mut self, object: &ServiceRegistration) -> Option<ServiceKey> {
        let name = self.take(object.metadata.name.as_deref().ok_or("name"), SpecError::NoMeta);
        let namespace = self.take(object.metadata.namespace.as_deref().ok_or("namespace"), SpecError::NoMeta);
        let namespace = namespace.and_then(|text| self.take(text.parse(), SpecError::MetaName));
        let service = match (&object.spec.service, name) {
            (Some(service), _) => self.take(service.parse(), SpecError::Name),
            (None, Some(name)) => {
                let service = name.parse().ok();
                if service.is_none() {
                    self.refuse(
                        "service",
                        format!("is left out, and metadata.name `{}` cannot be the name", shortened(name)),
                        "set it to a DNS-1123 label that is not three numbers joined by -",
                    );
                }
                service
            }
            (None, None) => None,
        };
        Some(ServiceKey { namespace: namespace?, service: service? })
    }

    fn target(&mut self, target: &resource::Target) -> Option<catalogue::Target> {
        let resource::Target { selector, service, pod, addresses } = target;
        match (selector, service, pod, addresses) {
            (Some(selector), None, None, None) => self.selector(selector).map(catalogue::Target::Selector),
            (None, Some(service), None, None) => {
                Some(catalogue::Target::Service(service.name.as_str().into()))
            }
            (None, None, Some(pod), None) => {
                Some(catalogue::Target::Pod { name: pod.name.as_str().into(), uid: pod.uid.as_str().into() })
            }
            (None, None, None, Some(addresses)) => {
                self.addresses(addresses).map(catalogue::Target::Addresses)
            }
            (None, None, None, None) => {
                self.refuse(
                    "target",
                    "means nothing",
                    "set exactly one of selector, service, pod or addresses",
                );
                None
            }
            _ => {
                self.refuse(
                    "target",
                    "means several things",
                    "keep exactly one of selector, service, pod or addresses",
                );
                None
            }
        }
    }

    fn selector(&mut self, selector: &resource::LabelSelector) -> Option<Selector> {
        let mut match_expressions = Vec::new();
        for (index, expression) in selector.match_expressions.iter().enumerate() {
            let values = || expression.values.clone();
            let operator = match expression.operator.as_str() {
                "In" => Operator::In(values()),
                "NotIn" => Operator::NotIn(values()),
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                unknown => {
                    self.refuse(
                        format!("target.selector.matchExpressions[{index}].operator"),
                        format!("`{}` is not known", shortened(unknown)),
                        "use In, NotIn, Exists or DoesNotExist",
                    );
                    continue;
                }
            };
            if matches!(operator, Operator::Exists | Operator::DoesNotExist) && !expression.values.is_empty()
            {
                self.refuse(
                    format!("target.selector.matchExpressions[{index}].values"),
                    "is not known to Exists and DoesNotExist",
                    "leave it out, or use In or NotIn",
                );
            }
            match_expressions.push(Requirement { key: expression.key.clone(), operator });
        }
        let match_labels = texts(&selector.match_labels);
        let read = Selector { match_labels, match_expressions };
        // Where nothing is left of what was there, it is not to be called empty as well.
        (!read.is_empty() || selector.match_expressions.is_empty()).then_some(read)
    }

    /// The schema tells addresses apart by their text; here by what they are. Of two spellings of one, the first
    /// counts.
    fn addresses(&mut self, addresses: &[resource::StaticAddress]) -> Option<Vec<catalogue::StaticAddress>> {
        let mut seen = BTreeSet::new();
        let mut taken = Vec::new();
        for (index, entry) in addresses.iter().enumerate() {
            let field = || format!("target.addresses[{index}].address");
            let text = || shortened(&entry.address);
            match entry.address.parse::<IpAddr>() {
                Ok(address) => {
                    if seen.insert(address) {
                        let zone = entry.zone.as_deref().map(Into::into);
                        taken.push(catalogue::StaticAddress { address, zone });
                    }
                }
                Err(_) => self.refuse(
                    field(),
                    format!("`{}` is no IP address", text()),
                    "use IPv4 as 10.0.0.5 or IPv6 as 2001:db8::5; no name of a host, port or zone",
                ),
            }
        }
        (!taken.is_empty() || addresses.is_empty()).then_some(taken)
    }

    fn attributes(&mut self, spec: &ServiceRegistrationSpec) -> Attributes {
        let version = spec.version.as_deref();
        Attributes {
            version: version.and_then(|text| self.take(text.parse(), SpecError::Version)),
            ports: self.ports(&spec.ports),
            tags: spec.tags.iter().map(String::as_str).collect(),
            metadata: texts(&spec.metadata),
            weight: spec.weight.and_then(|weight| self.number("weight", weight, "use 0 to 1000")),
            probe: spec.probe.as_ref().and_then(|probe| self.probe(probe)).map(Probing::By),
            heartbeat: spec.heartbeat.as_ref().and_then(|heartbeat| self.heartbeat(heartbeat)),
        }
    }

    fn ports(&mut self, ports: &[resource::Port]) -> Vec<catalogue::Port> {
        let mut taken = Vec::new();
        for (index, entry) in ports.iter().enumerate() {
            let port = self.number(&format!("ports[{index}].port"), entry.port, "use 1 to 65535");
            let protocol = format!("ports[{index}].protocol");
            let transport = self.word::<Transport>(protocol, &entry.protocol, "use TCP, UDP or SCTP");
            // A port that is refused keeps its place: what else is wrong is judged by all of them.
            taken.push(catalogue::Port {
                name: Some(entry.name.as_str().into()),
                port: port.unwrap_or(1),
                transport: transport.unwrap_or_default(),
                app_protocol: entry.app_protocol.as_deref().map(Into::into),
            });
        }
        taken
    }

    fn probe(&mut self, probe: &resource::Probe) -> Option<ProbeSpec> {
        let port = |name: &Option<String>| name.as_deref().map(Into::into);
        let check = match (&probe.http, &probe.tcp, &probe.grpc) {
            (Some(http), None, None) => {
                ProbeCheck::Http { path: http.path.as_str().into(), port: port(&http.port) }
            }
            (None, Some(tcp), None) => ProbeCheck::Tcp { port: port(&tcp.port) },
            (None, None, Some(grpc)) => ProbeCheck::Grpc {
                service: grpc.service.as_deref().unwrap_or_default().into(),
                port: port(&grpc.port),
            },
            _ => {
                self.refuse(
                    "probe",
                    "asks in no way or in several",
                    "set exactly one of http, tcp or grpc, as tcp: {}",
                );
                return None;
            }
        };
        let (milliseconds, times) = ("use 100 to 300000", "use 1 to 10");
        let interval_ms =
            self.number("probe.intervalMilliseconds", probe.interval_milliseconds, milliseconds);
        let timeout_ms = self.number("probe.timeoutMilliseconds", probe.timeout_milliseconds, milliseconds);
        let failures = self.number("probe.failureThreshold", probe.failure_threshold, times);
        let successes = self.number("probe.successThreshold", probe.success_threshold, times);
        Some(ProbeSpec {
            check,
            interval_ms: interval_ms?,
            timeout_ms: timeout_ms?,
            failure_threshold: failures?,
            success_threshold: successes?,
        })
    }

    fn heartbeat(&mut self, heartbeat: &resource::Heartbeat) -> Option<catalogue::Heartbeat> {
        let remedy = "use 1 to 3600";
        let interval_seconds = self.number("heartbeat.intervalSeconds", heartbeat.interval_seconds, remedy);
        let ttl_seconds = self.number("heartbeat.ttlSeconds", heartbeat.ttl_seconds, remedy);
        Some(catalogue::Heartbeat { interval_seconds: interval_seconds?, ttl_seconds: ttl_seconds? })
    }

    fn visibility(&mut self, visibility: &resource::Visibility) -> Option<catalogue::Visibility> {
        let named = &visibility.namespaces;
        if visibility.scope != "Namespaces" && !named.is_empty() {
            self.refuse(
                "visibility.namespaces",
                "needs scope: Namespaces",
                "change the scope, or leave namespaces out",
            );
        }
        match visibility.scope.as_str() {
            "Cluster" => Some(catalogue::Visibility::Cluster),
            "Namespace" => Some(catalogue::Visibility::own()),
            "Namespaces" if named.is_empty() => {
                self.refuse("visibility.namespaces", "is missing", "name 1 to 64, or use scope: Namespace");
                None
            }
            "Namespaces" => {
                let mut namespaces = BTreeSet::new();
                for text in named {
                    match text.parse::<Namespace>() {
                        Ok(namespace) => {
                            namespaces.insert(namespace);
                        }
                        Err(_) => self.refuse(
                            "visibility.namespaces",
                            format!("`{}` is no name of a namespace", shortened(text)),
                            "use DNS-1123 labels as shop or team-a",
                        ),
                    }
                }
                Some(catalogue::Visibility::Namespaces(namespaces))
            }
            unknown => {
                self.refuse(
                    "visibility.scope",
                    format!("`{}` is not known", shortened(unknown)),
                    "use Cluster, Namespace or Namespaces",
                );
                None
            }
        }
    }
}
